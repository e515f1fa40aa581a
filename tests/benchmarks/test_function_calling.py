"""The benchmark of plans runs, and measures what it says that it measures."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import pytest

from agentrt.planner import Joined, PlanReader, TaskReady
from tests.benchmarks import function_calling
from tests.benchmarks.function_calling_jump import JumpingLoop
from tests.benchmarks.function_calling_questions import (
    FILES,
    SHAPES,
    Shape,
    data_folder,
    made_up,
    question_of,
    sample,
)
from tests.benchmarks.function_calling_scripts import planned
from tests.benchmarks.function_calling_server import Speed
from tests.benchmarks.function_calling_tokens import count, tokens
from tests.benchmarks.function_calling_tools import specs_for
from tests.benchmarks.function_calling_world import filler, search_s


async def test_every_contender_answers_made_up_questions_with_the_same_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTRT_DATA_DIR", str(tmp_path))
    options = argparse.Namespace(
        settings=["local"], questions=1, scale=50.0, at_once=1, seed=3, jump=False
    )
    found, unpublished = await function_calling.run(options)
    assert unpublished == list(SHAPES)
    names = dict.fromkeys(row.contender for row in found)
    assert [(row.shape, row.contender) for row in found] == [(s, n) for s in SHAPES for n in names]
    assert {row.right for row in found} == {1.0}
    for shape in SHAPES:
        here = {row.contender: row for row in found if row.shape == shape}
        guessed = here.pop("agentrt, guessing")
        assert {row.tool_calls for row in here.values()} == {here["react"].tool_calls}
        assert guessed.tool_calls >= here["react"].tool_calls
        assert here["agentrt"].model_calls == here["published"].model_calls == 2
        assert here["agentrt"].prompt_tokens < here["published"].prompt_tokens
        assert here["react"].model_calls == 1 + here["react"].tool_calls
    cached = {
        row.shape: row.plans_from_cache for row in found if row.contender == "planner, cached"
    }
    assert cached["movie"] == 1.0
    assert {row.plans_from_cache for row in found if row.contender == "agentrt"} == {0.0}
    shown = function_calling.told(found, unpublished, options)
    assert "made up: movie, hotpotqa, parallelqa" in shown
    assert shown.count("tokens in (") == 3


@pytest.mark.parametrize("shape", SHAPES)
def test_made_up_questions_have_plans_that_the_planner_reads(shape: Shape) -> None:
    rows = made_up(shape, 20, 1)
    assert rows == made_up(shape, 20, 1)
    _read(shape, rows)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_published_question_has_a_plan_that_the_planner_reads(shape: Shape) -> None:
    path = data_folder() / FILES[shape]
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    _read(shape, json.loads(path.read_text("utf-8")))


def _read(shape: Shape, rows: list[dict[str, object]]) -> None:
    for row in rows[::4]:
        question = question_of(shape, row)
        reader = PlanReader(specs_for(shape))
        events = reader.feed(planned(question)["planner"][0] + "\n")
        assert [type(each) for each in events] == [TaskReady] * len(question.steps) + [Joined]


def test_a_sample_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    first, is_there = sample("hotpotqa", tmp_path, 5, seed=1)
    assert not is_there
    assert first == sample("hotpotqa", tmp_path, 5, seed=1)[0]
    assert first != sample("hotpotqa", tmp_path, 5, seed=2)[0]


def test_the_rounds_of_a_question_follow_its_references() -> None:
    text = "If Ada Peak doubled and Bo Peak shrank by 10%, how far apart are they?"
    row = {"id": "1", "question": text, "answer": "12", "branch": 2}
    question = question_of("parallelqa", row)
    assert [step.text for step in question.searches] == ["Ada Peak", "Bo Peak"]
    assert question.rounds == ((1, 3), (2, 4), (5,))


def test_tokens_are_the_text_in_pieces() -> None:
    text = 'Thought: naïve "Amélie"\n1. search("X_y", 1234)\n\n'
    assert "".join(tokens(text)) == text
    assert count(filler(120, "any")) == 120


def test_searches_take_as_long_as_published() -> None:
    drawn = [[search_s(f"{group} {each}", 1) for each in range(8)] for group in range(1000)]
    mean = sum(sum(group) for group in drawn) / 8_000
    slowest = sum(max(group) for group in drawn) / 1000
    assert (round(mean, 1), round(slowest, 1)) == (0.6, 1.1)


def test_a_call_takes_its_overhead_its_prefill_and_its_decode() -> None:
    speed = Speed(overhead_s=0.5, prefill_tokens_per_s=1000, decode_tokens_per_s=50)
    assert speed.ideal_s(2000, 100) == 4.5


def test_with_waits_skipped_calls_take_what_their_speeds_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTRT_DATA_DIR", str(tmp_path))
    options = argparse.Namespace(
        settings=["paper"], questions=1, scale=1.0, at_once=1, seed=3, jump=True
    )
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        found, _ = runner.run(function_calling.run(options))
    assert max(abs(row.late_s) for row in found) < 0.001
    for shape in SHAPES:
        here = {row.contender: row for row in found if row.shape == shape}
        assert here["planner"].total_s <= here["planner, late"].total_s
        assert here["agentrt"].total_s <= here["published"].total_s < here["react"].total_s
