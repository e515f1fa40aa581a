"""`agentrt simulate` as a user has it."""

from __future__ import annotations

import signal
import subprocess
from xml.etree import ElementTree

import psutil
import pytest

from agentrt.simulator.comparison import FIGURES
from tests.e2e.conftest import Shell, wait_for

SMALL = ("made:browser", "--programs", "8", "--kv-blocks", "3000", "--at-once", "4")


def test_a_comparison_is_one_table_with_what_was_modelled(agentrt: Shell) -> None:
    done = agentrt("simulate", *SMALL, "--compare", "fcfs,best-cap,occupancy:headroom=0.2")
    assert (done.code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert any(line.split() == ["fcfs", "best-cap", "occupancy:headroom=0.2"] for line in lines), (
        done.stdout
    )
    rows = [line.split()[0] for line in lines if line and line.split()[0] in FIGURES]
    # Nothing was shed or prewarmed, nobody has a deadline, and one figure has two names.
    absent = {"max_call_wait_s", "prewarmed_tokens", "shed", "slo_attainment"}
    assert rows == [figure for figure in FIGURES if figure not in absent]
    assert any(line.startswith("best-cap: cap-") and "tried: " in line for line in lines)
    assert lines[-2:] == [
        "modelled:",
        "- All of it is made up, from the parameters 'browser', seed 0.",
    ]


def test_json_is_one_object_with_settings_and_the_same_bytes_each_time(agentrt: Shell) -> None:
    words = ("simulate", *SMALL, "--compare", "fcfs,best-cap", "--seeds", "2", "--seed", "3")
    done = agentrt(*words, "--json")
    assert (done.code, agentrt(*words, "--json").stdout) == (0, done.stdout)
    assert (done.json["workload"], done.json["seed"], done.json["seeds"]) == ("made:browser", 3, 2)
    assert done.json["settings"] == {
        "format": None,
        "engine": "llama-3-8b-a100",
        "replicas": 1,
        "kv_blocks": 3000,
        "held_blocks": 0,
        "tenants": None,
        "deadline": None,
        "block_tokens": 16,
        "programs": 8,
    }
    fcfs, best = done.json["results"]
    assert (fcfs["policy"], best["policy"]) == ("fcfs", "best-cap")
    for result in (fcfs, best):
        assert result["load"] == {"kind": "closed_loop", "programs_at_once": 4}
        assert [run["seed"] for run in result["runs"]] == [3, 4]
        assert result["slo_attainment"] is result["ranges"]["slo_attainment"] is None
        for figure in set(FIGURES) - {"slo_attainment"}:
            least, most = result["ranges"][figure]
            assert least <= result[figure] <= most
            assert sorted(run[figure] for run in result["runs"]) == [least, most]
    assert {trial["cap"] for trial in best["runs"][0]["tried"]} >= {best["runs"][0]["cap"], 4}


def test_any_number_of_jobs_gives_the_same_bytes(agentrt: Shell) -> None:
    words = ("simulate", *SMALL, "--compare", "fcfs,best-cap,occupancy", "--seeds", "2", "--json")
    alone = agentrt(*words, "--jobs", "1")
    assert alone.code == 0
    assert agentrt(*words, "--jobs", "3").stdout == alone.stdout


def test_tenants_have_figures_and_deadlines(agentrt: Shell) -> None:
    words = ("--oversubscription", "2", "--arrivals", "poisson", "--tenants", "few=1,many=3")
    made = ("made:browser", "--programs", "8", "--kv-blocks", "3000")
    done = agentrt("simulate", *made, *words, "--deadline", "few=1e6,many=1e-6", "--json")
    (result,) = done.json["results"]
    assert result["load"] == {
        "kind": "oversubscription",
        "oversubscription": 2.0,
        "arrivals": "poisson",
    }
    assert result["runs"][0]["rate_per_s"] > 0
    assert result["slo_attainment"] == 0.25
    assert {name: found["slo_attainment"] for name, found in result["tenants"].items()} == {
        "few": 1.0,
        "many": 0.0,
    }
    text = agentrt("simulate", *made, *words).stdout
    assert "few: mean_slowdown" in text


def test_what_goes_wrong_in_another_process_is_told_as_in_this_one(agentrt: Shell) -> None:
    words = ("simulate", *SMALL, "--compare", "fcfs,occupancy", "--tenants")
    done = agentrt(*words, ",".join(f"t{at}=1" for at in range(9)), "--jobs", "2")
    assert done.code == 2
    assert done.stderr == "error: 8 programs are too few for 9 tenants\n"


def test_a_picture_is_written_where_asked(agentrt: Shell) -> None:
    done = agentrt("simulate", *SMALL, "--plot", "times.svg")
    assert done.code == 0
    root = ElementTree.fromstring((agentrt.folder / "times.svg").read_bytes())  # noqa: S314  ours
    assert root.tag.endswith("svg")


def test_programs_that_fit_no_replica_are_reported(agentrt: Shell) -> None:
    done = agentrt("simulate", "made:browser", "--programs", "4", "--kv-blocks", "10", "--json")
    assert done.code == 0
    assert done.stderr.startswith("warning: 4 of 4 programs have a call that fits no replica")
    assert done.json["results"][0]["unfinished"] == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gone.jsonl",), "no workload 'gone.jsonl'"),
        (("empty.jsonl",), "it is empty"),
        (("made:swe", "--policy", "lifo"), "there are: continuum, "),
        (("made:swe", "--policy", "occupancy:size=3"), "it has: headroom"),
        (("made:swe", "--rate", "0"), "--rate must be a positive number"),
        (("made:swe", "--replicas", "-1"), "--replicas"),
        (("made:swe", "--plot", "no/such/folder.svg"), "cannot write"),
    ],
)
def test_words_that_are_off_exit_with_2_and_say_what_is(
    agentrt: Shell, words: tuple[str, ...], message: str
) -> None:
    (agentrt.folder / "empty.jsonl").touch()
    done = agentrt("simulate", *words, "--json")
    assert done.code == 2
    assert message in done.stderr
    assert done.json["status"] == "failed"


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


