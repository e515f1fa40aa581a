"""Which process this is, and whether another one still lives: what a claim on a run rests on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# As text, and not as a fact that type checkers fold: they would see only their own system's half.
_PLATFORM: str = sys.platform


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, told apart from a later one that has its pid.

    Attributes:
        host: Where its pid has a meaning: the host's name, this boot of it, this pid namespace
            (two containers on one machine have the same boot).
        started: When it started, in whatever form the system tells it; "" if it does not.
    """

    host: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.partition('/')[0]}"


def this_process() -> ProcessIdentity:
    """The calling process."""
    return ProcessIdentity(_host(), os.getpid(), _started(os.getpid()) or "")


def is_alive(process: ProcessIdentity) -> bool | None:
    """Whether `process` still runs; None: that cannot be seen from here."""
    if process.host != _host() or not process.started:
        return None
    if _PLATFORM == "win32":
        return None  # there os.kill(pid, 0) is no question but an interrupt
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's process has that pid: it may well be the one
    started = _started(process.pid)
    return started is None or started == process.started


def _host() -> str:
    return "/".join(
        (
            socket.gethostname(),
            _read("/proc/sys/kernel/random/boot_id"),
            _read_link("/proc/self/ns/pid"),
        )
    )


def _started(pid: int) -> str | None:
    """When `pid` started: "" if it has ended but for its parent's wait; None if nobody says."""
    stat = _read(f"/proc/{pid}/stat")
    if stat:
        # The name, in parentheses, may hold anything, spaces and parentheses included.
        fields = stat.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    if _PLATFORM in {"linux", "win32"}:
        return None
    asked = subprocess.run(  # noqa: S603  a fixed program and a number
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _read_link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
