"""A comparison as a picture: completion times, their mean against load, and how full caches were.

Self-contained SVG, the same bytes for the same outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from xml.sax.saxutils import escape

from agentrt.simulator.comparison import grouped, spread
from agentrt.simulator.comparison_work import Outcome
from agentrt.simulator.loads import Load, Oversubscription, load_text
from agentrt.simulator.plot_chart import (
    HEIGHT,
    WIDTH,
    Chart,
    Line,
    chart_svg,
    legend_share,
)

_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}text.title{font-size:14px;font-weight:600}"
    ".grid{stroke:#ddd;stroke-width:1}.axis{stroke:#444;stroke-width:1;fill:none}"
    ".legend{fill:#fff;fill-opacity:.85;stroke:#ccc}"
)
_CDF_POINTS = 500
_MOST_LEGEND = 0.7


def plot_svg(outcomes: Sequence[Outcome], *, title: str) -> str:
    """Completion times and occupancy of the last load; for several loads, the mean of each first."""
    loads = list(grouped(outcomes))
    load, by_label = loads[-1]
    charts = [_distributions(title, load, by_label)]
    firsts = [found[0] for found in by_label.values()]
    if all(outcome.in_use is not None for outcome in firsts):
        charts.append(_occupancy(title, load, firsts))
    if len(loads) > 1:
        charts.insert(0, _against_load(title, loads))
    width = WIDTH * len(charts)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
            f'width="{width}" height="{HEIGHT}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect width="{width}" height="{HEIGHT}" fill="#fff"/>',
            *chain.from_iterable(chart_svg(chart, at * WIDTH) for at, chart in enumerate(charts)),
            "</svg>\n",
        )
    )


def _distributions(title: str, load: Load, by_label: dict[str, list[Outcome]]) -> Chart:
    """Of all seeds together: which share of the programs was done in which time."""
    return Chart(
        title=f"{title}, {load_text(load)}",
        across="completion time, s",
        upward="share of programs",
        most_upward=1.0,
        is_legend_low=True,
        lines=tuple(Line(label, _cdf(found)) for label, found in by_label.items()),
    )


def _cdf(outcomes: Sequence[Outcome]) -> tuple[tuple[float, float], ...]:
    times = sorted(time for outcome in outcomes for time in outcome.completions_s)
    programs = sum(outcome.report.programs for outcome in outcomes)
    every = max(1, len(times) // _CDF_POINTS)
    shown = [at for at in range(len(times)) if at % every == 0 or at == len(times) - 1]
    return ((0.0, 0.0), *((times[at], (at + 1) / programs) for at in shown)) if times else ()


def _occupancy(title: str, load: Load, outcomes: Sequence[Outcome]) -> Chart:
    """Of the first seed. Where live contexts are above 1, returning programs lose their blocks."""
    lines: list[Line] = []
    for kind, outcome in enumerate(outcomes):
        lines += (
            Line(f"{outcome.label}: in use", outcome.in_use or (), kind=kind),
            Line(f"{outcome.label}: live contexts", outcome.live or (), kind=kind, is_dashed=True),
        )
    highest = max((share for line in lines for _, share in line.points), default=1.0)
    return Chart(
        title=f"{title}, {load_text(load)}, seed {outcomes[0].seed}",
        across="time, s",
        upward="share of all KV blocks",
        # Curves go up at once and stay there: room for the legend is only above them.
        most_upward=highest / (1.0 - min(legend_share(len(lines)), _MOST_LEGEND)),
        lines=tuple(lines),
    )


def _against_load(title: str, loads: Sequence[tuple[Load, dict[str, list[Outcome]]]]) -> Chart:
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for load, by_label in loads:
        if isinstance(load, Oversubscription):
            for label, outcomes in by_label.items():
                mean = spread(outcomes, "mean_completion_s")
                if mean is not None:
                    points = found.setdefault(label, [])
                    points.append((load.times, mean.median, mean.least, mean.most))
    return Chart(
        title=f"{title}, mean",
        across="KV oversubscription",
        upward="mean completion time, s",
        lines=tuple(_means(label, sorted(points)) for label, points in found.items()),
    )


def _means(label: str, points: Sequence[tuple[float, float, float, float]]) -> Line:
    return Line(
        label,
        points=tuple((x, median) for x, median, _, _ in points),
        bars=tuple((x, least, most) for x, _, least, most in points),
        is_marked=True,
    )
