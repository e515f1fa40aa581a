"""How long calls and programs waited for an engine to begin with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentrt.simulator.replay import CallRecord, Replay


def call_waits_s(replay: Replay) -> list[float]:
    """Of each call that was begun: from ready, to its engine beginning with it."""
    return [call.started_s - call.ready_s for call in replay.calls if call.started_s is not None]


def program_waits_s(replay: Replay) -> list[float]:
    """Of each program that finished: how long in all it had calls waiting, and none under way."""
    calls: list[list[CallRecord]] = [[] for _ in replay.programs]
    for call in replay.calls:
        calls[call.program].append(call)
    return [
        _stood_still_s(calls[program])
        for program, record in enumerate(replay.programs)
        if record.finished_s is not None
    ]


def _stood_still_s(calls: Sequence[CallRecord]) -> float:
    changes = sorted(_changes(calls))
    total_s, since = 0.0, 0.0
    waiting = running = 0
    for at, waits, runs in changes:
        if waiting and not running:
            total_s += at - since
        since = at
        waiting += waits
        running += runs
    return total_s


def _changes(calls: Sequence[CallRecord]) -> Iterable[tuple[float, int, int]]:
    """When the number of calls that wait or run changes, and by how much."""
    for call in calls:
        if call.started_s is not None and call.finished_s is not None:
            yield (call.ready_s, 1, 0)
            yield (call.started_s, -1, 1)
            yield (call.finished_s, 0, -1)
