"""Recorded and made-up agents are recognised, and the benchmark that says how well runs."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from agentrt.gateway.recognition import Recognised
from tests.benchmarks import recognition, recognition_sets
from tests.benchmarks.recognition_replay import replay, score
from tests.benchmarks.recognition_synthetic import agents
from tests.benchmarks.recognition_variants import VARIANTS

# What has nothing to tell it by, in programs of one task: docs/recognition.md.
LEAST = dict.fromkeys(VARIANTS, 0.99) | {
    "5 % answered and asked again": 0.97,
    "history edited": 0.95,
    "answers cut": 0.95,
}


def recognised(program_id: str) -> Recognised:
    return Recognised(program_id=program_id, is_new=False, reason="")


def test_of_two_merged_programs_the_smaller_and_of_a_split_one_the_rest_is_wrong() -> None:
    turns = [("a", "1")] * 3 + [("b", "1")] * 2 + [("c", "2")] * 4 + [("c", "3")]
    found = score([(true, recognised(program), 1e-6) for true, program in turns])
    assert (found.turns, found.right, found.programs, found.programs_found) == (10, 7, 3, 3)
    assert found.right_share == 0.7


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("has_tools", [True, False])
def test_made_up_agents_are_recognised_whatever_their_clients_do(
    variant: str, has_tools: bool
) -> None:
    programs = VARIANTS[variant](agents(30, 8, seed=1, has_tools=has_tools), random.Random(1))
    found = score(replay(programs, at_once=20, seed=1))
    assert found.right_share >= LEAST[variant], found


@pytest.mark.parametrize("name", recognition_sets.SETS)
def test_recorded_agents_are_recognised(name: str) -> None:
    path = recognition_sets.path_of(name)
    if not path.is_file():
        pytest.skip(f"the recorded set is not here: set AGENTRT_DATA_DIR ({path.name})")
    if name == "weka, blocks":
        pytest.skip("it has no text, and takes long: the benchmark has it")
    found = recognition.scored(name, "as recorded", 1)
    assert found.right_share >= 0.99, found
    assert found.turns >= 100


def test_figures_are_printed_and_written_and_sets_that_are_not_there_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTRT_DATA_DIR", str(tmp_path))
    figures = tmp_path / "figures.json"
    words = ["--sets", "miniswe;made-up agents", "--variants", "as recorded", "--seeds", "1"]
    recognition.main([*words, "--programs", "20", "--json", str(figures)])
    printed = capsys.readouterr().out
    assert "| miniswe | not here: miniswe.jsonl.gz |" in printed
    assert "| made-up agents | as recorded | 1,440 | 100.00 % | 120 / 120 |" in printed
    made_up, cost = json.loads(figures.read_text(encoding="utf-8"))
    assert (made_up["set"], made_up["right"]) == ("made-up agents", 1_440)
    assert (cost["cost"]["programs"], cost["cost"]["messages"]) == (20, 102)
