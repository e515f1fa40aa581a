"""Ctrl-C: the first cancels the run and waits for its clean-up, the second kills."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Self

from agentrt.cli.output import tell

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_EXIT_BASE = 128


class Interrupts:
    """Takes SIGINT and SIGTERM for the time of a block, on the running loop.

    Attributes:
        signal: What arrived, or None.
    """

    def __init__(self, cancel: Callable[[], None] | None = None) -> None:
        self._cancel = cancel
        self.signal: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that this signal ended."""
        return _EXIT_BASE + (self.signal or signal.SIGINT)

    def cancel_with(self, cancel: Callable[[], None]) -> None:
        """From now on, an interrupt calls `cancel`; at once if one has arrived already."""
        self._cancel = cancel
        if self.signal is not None:
            cancel()

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._arrived, number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.signal is None:
            self._release()

    def _arrived(self, number: signal.Signals) -> None:
        self.signal = number
        self._release()
        # What is left to do takes no decision from us any more: the next one ends the process.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        tell("interrupted: stopping what runs (Ctrl-C again kills)")
        if self._cancel is not None:
            self._cancel()

    def _release(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)
