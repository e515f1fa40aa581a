"""Which progress suits: a live table on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator

from agentrt.cli.plain_progress import PlainProgress
from agentrt.clock import Clock
from agentrt.ir.event import Event


@contextlib.contextmanager
def watching(clock: Clock, *, is_quiet: bool) -> Generator[Callable[[Event], None]]:
    """The progress that suits stderr, on screen for the time of the block."""
    if is_quiet:
        yield lambda event: None  # noqa: ARG005  nobody looks
        return
    if sys.stderr is None or not sys.stderr.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        yield PlainProgress().on_event
        return
    from rich.console import Console  # noqa: PLC0415  rich is loaded only where it draws
    from rich.live import Live  # noqa: PLC0415

    from agentrt.cli.live_progress import LiveProgress  # noqa: PLC0415

    progress = LiveProgress(clock)
    console = Console(stderr=True, highlight=False)
    if console.is_dumb_terminal:
        yield PlainProgress().on_event
        return
    with Live(progress, console=console, refresh_per_second=8, transient=True):
        yield progress.on_event
