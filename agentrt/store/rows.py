"""Records as rows, and back. A row's values stand in the order of its table's columns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from agentrt.errors import StoreError
from agentrt.ir.request import Usage
from agentrt.ir.schema import Json
from agentrt.store.base import (
    AttemptRecord,
    EventRecord,
    NodeRecord,
    Record,
    RunRecord,
    StoredRun,
)
from agentrt.store.codec import decode_json, decode_text, encode_json, encode_text

TableName: TypeAlias = Literal["graphs", "runs", "nodes", "attempts", "events"]
TABLE_NAMES: tuple[TableName, ...] = ("graphs", "runs", "nodes", "attempts", "events")
Row: TypeAlias = tuple[Any, ...]

GRAPH_COLUMNS = ("key", "graph")
RUN_COLUMNS = (
    "run_id",
    "workflow",
    "target",
    "graph_hash",
    "graph_key",
    "input",
    "status",
    "output",
    "error",
    "created_at",
    "duration_s",
)
NODE_COLUMNS = (
    "run_id",
    "node_id",
    "kind",
    "status",
    "value",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "attempts",
    "started_s",
    "finished_s",
)
ATTEMPT_COLUMNS = (
    "run_id",
    "node_id",
    "attempt",
    "started_s",
    "finished_s",
    "status",
    "error",
    "model",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "ttft_s",
    "detail",
)
EVENT_COLUMNS = ("run_id", "seq", "kind", "at_s", "node_id", "body")

_MAX_TOKENS = 2**40
"""Far more than any call has, and few enough that a database can add millions of them."""


@dataclass(frozen=True, slots=True)
class GraphText:
    """A graph as JSON, under the hash of that text: kept once, however many runs share it."""

    key: str
    text: str


class GraphTexts:
    """Graphs as text. Runs of one workflow share its graph, and a run is written at least twice."""

    def __init__(self) -> None:
        self._last: tuple[Json, GraphText] | None = None

    def of(self, record: RunRecord) -> GraphText:
        if self._last is not None and self._last[0] is record.graph:
            return self._last[1]
        text = encode_json(record.graph, what=f"The graph of run {record.run_id!r}")
        graph = GraphText(hashlib.sha256(text.encode()).hexdigest(), text)
        self._last = (record.graph, graph)
        return graph


def run_row(record: RunRecord, graph_key: str) -> Row:
    """A row of `runs`, but for its last column, `claimed_by`."""
    run_id = record.run_id
    return (
        encode_text(run_id),
        encode_text(record.workflow),
        encode_text(record.target),
        encode_text(record.graph_hash),
        graph_key,
        encode_json(record.input, what=f"The input of run {run_id!r}"),
        record.status,
        encode_json(record.output, what=f"The output of run {run_id!r}"),
        _optional_text(record.error),
        record.created_at,
        record.duration_s,
    )


def _node_row(record: NodeRecord) -> Row:
    usage = record.usage
    node_id = record.node_id
    return (
        encode_text(record.run_id),
        encode_text(node_id),
        record.kind,
        record.status,
        "null"
        if record.value is None
        else encode_json(record.value, what=f"The value of node {node_id!r}"),
        *_tokens(usage, node_id),
        record.attempts,
        record.started_s,
        record.finished_s,
    )


def _attempt_row(record: AttemptRecord) -> Row:
    return (
        encode_text(record.run_id),
        encode_text(record.node_id),
        record.attempt,
        record.started_s,
        record.finished_s,
        record.status,
        _optional_text(record.error),
        encode_text(record.model),
        *_tokens(record.usage, record.node_id),
        record.ttft_s,
        encode_json(record.detail, what=f"The detail of an attempt at {record.node_id!r}"),
    )


def _event_row(record: EventRecord) -> Row:
    return (
        encode_text(record.run_id),
        record.seq,
        encode_text(record.kind),
        record.at_s,
        _optional_text(record.node_id),
        encode_json(record.body, what=f"The body of event {record.seq} ({record.kind})"),
    )


ENCODERS: Mapping[type[Record], tuple[TableName, Callable[[Any], Row]]] = {
    NodeRecord: ("nodes", _node_row),
    AttemptRecord: ("attempts", _attempt_row),
    EventRecord: ("events", _event_row),
}
"""For every record but `RunRecord`, whose graph goes into a table of its own."""


def read_run(row: Sequence[Any], graph_text: str) -> RunRecord:
    """From the values of `RUN_COLUMNS`."""
    return RunRecord(
        run_id=decode_text(row[0]),
        workflow=decode_text(row[1]),
        target=decode_text(row[2]),
        graph_hash=decode_text(row[3]),
        graph=decode_json(graph_text),
        input=decode_json(row[5]),
        status=row[6],
        output=decode_json(row[7]),
        error=read_optional_text(row[8]),
        created_at=row[9],
        duration_s=row[10],
    )


def read_stored_run(
    run: RunRecord,
    *,
    nodes: Sequence[Sequence[Any]],
    attempts: Sequence[Sequence[Any]],
    events: Sequence[Sequence[Any]],
) -> StoredRun:
    """From rows in the order they are to have."""
    return StoredRun(
        run=run,
        nodes=tuple(_read_node(row) for row in nodes),
        attempts=tuple(_read_attempt(row) for row in attempts),
        events=tuple(_read_event(row) for row in events),
    )


def read_optional_text(text: str | None) -> str | None:
    """`decode_text`, where there is a text."""
    return None if text is None else decode_text(text)


def _read_node(row: Sequence[Any]) -> NodeRecord:
    return NodeRecord(
        run_id=decode_text(row[0]),
        node_id=decode_text(row[1]),
        kind=row[2],
        status=row[3],
        value=decode_json(row[4]),
        usage=Usage(row[5], row[6], row[7]),
        attempts=row[8],
        started_s=row[9],
        finished_s=row[10],
    )


def _read_attempt(row: Sequence[Any]) -> AttemptRecord:
    return AttemptRecord(
        run_id=decode_text(row[0]),
        node_id=decode_text(row[1]),
        attempt=row[2],
        started_s=row[3],
        finished_s=row[4],
        status=row[5],
        error=read_optional_text(row[6]),
        model=decode_text(row[7]),
        usage=Usage(row[8], row[9], row[10]),
        ttft_s=row[11],
        detail=decode_json(row[12]),
    )


def _read_event(row: Sequence[Any]) -> EventRecord:
    return EventRecord(
        run_id=decode_text(row[0]),
        seq=row[1],
        kind=decode_text(row[2]),
        at_s=row[3],
        node_id=read_optional_text(row[4]),
        body=decode_json(row[5]),
    )


def _optional_text(text: str | None) -> str | None:
    return None if text is None else encode_text(text)


def _tokens(usage: Usage, node_id: str) -> tuple[int, int, int]:
    """Counts come from servers: one that no database holds must not sink its whole group."""
    counts = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)
    if not 0 <= min(counts) <= max(counts) <= _MAX_TOKENS:
        raise StoreError(f"The usage of node {node_id!r} cannot be stored: {usage}.")
    return counts
