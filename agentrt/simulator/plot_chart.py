"""One chart as SVG: lines over two axes, with ticks, names and a legend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

Point = tuple[float, float]

WIDTH, HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 28, 44, 52
_TICKS = 5
# Okabe and Ito's palette, without yellow: told apart in every kind of colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES = ("", "7 3", "2 3")
_LEGEND_LINE, _LEGEND_STEP, _LETTER = 22, 17, 7.2


@dataclass(frozen=True, slots=True)
class Line:
    """What a chart shows of one policy.

    Attributes:
        bars: At points of the line: from where to where the values go.
        is_marked: Points are marked, not only joined.
        kind: Its colour; None: the next one.
        is_dashed: Not drawn through, whatever its kind.
    """

    label: str
    points: tuple[Point, ...]
    bars: tuple[tuple[float, float, float], ...] = ()
    is_marked: bool = False
    kind: int | None = None
    is_dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines over axes that begin at 0."""

    title: str
    across: str
    upward: str
    lines: tuple[Line, ...]
    most_upward: float | None = None
    is_legend_low: bool = False


def chart_svg(chart: Chart, left: float) -> Iterator[str]:
    """The chart's elements, `left` units to the right of the picture's edge."""
    points = [point for line in chart.lines for point in line.points]
    tops = [bar[2] for line in chart.lines for bar in line.bars]
    across = _ticks(max((x for x, _ in points), default=1.0))
    highest = max((y for _, y in points), default=1.0)
    upward = _ticks(chart.most_upward or max([highest, *tops]))
    scale = _Scale(across[-1], chart.most_upward or upward[-1])
    yield f'<g transform="translate({left:g} 0)">'
    yield _text(_LEFT, 24, chart.title, kind="title")
    yield from _axes(chart, scale, across, upward)
    for at, line in enumerate(chart.lines):
        yield from _line(line, at, scale)
    yield from _legend(chart)
    yield "</g>"


@dataclass(frozen=True, slots=True)
class _Scale:
    most_across: float
    most_upward: float

    def x(self, value: float) -> float:
        return round(_LEFT + value / self.most_across * (WIDTH - _LEFT - _RIGHT), 2)

    def y(self, value: float) -> float:
        return round(HEIGHT - _BOTTOM - value / self.most_upward * (HEIGHT - _TOP - _BOTTOM), 2)


def _ticks(most: float) -> list[float]:
    """Round numbers from 0 to at least `most`."""
    if most <= 0:
        return [0.0, 1.0]
    raw = most / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    return [step * at for at in range(math.ceil(most / step * 0.999) + 1)]


def _axes(
    chart: Chart, scale: _Scale, across: Sequence[float], upward: Sequence[float]
) -> Iterator[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for value in across:
        yield f'<path class="grid" d="M{scale.x(value):g} {_TOP}V{bottom}"/>'
        yield _text(scale.x(value), bottom + 18, f"{value:g}", anchor="middle")
    for value in upward:
        if value <= scale.most_upward:
            yield f'<path class="grid" d="M{_LEFT} {scale.y(value):g}H{right}"/>'
            yield _text(_LEFT - 8, scale.y(value) + 4, f"{value:g}", anchor="end")
    yield f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>'
    yield _text((_LEFT + right) / 2, HEIGHT - 12, chart.across, anchor="middle")
    middle = (_TOP + bottom) / 2
    yield f'<g transform="rotate(-90 18 {middle:g})">'
    yield _text(18, middle, chart.upward, anchor="middle")
    yield "</g>"


def _line(line: Line, at: int, scale: _Scale) -> Iterator[str]:
    if not line.points:
        return
    style = _style(line, at)
    steps = " ".join(f"{scale.x(x):g},{scale.y(y):g}" for x, y in line.points)
    yield f'<polyline fill="none" {style} points="{steps}"/>'
    for x, least, most in line.bars:
        yield f'<path {style} d="M{scale.x(x):g} {scale.y(least):g}V{scale.y(most):g}"/>'
    if line.is_marked:
        fill = _colour(line, at)
        for x, y in line.points:
            yield f'<circle cx="{scale.x(x):g}" cy="{scale.y(y):g}" r="3.5" fill="{fill}"/>'


def _legend(chart: Chart) -> Iterator[str]:
    """Where the lines leave room: low at the right under curves that rise fast, else high left."""
    longest = max((len(line.label) for line in chart.lines), default=0)
    width = _LEGEND_LINE + 16 + longest * _LETTER
    height = _legend_height(len(chart.lines))
    x = WIDTH - _RIGHT - width - 8 if chart.is_legend_low else _LEFT + 10
    y = HEIGHT - _BOTTOM - height - 8 if chart.is_legend_low else _TOP + 4
    yield f'<rect class="legend" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"/>'
    for at, line in enumerate(chart.lines):
        row = y + 4 + _LEGEND_STEP * (at + 0.5)
        yield f'<path {_style(line, at)} d="M{x + 6:g} {row:g}h{_LEGEND_LINE}"/>'
        yield _text(x + _LEGEND_LINE + 12, row + 4, line.label)


def legend_share(lines: int) -> float:
    """Which share of a chart's height its legend takes."""
    return (_legend_height(lines) + 12) / (HEIGHT - _TOP - _BOTTOM)


def _legend_height(lines: int) -> int:
    return _LEGEND_STEP * lines + 8


def _style(line: Line, at: int) -> str:
    kind = at if line.kind is None else line.kind
    dashes = "4 2" if line.is_dashed else _DASHES[kind // len(_COLOURS) % len(_DASHES)]
    colour = _colour(line, at)
    return f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes or "none"}"'


def _colour(line: Line, at: int) -> str:
    return _COLOURS[(at if line.kind is None else line.kind) % len(_COLOURS)]


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "plain") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
