"""A run as it goes, for a terminal: what is running now, and the totals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from agentrt.cli.timeline_rows import short_label
from agentrt.clock import Clock
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
from agentrt.ir.request import Usage

_CALLS = {"tool", "llm"}
_ROWS = 12
_SNIPPET = 60


class LiveProgress:
    """What is running now, and the totals. A rich renderable that is drawn afresh each time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self._running: dict[str, tuple[str, float, str]] = {}
        self._title = ""
        self._finished = self._failed = self._restored = self._retries = 0
        self._usage = Usage()

    def on_event(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._title = f"{event.workflow}  {event.run_id}"
            case NodeStarted(kind="tool" | "llm"):
                self._running[event.node_id] = (event.kind, self._clock.now(), "")
            case NodeStarted():
                pass
            case TokensReceived():
                self._received(event)
            case NodeFinished():
                self._finish(event)
            case AttemptFailed() | NodeFailed() | NodeSkipped():
                self._running.pop(event.node_id, None)
                self._retries += isinstance(event, AttemptFailed)
                self._failed += isinstance(event, NodeFailed)
            case RunFinished():
                self._running.clear()
            case _:
                assert_never(event)

    def _received(self, event: TokensReceived) -> None:
        if event.node_id in self._running:
            kind, since, text = self._running[event.node_id]
            self._running[event.node_id] = (kind, since, (text + event.text)[-_SNIPPET:])

    def _finish(self, event: NodeFinished) -> None:
        self._running.pop(event.node_id, None)
        if event.kind in _CALLS:
            self._finished += 1
            self._restored += event.is_restored
        if event.kind == "llm":
            self._usage += event.usage

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Draw it; called from the refresh thread, so over a snapshot of what is running."""
        del options
        now = self._clock.now()
        running = list(self._running.items())
        # One table for all would give the totals' length to the first column.
        yield Text(self._totals(now, len(running)), style="bold", no_wrap=True, overflow="ellipsis")
        rows = min(_ROWS, max(console.height - 4, 1))
        table = Table.grid(padding=(0, 2), expand=False)
        for node_id, (kind, since, text) in running[:rows]:
            colour = "magenta" if kind == "llm" else "cyan"
            table.add_row(
                Text(short_label(node_id), style=colour, no_wrap=True, overflow="ellipsis"),
                Text(f"{now - since:5.1f} s"),
                Text(printable(text), style="dim", no_wrap=True, overflow="ellipsis"),
            )
        if running:
            yield table
        if len(running) > rows:
            yield Text(f"and {len(running) - rows} more", style="dim")

    def _totals(self, now: float, running: int) -> str:
        usage = self._usage
        parts = [f"{now - self._began:.0f} s", f"{running} running", f"{self._finished} finished"]
        if self._restored:
            parts.append(f"{self._restored} restored")
        if self._retries:
            parts.append(f"{self._retries} retried")
        if self._failed:
            parts.append(f"{self._failed} failed")
        if usage.total_tokens:
            parts.append(
                f"tokens {usage.prompt_tokens:,} in"
                f" ({usage.cached_tokens:,} cached), {usage.completion_tokens:,} out"
            )
        return f"{self._title}  " + ", ".join(parts)


def printable(text: str) -> str:
    """A model's text on one line, with nothing in it that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)