LONG = ("simulate", "made:swe", "--programs", "2000", "--compare", "best-cap", "--seeds", "50")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_ends_it_with_130(agentrt: Shell, jobs: str) -> None:
    process = agentrt.start(*LONG, "--jobs", jobs)
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith("simulating ")
    helpers = wait_for(lambda: children(process), "its processes") if jobs != "1" else []
    for helper in helpers:  # a terminal sends it to all
        helper.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    wait_for(lambda: process.poll() is not None, "the end")
    done = agentrt.finish(process)
    assert (done.code, done.stdout) == (130, "")
    assert done.stderr.endswith("error: interrupted\n")
    assert "Traceback" not in done.stderr
    wait_for(lambda: not any(map(psutil.Process.is_running, helpers)), "its processes' end")


def test_its_processes_end_however_it_does(agentrt: Shell) -> None:
    process = agentrt.start(*LONG, "--jobs", "2")
    assert process.stderr is not None
    process.stderr.readline()
    helpers = wait_for(lambda: children(process), "its processes")
    process.kill()
    wait_for(lambda: not any(map(psutil.Process.is_running, helpers)), "its processes' end")


def test_a_process_that_is_killed_ends_it_with_an_error(agentrt: Shell) -> None:
    process = agentrt.start(*LONG, "--jobs", "2", "--json")

    def workers() -> list[psutil.Process]:
        return [child for child in children(process) if "spawn_main" in " ".join(child.cmdline())]

    wait_for(workers, "its processes")[0].kill()
    wait_for(lambda: process.poll() is not None, "the end")
    done = agentrt.finish(process)
    assert done.code == 1
    assert "error: a process that simulated was ended from outside" in done.stderr
    assert done.json["status"] == "failed"
