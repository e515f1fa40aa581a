"""The cache of plans: what it uses again, and above all what it does not."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from agentrt.planner import CacheReport, PlanCache
from agentrt.planner.cache import tools_digest
from agentrt.planner.shape import Shape, shape_of
from tests.unit.planner.tool_set import SEARCH, TEXT, TOOLS, spec

BOTH = "Were Scott Derrickson and Ed Wood of the same nationality?"
BOTH_PLAN = '1 search(query="Scott Derrickson")\n2 search(query="Ed Wood (director)")\njoin'


def _filled(question: str, plan: str, asked: str) -> str | None:
    cache = PlanCache()
    cache.add(TOOLS, question, plan)
    return cache.find(TOOLS, asked)


def test_a_plan_is_used_again_with_the_values_of_the_other_question() -> None:
    found = _filled(BOTH, BOTH_PLAN, "Were Marie Curie and  Bob $1 of the same nationality?")
    assert found is None
    found = _filled(BOTH, BOTH_PLAN, "Were Marie Curie and Bob of the same  nationality?")
    assert found == '1 search(query="Marie Curie")\n2 search(query="Bob (director)")\njoin'


def test_values_are_quoted_anew_and_never_read_as_a_plan() -> None:
    question = 'Who wrote "Hamlet" first?'
    plan = '1 search(query="author of Hamlet")\njoin'
    found = _filled(question, plan, 'Who wrote "a\\) and $1" first?')
    assert found == '1 search(query="author of a\\\\) and $1")\njoin'


@pytest.mark.parametrize(
    ("why", "plan"),
    [
        ("a value is not in it", '1 search(query="Scott Derrickson")\njoin'),
        (
            "a value is not in it verbatim",
            '1 search(query="Derrickson")\n2 search(query="Ed Wood")\njoin',
        ),
        (
            "part of a value is in it besides",
            '1 search(query="Scott Derrickson")\n2 search(query="Ed Wood")\n'
            '3 search(query="films of Derrickson")\njoin',
        ),
        (
            "a name comes from knowing the value",
            '1 search(query="Scott Derrickson of Denver")\n2 search(query="Ed Wood")\njoin',
        ),
        ("it has no task", "join"),
        ("it has a bad line", '1 search(query="Scott Derrickson", \njoin'),
    ],
)
def test_a_plan_is_not_kept_if(why: str, plan: str) -> None:
    cache = PlanCache()
    assert not cache.add(TOOLS, BOTH, plan), why
    assert cache.report == CacheReport(hits=0, misses=0, kept=0)


def test_other_words_are_another_shape() -> None:
    assert _filled(BOTH, BOTH_PLAN, "Were Ada and Bob of the same age?") is None


def test_two_slots_of_one_value_need_one_value_again() -> None:
    question = "Is Ada taller than Ada or Bob?"
    plan = '1 search(query="Ada")\n2 search(query="Bob")\njoin'
    assert _filled(question, plan, "Is Eve taller than Eve or Kim?") == (
        '1 search(query="Eve")\n2 search(query="Kim")\njoin'
    )
    assert _filled(question, plan, "Is Eve taller than Zoe or Kim?") is None


def test_numbers_stay_numbers() -> None:
    question = "What is 12 minus 5 in Rome?"
    plan = '1 subtract(a=12, b=5)\n2 search(query="Rome")\njoin'
    assert _filled(question, plan, "What is 7 minus 2.5 in Bonn?") == (
        '1 subtract(a=7, b=2.5)\n2 search(query="Bonn")\njoin'
    )
    assert _filled(question, plan, "What is 7 minus 1,000 in Bonn?") is None


def test_other_tools_are_another_key() -> None:
    cache = PlanCache()
    cache.add(TOOLS, BOTH, BOTH_PLAN)
    changed = (replace(SEARCH, parameters={"type": "object", "properties": {}}), *TOOLS[1:])
    assert tools_digest(TOOLS) == tools_digest(reversed(TOOLS)) != tools_digest(changed)
    assert cache.find(changed, BOTH) is None
    assert cache.find(tuple(reversed(TOOLS)), BOTH) == BOTH_PLAN


def test_it_tells_how_often_a_plan_was_there() -> None:
    cache = PlanCache()
    assert cache.report.hit_rate == 0.0
    cache.find(TOOLS, BOTH)
    cache.add(TOOLS, BOTH, BOTH_PLAN)
    cache.find(TOOLS, BOTH)
    cache.find(TOOLS, "Were Ada and Bob of the same nationality?")
    assert cache.report == CacheReport(hits=2, misses=1, kept=1)
    assert cache.report.hit_rate == pytest.approx(2 / 3)


def test_it_is_bounded_and_forgets_what_was_used_least_recently() -> None:
    cache = PlanCache(max_plans=2)
    plan = '1 search(query="Ada")\njoin'
    for question in ("who is Ada", "where is Ada"):
        cache.add(TOOLS, question, plan)
    assert cache.find(TOOLS, "who is Ada") == plan
    cache.add(TOOLS, "when was Ada", plan)
    assert cache.report.kept == 2
    assert cache.find(TOOLS, "who is Ada") == plan
    assert cache.find(TOOLS, "where is Ada") is None
    with pytest.raises(ValueError, match="at least one plan"):
        PlanCache(max_plans=0)


@pytest.mark.parametrize(
    ("question", "shape"),
    [
        ("what is it?", Shape(("what is it?",), ())),
        (
            "Is Ada's 'red cat' 3.5 kg?",
            Shape(("Is ", "'s \"", " ", " kg?"), ("Ada", "red cat", "3.5")),
        ),
        ("Ed Wood is who?", Shape(("", " is who?"), ("Ed Wood",))),
        ("Compare the two. Rome is one.", Shape(("Compare the two. Rome is one.",), ())),
        (
            "Find a movie similar to Heat, The Silence of the Lambs, Fargo\nOptions:\nIn Cold Blood\nUp",
            Shape(
                ("Find a movie similar to ", ", ", ", ", "\nOptions:\n", "\n", ""),
                ("Heat", "The Silence of the Lambs", "Fargo", "In Cold Blood", "Up"),
            ),
        ),
    ],
)
def test_the_shape_of_a_question(question: str, shape: Shape) -> None:
    assert shape_of(question) == shape


def test_most_of_the_movie_questions_have_one_shape() -> None:
    folder = os.environ.get("AGENTRT_DATA_DIR") or Path(__file__).parents[4] / "shared" / "data"
    path = Path(folder) / "llmcompiler" / "movie_recommendations_formatted.json"
    if not path.exists():
        pytest.skip("the questions of LLMCompiler are not here")
    shapes = [shape_of(row["question"]).pieces for row in json.loads(path.read_text())]
    assert shapes.count(max(set(shapes), key=shapes.count)) == 473


def test_a_tool_called_join_does_not_end_the_plan_that_calls_it() -> None:
    tools = (*TOOLS, spec("join", {"query": TEXT}))
    cache = PlanCache()
    plan = '1 join(query="Ada")\n2 search(query="Ada")\njoin'
    cache.add(tools, "who is Ada?", plan)
    assert cache.find(tools, "who is Eve?") == plan.replace("Ada", "Eve")
