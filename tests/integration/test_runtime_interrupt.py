"""Ctrl-C on a real process: everything under way ends, and the process with it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]


def test_an_interrupt_ends_all_that_is_under_way() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.crash.interrupted"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert stderr == ""
    assert process.returncode == 0
    *ended, last = stdout.splitlines()
    assert set(ended) == {
        "ended tool a",
        "ended tool b",
        "ended thread",
        "ended agent's tool",
        "ended model",
    }
    assert last == "interrupted [] []"
    assert not psutil.pid_exists(process.pid)
