"""`agentrt simulate` as a user has it."""

from __future__ import annotations

import signal
from xml.etree import ElementTree

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
    assert rows == list(FIGURES)
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
        "block_tokens": 16,
        "programs": 8,
    }
    fcfs, best = done.json["results"]
    assert (fcfs["policy"], best["policy"]) == ("fcfs", "best-cap")
    for result in (fcfs, best):
        assert result["load"] == {"kind": "closed_loop", "programs_at_once": 4}
        assert [run["seed"] for run in result["runs"]] == [3, 4]
        for figure in FIGURES:
            least, most = result["ranges"][figure]
            assert least <= result[figure] <= most
            assert sorted(run[figure] for run in result["runs"]) == [least, most]
    assert {trial["cap"] for trial in best["runs"][0]["tried"]} >= {best["runs"][0]["cap"], 4}


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
        (("made:swe", "--policy", "lifo"), "there are: fcfs"),
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


def test_ctrl_c_ends_it_with_130(agentrt: Shell) -> None:
    process = agentrt.start(
        "simulate", "made:swe", "--programs", "2000", "--compare", "best-cap", "--seeds", "50"
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith("simulating ")
    process.send_signal(signal.SIGINT)
    wait_for(lambda: process.poll() is not None, "the end")
    done = agentrt.finish(process)
    assert (done.code, done.stdout) == (130, "")
    assert "error: interrupted" in done.stderr
