import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Shell, wait_for

Flow = Callable[[str], str]


def lines(marks: Path) -> list[str]:
    return marks.read_text(encoding="utf-8").splitlines() if marks.exists() else []


def begun(marks: Path, mark: str) -> None:
    wait_for(lambda: any(line.startswith(mark) for line in lines(marks)), f"{mark} in the marks")


def start(agentrt: Shell, flow: Flow, name: str, *words: str) -> subprocess.Popen[str]:
    marks = str(agentrt.folder / "marks")
    target = flow(f"slow_flow:{name}")
    return agentrt.start("run", target, "--marks", marks, "--seconds", "600", *words)


def child_is_gone(marks: Path) -> bool:
    pid = next(int(line.split()[1]) for line in lines(marks) if line.startswith("child"))
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def only_run(agentrt: Shell) -> str:
    (run,) = agentrt("runs", "--json").json["runs"]
    return str(run["run_id"])


def test_a_stored_run_is_listed_and_shown(agentrt: Shell, flow: Flow) -> None:
    agentrt("run", flow("numbers_flow:main"), "--quiet")
    run_id = only_run(agentrt)
    listed = agentrt("runs")
    assert run_id in listed.stdout
    assert "finished" in listed.stdout
    shown = agentrt("show", run_id[:6])
    assert (shown.code, shown.stdout) == (0, "6\n")
    assert "double[2]" in shown.stderr
    run = agentrt("show", run_id, "--json").json
    assert (run["run_id"], run["status"], run["output"], run["input"], run["in_flight"]) == (
        run_id,
        "finished",
        6,
        {"count": 3, "bad": -1},
        [],
    )


def test_a_run_that_is_not_there_is_told(agentrt: Shell) -> None:
    shown = agentrt("show", "3f9c2a", "--json")
    assert (shown.code, shown.json["error"]["type"]) == (1, "StoreError")
    resumed = agentrt("resume", "3f9c2a", "--json")
    assert (resumed.code, resumed.json["error"]["type"]) == (1, "StoreError")


@pytest.mark.parametrize(
    "words",
    [
        ("runs",),
        ("show", "abc"),
        ("resume", "abc"),
        ("prefix", "abc"),
        ("runs", "export", "--all"),
    ],
)
def test_a_store_that_is_not_there_is_not_made_to_be_read(
    agentrt: Shell, words: tuple[str, ...]
) -> None:
    told = agentrt(*words, "--store", "sqlite:///missing.db")
    assert told.code == 2
    assert "there is no store" in told.stderr
    assert "missing.db" in told.stderr
    assert not (agentrt.folder / "missing.db").exists()
    in_memory = agentrt("runs", "--store", "memory:", "--json")
    assert in_memory.json == {"runs": []}


def test_no_runs_is_an_answer(agentrt: Shell) -> None:
    done = agentrt("runs")
    assert (done.code, done.stdout, done.stderr) == (0, "", "no runs yet\n")
    assert agentrt("runs", "--json").json == {"runs": []}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_an_interrupt_stops_the_run_cleans_up_and_says_how_to_go_on(
    agentrt: Shell, flow: Flow, number: signal.Signals, code: int
) -> None:
    marks = agentrt.folder / "marks"
    process = start(agentrt, flow, "nap")
    begun(marks, "child")
    process.send_signal(number)
    done = agentrt.finish(process)
    assert (done.code, done.stdout) == (code, "")
    assert child_is_gone(marks)
    assert f"hint: to go on: agentrt resume {only_run(agentrt)}" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupted_run_is_one_object_too(agentrt: Shell, flow: Flow) -> None:
    process = start(agentrt, flow, "nap", "--json", "--quiet")
    begun(agentrt.folder / "marks", "child")
    process.send_signal(signal.SIGINT)
    done = agentrt.finish(process)
    assert (done.code, done.json["status"]) == (130, "cancelled")


def test_the_second_interrupt_kills_what_does_not_stop(agentrt: Shell, flow: Flow) -> None:
    marks = agentrt.folder / "marks"
    process = start(agentrt, flow, "sleeper")
    begun(marks, "stubborn")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "Ctrl-C again kills" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    agentrt.finish(process)
    assert process.returncode == -signal.SIGINT


