"""Node reports as the rows of a timeline: labels, spans, and groups where there are too many."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentrt.ir.report import NodeReport
from agentrt.ir.request import Usage

_INDEX = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the timeline: an instance, or `count` instances of one node.

    Attributes:
        spans: (start, end) in seconds since the run started, in order of start.
        duration_s: The spans' lengths added up.
        status: The worst there is in the row.
    """

    label: str
    kind: str
    spans: tuple[tuple[float, float], ...]
    duration_s: float
    usage: Usage = Usage()
    attempts: int = 1
    status: str = "finished"
    is_restored: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows left out in the middle."""

    count: int


def rows_of(nodes: Sequence[NodeReport], *, limit: int = 40) -> list[Row | Gap]:
    """One row per instance by start; over `limit`, the largest groups of siblings become one row.

    What is still too long after that loses its middle.
    """
    groups: dict[str, list[NodeReport]] = {}
    for node in sorted(nodes, key=_by_start):
        groups.setdefault(_INDEX.sub("[]", node.node_id), []).append(node)
    collapsed: set[str] = set()
    total = len(nodes)
    for pattern, members in sorted(groups.items(), key=lambda group: -len(group[1])):
        if total <= limit or len(members) == 1:
            break
        collapsed.add(pattern)
        total -= len(members) - 1
    rows = [
        (min(map(_by_start, some)), _row(some))
        for pattern, members in groups.items()
        for some in ([members] if pattern in collapsed else [[member] for member in members])
    ]
    ordered: list[Row | Gap] = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
    if len(ordered) <= limit:
        return ordered
    head = limit // 2
    tail = limit - head - 1
    return [*ordered[:head], Gap(len(ordered) - head - tail), *ordered[len(ordered) - tail :]]


def short_label(node_id: str) -> str:
    """A node id without what it says twice: `summarise[0].summarise` is `summarise[0]`."""
    head, dot, last = node_id.rpartition(".")
    if dot and _INDEX.sub("", head.rpartition(".")[2]) == last:
        return head
    return node_id


def group_label(node_ids: Sequence[str]) -> str:
    """One name for instances of one node: `summarise[0..11]`."""
    columns = zip(*(_INDEX.findall(node_id) for node_id in node_ids), strict=True)
    ranges = iter([_range([int(number) for number in column]) for column in columns])
    return _INDEX.sub(lambda _: next(ranges), short_label(node_ids[0]))


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"[{low}]" if low == high else f"[{low}..{high}]"


def _by_start(node: NodeReport) -> tuple[float, bool]:
    """Regions first among those that start together; what never started comes last."""
    started = node.started_s if node.started_s is not None else float("inf")
    return (started, node.kind in {"tool", "llm"})


def _row(members: Sequence[NodeReport]) -> Row:
    spans = sorted(
        (node.started_s, node.finished_s)
        for node in members
        if node.started_s is not None and node.finished_s is not None
    )
    ranked = ("failed", "cancelled", "skipped", "finished")
    return Row(
        label=group_label([node.node_id for node in members]),
        kind=members[0].kind,
        spans=tuple(spans),
        duration_s=sum(node.duration_s for node in members),
        usage=sum((node.usage for node in members), Usage()),
        attempts=max(node.attempts for node in members),
        status=min((node.status for node in members), key=ranked.index),
        is_restored=all(node.is_restored for node in members),
        count=len(members),
    )
