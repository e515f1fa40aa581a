"""A run as it goes, for logs: a line when something ended."""

from __future__ import annotations

from typing import assert_never

from agentrt.cli.output import tell
from agentrt.cli.timeline_rows import short_label
from agentrt.ir.event import (
    AttemptFailed,
    Event,
    NodeFailed,
    NodeFinished,
    NodeSkipped,
    NodeStarted,
    RunFinished,
    RunStarted,
    TokensReceived,
)

_CALLS = {"tool", "llm"}
_LINES = 200
_THEN_EVERY = 100


class PlainProgress:
    """One line when a call ends; after the first 200, one for every hundred."""

    def __init__(self) -> None:
        self._ended = 0

    def on_event(self, event: Event) -> None:
        match event:
            case RunStarted():
                verb = "resumed" if event.is_resumed else "started"
                tell(f"run {event.run_id} of {event.workflow} {verb}")
            case AttemptFailed():
                wait = f"next try in {event.retry_in_s:.1f} s"
                tell(f"{short_label(event.node_id)}: try {event.attempt} failed, {wait}:")
                tell(f"  {event.error}")
            case NodeFinished():
                if event.kind in _CALLS:
                    self._say(_ended_line(event))
            case NodeFailed():
                tell(f"{short_label(event.node_id)}: failed: {event.error}")
            case NodeSkipped():
                self._say(f"{short_label(event.node_id)}: skipped, {event.because} failed")
            case RunFinished():
                tell(f"run {event.run_id} {event.status} after {event.at_s:.1f} s")
            case NodeStarted() | TokensReceived():
                pass
            case _:
                assert_never(event)

    def _say(self, line: str) -> None:
        self._ended += 1
        if self._ended <= _LINES:
            tell(line)
        elif self._ended % _THEN_EVERY == 0:
            tell(f"{self._ended} calls ended")


def _ended_line(event: NodeFinished) -> str:
    label = short_label(event.node_id)
    if event.is_restored:
        return f"{label}: restored"
    took = f"{label}: finished in {event.at_s - event.started_s:.1f} s"
    usage = event.usage
    if event.kind != "llm" or not usage.total_tokens:
        return took
    return (
        f"{took}, {usage.prompt_tokens:,} prompt tokens ({usage.cached_tokens:,} cached),"
        f" {usage.completion_tokens:,} completion tokens"
    )
