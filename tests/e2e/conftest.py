"""`agentrt` as a user has it: a process of its own, in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLOWS = Path(__file__).parent / "flows"
NOBODY = "http://127.0.0.1:1"
PATIENCE_S = 60


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout; anything beside it is an error."""
        value = json.loads(self.stdout)
        assert isinstance(value, dict)
        return value


@dataclass
class Shell:
    """Runs `python -m agentrt`; what is still running at the end of the test is killed."""

    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "AGENTRT" not in name}
        return kept | {
            "AGENTRT_BACKEND": NOBODY,
            "AGENTRT_DATA": str(self.folder / "data"),
            "COLUMNS": "100",
            "PYTHONUNBUFFERED": "1",
        }

    def __call__(
        self, *words: str, given: str | None = None, env: dict[str, str] | None = None
    ) -> Done:
        done = subprocess.run(  # noqa: S603  our own words
            [sys.executable, "-m", "agentrt", *words],
            input=given if given is not None else "",
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            env=self.environment | (env or {}),
            timeout=PATIENCE_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(
        self,
        *words: str,
        stdin: int = subprocess.DEVNULL,
        stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603  our own words
            [sys.executable, "-m", "agentrt", *words],
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            env=self.environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        self.processes.append(process)
        return process

    def finish(self, process: subprocess.Popen[str]) -> Done:
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
        return Done(process.returncode, stdout or "", stderr or "")


@pytest.fixture
def agentrt(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    for process in shell.processes:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


@pytest.fixture
def flow() -> Callable[[str], str]:
    """The target of a workflow of these tests, by `file:workflow`."""

    def target(text: str) -> str:
        file, _, name = text.partition(":")
        return f"{FLOWS / file}.py" + (f":{name}" if name else "")

    return target


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Poll until `condition` gives something true; fails the test if it never does."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    pytest.fail(f"never happened: {what}")
