"""What a benchmark does now, on stderr: live on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from agentrt.cli.output import tell

_EVERY_S = 10.0


class Progress(Protocol):
    """Where it is told."""

    def say(self, text: str) -> None:
        """What is done now."""
        ...

    def counting(self, title: str) -> Callable[[int, int], None]:
        """A replay begins; what is returned is told (programs ended, programs in all)."""
        ...

    def note(self, line: str) -> None:
        """Something to keep on screen."""
        ...


@contextmanager
def watched(*, is_quiet: bool) -> Generator[Progress]:
    """The progress that suits stderr, on screen for the time of the block."""
    if is_quiet:
        yield _Quiet()
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        from rich.console import Console  # noqa: PLC0415  rich is loaded only where it draws

        with Console(stderr=True).status("loading") as status:
            yield _Live(status.update)


class _Quiet:
    def say(self, text: str) -> None:
        pass

    def counting(self, title: str) -> Callable[[int, int], None]:
        del title
        return lambda _ended, _of: None

    def note(self, line: str) -> None:
        pass


class _Lines:
    """A line when a replay begins and ends, and one every ten seconds in which programs end."""

    def say(self, text: str) -> None:
        tell(text)

    def counting(self, title: str) -> Callable[[int, int], None]:
        began = last = time.monotonic()
        tell(f"{title}: begins")

        def count(ended: int, of: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _EVERY_S:
                last = now
                tell(f"{title}: {ended} of {of} programs ended after {now - began:.0f} s")

        return count

    def note(self, line: str) -> None:
        tell(line)


class _Live:
    def __init__(self, update: Callable[[str], None]) -> None:
        self._update = update

    def say(self, text: str) -> None:
        self._update(text)

    def counting(self, title: str) -> Callable[[int, int], None]:
        began = time.monotonic()
        self._update(f"{title}: begins")
        return lambda ended, of: self._update(
            f"{title}: {ended} of {of} programs ended after {time.monotonic() - began:.0f} s"
        )

    def note(self, line: str) -> None:
        tell(line)
