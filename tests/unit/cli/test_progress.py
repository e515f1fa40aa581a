import io
from collections.abc import Iterable

import pytest
from rich.console import Console

from agentrt.cli.live_progress import LiveProgress, printable
from agentrt.cli.plain_progress import PlainProgress
from agentrt.clock import VirtualClock
from agentrt.ir.event import (
    AttemptFailed,
    Event,
    NodeFailed,
    NodeFinished,
    NodeKind,
    NodeSkipped,
    NodeStarted,
    RunFinished,
    RunStarted,
    TokensReceived,
)
from agentrt.ir.request import Usage


def started(node_id: str, kind: NodeKind = "llm") -> Event:
    return NodeStarted("r1", node_id, kind, 1, 0.0)


def finished(
    node_id: str, kind: NodeKind = "llm", usage: Usage = Usage(), *, is_restored: bool = False
) -> Event:
    return NodeFinished("r1", node_id, kind, None, usage, 0.0, 2.0, is_restored)


def plain(events: Iterable[Event], capsys: pytest.CaptureFixture[str]) -> list[str]:
    progress = PlainProgress()
    for event in events:
        progress.on_event(event)
    return capsys.readouterr().err.splitlines()


def live(events: Iterable[Event], *, passed_s: float = 0.0, height: int = 25) -> list[str]:
    clock = VirtualClock()
    progress = LiveProgress(clock)
    for event in events:
        progress.on_event(event)
    clock.advance(passed_s)
    file = io.StringIO()
    Console(file=file, width=100, height=height, color_system=None).print(progress)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_plain_progress_tells_each_call_that_ends_and_no_region(
    capsys: pytest.CaptureFixture[str],
) -> None:
    events = [
        RunStarted("r1", "digest", 0.0),
        started("a"),
        TokensReceived("r1", "a", "text", 0.5),
        AttemptFailed("r1", "a", 1, "HTTP 503", 0.25, 1.0),
        finished("a", usage=Usage(1200, 20, 30)),
        finished("m", "map"),
        finished("t", "tool", is_restored=True),
        NodeFailed("r1", "b", "no", 1.0),
        NodeSkipped("r1", "c", "b", 1.0),
        RunFinished("r1", "failed", 2.0),
    ]
    assert plain(events, capsys) == [
        "run r1 of digest started",
        "a: try 1 failed, next try in 0.2 s:",
        "  HTTP 503",
        "a: finished in 2.0 s, 1,200 prompt tokens (20 cached), 30 completion tokens",
        "t: restored",
        "b: failed: no",
        "c: skipped, b failed",
        "run r1 failed after 2.0 s",
    ]


def test_plain_progress_of_a_thousand_calls_is_not_a_thousand_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = plain([finished(f"m[{number}].f", "tool") for number in range(1000)], capsys)
    assert len(lines) == 208
    assert lines[-1] == "1000 calls ended"


def test_live_progress_shows_what_runs_for_how_long_and_the_end_of_its_text() -> None:
    events = [
        RunStarted("r1", "digest", 0.0),
        started("m", "map"),
        started("m[0].m"),
        TokensReceived("r1", "m[0].m", "Once upon\x1b[2J a time", 0.5),
        TokensReceived("r1", "unknown", "lost", 0.5),
        started("t", "tool"),
        started("done", "tool"),
        finished("done", "tool"),
    ]
    assert live(events, passed_s=3.0) == [
        "digest  r1  3 s, 2 running, 1 finished",
        "m[0]    3.0 s  Once upon [2J a time",
        "t       3.0 s",
    ]


def test_live_progress_counts_what_ended_and_how() -> None:
    events = [
        started("a"),
        AttemptFailed("r1", "a", 1, "HTTP 503", 0.2, 1.0),
        finished("a", usage=Usage(1500, 500, 40)),
        finished("b", is_restored=True),
        started("c"),
        NodeFailed("r1", "c", "no", 1.0),
        NodeSkipped("r1", "d", "c", 1.0),
        finished("region", "agent", Usage(1500, 500, 40)),
    ]
    assert live(events) == [
        "  0 s, 0 running, 2 finished, 1 restored, 1 retried, 1 failed,"
        " tokens 1,500 in (500 cached), 40 out"
    ]


def test_live_progress_fits_the_terminal_whatever_runs() -> None:
    lines = live([started(f"m[{number}].m") for number in range(500)], height=10)
    assert len(lines) == 8
    assert lines[-1] == "and 494 more"
    assert live([started("a"), RunFinished("r1", "cancelled", 1.0)]) == [
        "  0 s, 0 running, 0 finished"
    ]


def test_text_from_a_model_cannot_command_a_terminal() -> None:
    assert printable("a\x1b[31mb\r\n\tc\x07\u202e") == "a [31mb   c  "
