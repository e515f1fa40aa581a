"""The shapes that pictures of graphs are made of, as SVG."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentrt.ir.node import Node
from agentrt.ir.render_label import describe, explain, printable
from agentrt.ir.render_layout import Point, Size

PADDING = 14.0
_TITLE_HEIGHT = 40.0
_NAME_HEIGHT = 22.0
_LABEL = 32
_TOOLTIP = 1_000
_STACK = 5.0

# Each rule is scoped: pages that inline a picture have classes of their own.
STYLE = """\
.agentrt text{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;font-size:11px}
.agentrt .name{font-size:13px;font-weight:600}
.agentrt .mid{text-anchor:middle}
.agentrt .edge{fill:none;stroke:#8592a6;stroke-width:1.4}
.agentrt .again{stroke-dasharray:4 3}
.agentrt .head{fill:#8592a6}
.agentrt .region{fill:#8592a6;fill-opacity:.09;stroke:#8592a6;stroke-width:1.2}
.agentrt .inner{fill:none;stroke:#8592a6;stroke-width:1}
.agentrt .frame{stroke-dasharray:4 3}
.agentrt .label{fill:#72829b}
.agentrt .input{fill:#e2e8f0;stroke:#64748b}
.agentrt .input+text{fill:#334155}
.agentrt .llm{fill:#dbeafe;stroke:#3b82f6}
.agentrt .llm~text{fill:#1e3a8a}
.agentrt .tool{fill:#dcfce7;stroke:#22a35a}
.agentrt .tool~text{fill:#14532d}
"""
_NOT_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of the picture, drawn with its upper left corner at the origin."""

    width: float
    height: float
    markup: str


def card(kind: str, name: str, detail: str, tooltip: str) -> Box:
    """A node that is one call."""
    name, detail = printable(name, _LABEL), printable(detail, _LABEL)
    width, height = max(_text_width(name, 8.3), _text_width(detail, 6.4)) + 26, 44.0
    radius = 10 if kind == "llm" else 3
    markup = (
        f"<g><title>{_tooltip(tooltip)}</title>"
        f'<rect class="{kind}" width="{width:.1f}" height="{height:.1f}" rx="{radius}"/>'
        f'<text class="name mid" x="{width / 2:.1f}" y="19">{escaped(name)}</text>'
        f'<text class="mid" x="{width / 2:.1f}" y="34">{escaped(detail)}</text></g>'
    )
    return Box(width, height, markup)


def pill(name: str, tooltip: str) -> Box:
    """What comes in or goes out."""
    name = printable(name, _LABEL)
    width, height = _text_width(name, 7.0) + 26, 26.0
    markup = (
        f"<g><title>{_tooltip(tooltip)}</title>"
        f'<rect class="input" width="{width:.1f}" height="{height:.1f}" rx="{height / 2}"/>'
        f'<text class="mid" x="{width / 2:.1f}" y="17">{escaped(name)}</text></g>'
    )
    return Box(width, height, markup)


def region(node: Node, inside: Box) -> Box:
    """A box with a title, and `inside` in the middle of it."""
    name, detail = printable(node.id, 2 * _LABEL), printable(describe(node), 2 * _LABEL)
    title_width = max(_text_width(name, 8.3), _text_width(detail, 6.4))
    width = max(inside.width, title_width) + 2 * PADDING
    height = _TITLE_HEIGHT + inside.height + 2 * PADDING
    markup = (
        f"<g><title>{_tooltip(explain(node))}</title>"
        f'<rect class="region" width="{width:.1f}" height="{height:.1f}" rx="8"/></g>'
        f'<text class="name label" x="{PADDING}" y="21">{escaped(name)}</text>'
        f'<text class="label" x="{PADDING}" y="37">{escaped(detail)}</text>\n'
        + at(inside.markup, (width - inside.width) / 2, _TITLE_HEIGHT + PADDING)
    )
    return Box(width, height, markup)


def framed(name: str, inside: Box) -> Box:
    """One of the bodies of a region, in a frame with its name."""
    width = max(inside.width, _text_width(name, 6.4)) + 2 * PADDING
    height = _NAME_HEIGHT + inside.height + PADDING
    markup = (
        f'<rect class="inner frame" width="{width:.1f}" height="{height:.1f}" rx="6"/>'
        f'<text class="label" x="10" y="16">{escaped(name)}</text>\n'
        + at(inside.markup, (width - inside.width) / 2, _NAME_HEIGHT)
    )
    return Box(width, height, markup)


def stacked(front: Box) -> Box:
    """`front` with others like it behind: there will be many."""
    behind = "\n".join(_corner(front, step * _STACK) for step in (1, 2))
    return Box(front.width + 2 * _STACK, front.height + 2 * _STACK, f"{front.markup}\n{behind}")


def _corner(front: Box, by: float) -> str:
    """What shows of a box as large as `front` that lies `by` pixels below and to its right."""
    right, low, inner = front.width + by, front.height + by, by - _STACK
    return (
        f'<path class="inner" d="M{front.width + inner:.1f} {by}H{right - 8:.1f}'
        f"Q{right:.1f} {by} {right:.1f} {by + 8}V{low - 8:.1f}Q{right:.1f} {low:.1f} "
        f"{right - 8:.1f} {low:.1f}H{by + 8}Q{by} {low:.1f} {by} {low - 8:.1f}"
        f'V{front.height + inner:.1f}"/>'
    )


def below(boxes: Sequence[Box]) -> Box:
    """Boxes in a column."""
    width = max(box.width for box in boxes)
    y, markup = 0.0, list[str]()
    for box in boxes:
        markup.append(at(box.markup, (width - box.width) / 2, y))
        y += box.height + PADDING
    return Box(width, y - PADDING, "\n".join(markup))


def grid(boxes: Sequence[Box]) -> Box:
    """Boxes in rows, in a frame; a single one is just itself."""
    if len(boxes) == 1:
        return boxes[0]
    columns = math.ceil(math.sqrt(len(boxes)))
    width = max(box.width for box in boxes) + PADDING
    height = max(box.height for box in boxes) + PADDING
    size = Size(columns * width + PADDING, math.ceil(len(boxes) / columns) * height + PADDING)
    markup = [
        f'<rect class="inner frame" width="{size.width:.1f}" height="{size.height:.1f}" rx="8"/>'
    ]
    for index, box in enumerate(boxes):
        x, y = index % columns * width, index // columns * height
        markup.append(at(box.markup, x + PADDING + (width - PADDING - box.width) / 2, y + PADDING))
    return Box(size.width, size.height, "\n".join(markup))


def edge(points: Sequence[Point], tooltip: str, *, is_both_ways: bool) -> str:
    """An arrow along `points`."""
    start = ' marker-start="url(#agentrt-arrow)"' if is_both_ways else ""
    return (
        f'<path class="edge"{start} marker-end="url(#agentrt-arrow)" d="{"".join(_path(points))}">'
        f"<title>{escaped(tooltip)}</title></path>"
    )


def _path(points: Sequence[Point]) -> Iterator[str]:
    """Level lines through layers, curves between them."""
    yield f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for index in range(1, len(points)):
        (x, y), (next_x, next_y) = points[index - 1], points[index]
        if index % 2 == 0 or abs(y - next_y) < 0.5:  # noqa: PLR2004  half a pixel
            yield f"L{next_x:.1f} {next_y:.1f}"
        else:
            middle = (x + next_x) / 2
            yield f"C{middle:.1f} {y:.1f} {middle:.1f} {next_y:.1f} {next_x:.1f} {next_y:.1f}"


def at(markup: str, x: float, y: float) -> str:
    """`markup` with its origin moved to this point."""
    return f'<g transform="translate({x:.1f} {y:.1f})">\n{markup}\n</g>'


def size_of(box: Box) -> Size:
    """What the layout needs to know of a box."""
    return Size(box.width, box.height)


def _text_width(text: str, per_character: float) -> float:
    """A guess: the fonts of the page are not known. East Asian characters are twice as wide."""
    wide = sum(1 for c in text if unicodedata.east_asian_width(c) in "WF")
    return (len(text) + wide) * per_character


def _tooltip(text: str) -> str:
    return escaped(text if len(text) <= _TOOLTIP else f"{text[:_TOOLTIP]}…")


def escaped(text: str) -> str:
    """Safe in element content and in attributes; what XML has no way to write becomes U+FFFD."""
    text = _NOT_XML.sub("\ufffd", text)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return text
