"""One process at a time, by a lock on a file that the system lets go when its holder dies."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

_POLL_S = 0.1


@contextlib.contextmanager
def file_lock(path: Path, *, while_waiting: Callable[[], None]) -> Generator[None]:
    """Hold the lock on `path`; `while_waiting` runs between tries, and may raise to give up."""
    with path.open("ab") as file:
        while not _try_lock(file.fileno()):
            while_waiting()
            time.sleep(_POLL_S)
        yield  # closing the file lets go of the lock


if sys.platform == "win32":

    def _try_lock(descriptor: int) -> bool:
        import msvcrt  # noqa: PLC0415

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _try_lock(descriptor: int) -> bool:
        import fcntl  # noqa: PLC0415

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
