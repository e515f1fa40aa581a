"""A finished run as a timeline: what ran when, beside what, and for how many tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentrt.cli.one_at_a_time import OneAtATime, max_parallel, node_seconds
from agentrt.cli.timeline_rows import Gap, Row, rows_of
from agentrt.ir.report import NodeReport, total_usage

_COLOURS = {
    "llm": "magenta",
    "tool": "cyan",
    "agent": "yellow",
    "plan": "yellow",
    "map": "blue",
    "branch": "blue",
    "loop": "blue",
}
_MARKS = {"failed": "failed", "cancelled": "cancelled", "skipped": "skipped"}
_LEVELS = "▁▂▃▄▅▆▇█"
_NARROWEST_BAR = 10
_NUMBERS_WIDTH = 36
_TIME_WIDTH = 20
_LONGEST_IN_SECONDS = 100
_LONGEST_IN_MINUTES = 60


def draw_timeline(
    console: Console,
    nodes: Sequence[NodeReport],
    *,
    duration_s: float,
    estimate: OneAtATime | None = None,
) -> None:
    """Print the timeline and its summary, as wide as the console."""
    if nodes:
        console.print(_table(console, nodes))
    for line in summary(nodes, duration_s=duration_s, estimate=estimate):
        console.print(Text(line), soft_wrap=True)


def summary(
    nodes: Sequence[NodeReport], *, duration_s: float, estimate: OneAtATime | None = None
) -> list[str]:
    """The lines under a timeline. Only what was measured, or says how it was found."""
    usage = total_usage(nodes)
    restored = sum(node.is_restored for node in nodes)
    lines = [
        f"wall time {seconds(duration_s)}, calls {seconds(node_seconds(nodes))} in all,"
        f" at most {max_parallel(nodes)} at once"
        + (f", {restored} restored from the store" if restored else "")
    ]
    if usage.prompt_tokens:
        lines.append(
            f"tokens: prompt {usage.prompt_tokens:,}, of them cached {usage.cached_tokens:,}"
            f" (hit ratio {usage.cached_tokens / usage.prompt_tokens:.0%}),"
            f" completion {usage.completion_tokens:,}"
        )
    if estimate is not None:
        lines.append(f"one call at a time: {seconds(estimate.seconds)} ({estimate.basis})")
    return lines


def seconds(value: float) -> str:
    """A duration for people: three figures at most."""
    if round(value, 3) < 1:
        return f"{value * 1000:.0f} ms"
    if round(value, 1) < _LONGEST_IN_SECONDS:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < _LONGEST_IN_MINUTES:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def bar(row: Row, *, total_s: float, width: int, is_ascii: bool = False) -> str:
    """`width` characters, the run from left to right; a group's height is how many run there."""
    if total_s <= 0 or not row.spans:
        return " " * width
    counts = [0] * width
    for start, end in row.spans:
        first = min(int(min(start / total_s, 1) * width), width - 1)
        last = min(max(math.ceil(min(end / total_s, 1) * width), first + 1), width)
        for cell in range(first, last):
            counts[cell] += 1
    full = "#" if is_ascii else ("░" if row.is_restored else "█")
    if row.count == 1 or is_ascii:
        return "".join(full if count else " " for count in counts)
    highest = max(counts)
    return "".join(
        _LEVELS[math.ceil(count / highest * len(_LEVELS)) - 1] if count else " " for count in counts
    )


def _table(console: Console, nodes: Sequence[NodeReport]) -> Table:
    rows = rows_of(nodes)
    total_s = max((node.finished_s or 0.0 for node in nodes), default=0.0)
    labels = [row.label for row in rows if isinstance(row, Row)]
    label_width = min(max(map(len, labels)), max(console.width * 2 // 5, 12))
    has_calls = any(isinstance(row, Row) and row.kind == "llm" for row in rows)
    has_numbers = has_calls and console.width - label_width - _NUMBERS_WIDTH >= _NARROWEST_BAR
    bar_width = console.width - label_width - (_NUMBERS_WIDTH if has_numbers else _TIME_WIDTH)
    bar_width = min(max(bar_width, _NARROWEST_BAR), 100)
    is_ascii = not console.encoding.lower().startswith("utf")
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("node", width=label_width, no_wrap=True, overflow="ellipsis")
    table.add_column(f"0 to {seconds(total_s)}", width=bar_width, no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    if has_numbers:
        table.add_column("prompt", justify="right", no_wrap=True)
        table.add_column("cached", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        if isinstance(row, Gap):
            table.add_row(Text(f"... {row.count} more", style="dim"))
            continue
        drawn = bar(row, total_s=total_s, width=bar_width, is_ascii=is_ascii)
        style = "red" if row.status == "failed" else _COLOURS.get(row.kind, "")
        cells = [Text(row.label), Text(drawn, style=style), Text(_time(row))]
        if has_numbers:
            usage = row.usage
            is_call = row.kind == "llm"
            cells.append(Text(f"{usage.prompt_tokens:,}" if is_call else ""))
            cells.append(Text(f"{usage.cached_tokens:,}" if is_call else ""))
        table.add_row(*cells, Text(_remarks(row), style="dim"))
    return table


def _time(row: Row) -> str:
    return seconds(row.duration_s) if row.spans else "-"


def _remarks(row: Row) -> str:
    found = [_MARKS[row.status]] if row.status in _MARKS else []
    if row.is_restored:
        found.append("restored")
    if row.attempts > 1:
        found.append(f"{row.attempts} tries")
    return ", ".join(found)
