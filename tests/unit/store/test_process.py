"""Whether a process still lives, asked of real ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from agentrt.store import process
from agentrt.store.process import ProcessIdentity, is_alive, this_process


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    yield child
    if child.poll() is None:
        child.kill()
    child.communicate()


def identity_of(child: subprocess.Popen[str]) -> ProcessIdentity:
    started = process._started(child.pid)
    assert started
    return replace(this_process(), pid=child.pid, started=started)


def test_this_process_is_alive_and_names_itself_the_same_each_time() -> None:
    assert this_process() == this_process()
    assert is_alive(this_process()) is True


def test_a_killed_process_is_dead_before_and_after_its_parent_waits_for_it(
    other: subprocess.Popen[str],
) -> None:
    who = identity_of(other)
    assert is_alive(who) is True
    other.kill()
    while process._started(other.pid):  # until the kill arrives: it stays, a zombie
        pass
    assert is_alive(who) is False
    other.wait()
    assert is_alive(who) is False


def test_a_later_process_with_the_same_pid_is_another() -> None:
    assert is_alive(replace(this_process(), started="1")) is False


def test_what_runs_on_another_machine_cannot_be_told() -> None:
    assert is_alive(replace(this_process(), host="elsewhere/boot/ns")) is None


def test_without_a_start_time_nothing_is_claimed_to_be_known() -> None:
    assert is_alive(replace(this_process(), started="")) is None


def test_on_windows_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PLATFORM", "win32")
    assert is_alive(this_process()) is None


@pytest.mark.skipif(sys.platform == "win32", reason="asks /bin/ps")
def test_where_there_is_no_proc_ps_tells_when_a_process_started(
    monkeypatch: pytest.MonkeyPatch, other: subprocess.Popen[str]
) -> None:
    monkeypatch.setattr(process, "_PLATFORM", "darwin")
    monkeypatch.setattr(process, "_read", lambda _path: "")
    who = identity_of(other)
    assert is_alive(who) is True
    assert is_alive(replace(who, started="Mon Jan  1 00:00:00 2001")) is False
    other.kill()
    other.wait()
    assert is_alive(who) is False


def test_a_process_reads_as_its_number_and_host() -> None:
    assert str(ProcessIdentity("host/boot/ns", 7, "1")) == "process 7 on host"
