"""Where the state of slots is saved: memory with a file's name, or a private folder."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Protocol


class SaveArea(Protocol):
    """Files that the engine writes and reads by name in `folder`."""

    @property
    def folder(self) -> str:
        """With a separator at its end, as the engine wants it."""
        ...

    def create(self) -> str:
        """The name of a new, empty file.

        Raises:
            OSError: there is no room for one.
        """
        ...

    def remove(self, name: str) -> None:
        """Forget a file that the engine is certain not to write any more; after `close`, nothing."""
        ...

    def close(self) -> None:
        """Remove all files. The engine must have ended."""
        ...


def open_save_area() -> SaveArea:
    """Memory where the system has it (Linux), else a temporary folder."""
    if sys.platform == "linux" and Path(_DESCRIPTORS).is_dir():
        return MemoryFiles()
    return FolderFiles()


_DESCRIPTORS = "/proc/self/fd/"


class MemoryFiles:
    """Memory that only this user's processes can reach, and that goes with this one.

    The engine opens a descriptor by its number. So a number must never be free for another file
    while a write to it may still be on its way: whoever is not certain does not `remove` it.
    """

    def __init__(self) -> None:
        self.folder = f"/proc/{os.getpid()}/fd/"  # for the engine, which is another process
        self._open: set[int] = set()
        self._is_closed = False

    def create(self) -> str:
        if self._is_closed:
            raise OSError(errno.EBADF, "the engine that saved here has ended")
        descriptor = os.memfd_create("agentrt-prefix")
        self._open.add(descriptor)
        return str(descriptor)

    def remove(self, name: str) -> None:
        # Requests of an engine that died may come after `close`: by then the number is another's.
        if int(name) in self._open:
            self._open.remove(int(name))
            os.close(int(name))

    def close(self) -> None:
        self._is_closed = True
        while self._open:
            os.close(self._open.pop())


class FolderFiles:
    """A folder that only this user can read."""

    def __init__(self) -> None:
        self._path = Path(tempfile.mkdtemp(prefix="agentrt-slots-"))  # mode 0700
        self._created = 0

    @property
    def folder(self) -> str:
        return f"{self._path}{os.sep}"

    def create(self) -> str:
        self._created += 1
        return f"{self._created}.bin"

    def remove(self, name: str) -> None:
        with suppress(OSError):
            (self._path / name).unlink()

    def close(self) -> None:
        shutil.rmtree(self._path, ignore_errors=True)