def test_a_killed_run_goes_on_without_doing_finished_work_again(agentrt: Shell, flow: Flow) -> None:
    marks = agentrt.folder / "marks"
    process = start(agentrt, flow, "nap")
    begun(marks, "child")
    process.kill()
    process.wait()
    pid = next(int(line.split()[1]) for line in lines(marks) if line.startswith("child"))
    os.kill(pid, signal.SIGKILL)
    run_id = only_run(agentrt)
    process = agentrt.start("resume", run_id)
    wait_for(lambda: sum(line.startswith("child") for line in lines(marks)) == 2, "slow again")
    process.send_signal(signal.SIGINT)
    assert agentrt.finish(process).code == 130
    assert lines(marks).count("quick") == 1


def killed_while_writing(agentrt: Shell, flow: Flow) -> str:
    process = agentrt.start(
        "run",
        flow("slow_flow:release"),
        "--marks",
        str(agentrt.folder / "marks"),
        "--seconds",
        "2",
    )
    begun(agentrt.folder / "marks", "publish")
    process.kill()
    process.wait()
    return only_run(agentrt)


def test_a_write_in_flight_is_not_decided_for_the_user(agentrt: Shell, flow: Flow) -> None:
    run_id = killed_while_writing(agentrt, flow)
    assert agentrt("show", run_id, "--json").json["in_flight"] == ["publish"]
    refused = agentrt("resume", run_id)
    assert (refused.code, refused.stdout) == (1, "")
    assert "error: one call was in flight when the run stopped: publish" in refused.stderr
    assert f"agentrt resume {run_id} --in-flight retry" in refused.stderr
    assert lines(agentrt.folder / "marks").count("publish") == 1


def test_a_write_in_flight_is_made_again_when_the_user_says_so(agentrt: Shell, flow: Flow) -> None:
    run_id = killed_while_writing(agentrt, flow)
    resumed = agentrt("resume", run_id, "--in-flight", "retry", "--json").json
    assert (resumed["status"], resumed["output"]) == ("finished", "published")
    assert lines(agentrt.folder / "marks") == ["quick", "publish", "publish"]


def test_on_a_terminal_the_user_is_asked_about_each_call(agentrt: Shell, flow: Flow) -> None:
    run_id = killed_while_writing(agentrt, flow)
    ours, theirs = pty.openpty()
    try:
        process = agentrt.start("resume", run_id, stdin=theirs)
        os.write(ours, b"what?\nr\n")
        done = agentrt.finish(process)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.code, done.stdout) == (0, "published\n")
    assert done.stderr.count("publish: make it again (r) or leave it out (s)?") == 2


def test_a_changed_workflow_is_refused_unless_forced(agentrt: Shell) -> None:
    file = agentrt.folder / "changing.py"
    source = (
        "from agentrt import tool, workflow\n\n"
        "@tool(effects='none', retries=0)\ndef first(n: int) -> int:\n    return n\n\n"
        "@tool(effects='none', retries=0)\ndef second(n: int) -> int:\n    raise ValueError(n)\n\n"
        "@workflow\ndef main(n: int) -> int:\n    return second(first(n))\n"
    )
    file.write_text(source, encoding="utf-8")
    assert agentrt("run", "changing.py", "--n", "4").code == 1
    run_id = only_run(agentrt)
    changed = source.replace("second(n: int)", "second(n: int, m: int)")
    changed = changed.replace("raise ValueError(n)", "return n + m")
    file.write_text(changed.replace("second(first(n))", "second(first(n), 1)"), encoding="utf-8")
    refused = agentrt("resume", run_id, "--json")
    assert (refused.code, refused.json["error"]["type"]) == (1, "ResumeError")
    assert "second" in refused.json["error"]["message"]
    assert "--force" in refused.stderr
    forced = agentrt("resume", run_id, "--force", "--json")
    assert (forced.code, forced.json["output"]) == (0, 5)
    assert [node["node_id"] for node in forced.json["nodes"] if node["is_restored"]] == ["first"]
