"""The planner with nothing but an async completion function."""

from __future__ import annotations

from typing import Any

import pytest

from agentrt.backends.base import OnChunk
from agentrt.errors import LimitExceeded, OutputError, RateLimited
from agentrt.ir.request import Chunk, Completion, Request
from agentrt.ir.tool import ToolSpec
from agentrt.planner import PlanCache, PlanLimits
from agentrt.runtime.planned import Call, Complete, answer_with_plan
from tests.unit.planner.tool_set import HEIGHT, NOTE, NUMBER, SUBTRACT, TEXT, spec


async def _height(of: str) -> float:
    if of == "nothing":
        raise LookupError("no such thing")
    return float(len(of))


async def _subtract(a: float, b: float) -> float:
    return a - b


TOOLS: list[tuple[ToolSpec, Call]] = [(HEIGHT, _height), (SUBTRACT, _subtract)]
PLAN = '1 height(of="Alpha")\n2 height(of="Beta")\n3 subtract(a=$1, b=$2)\njoin'


class Model:
    """Answers in order; streams what it is asked to."""

    def __init__(self, *answers: str | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[Request] = []

    async def __call__(self, request: Request, on_chunk: OnChunk) -> Completion:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for start in range(0, len(answer), 7):
            on_chunk(Chunk(answer[start : start + 7]))
        return Completion(text=answer)


async def _answer(model: Complete, question: str = "By how much?", **options: object) -> object:
    return await answer_with_plan(question, tools=TOOLS, complete=model, **options)  # type: ignore[arg-type]  # options as tests give them


async def test_a_question_is_answered_from_what_the_tools_gave() -> None:
    model = Model(PLAN, '{"answer": 1.0}')
    assert await _answer(model, answer=NUMBER) == 1.0
    planner, joiner = model.requests
    assert planner.grammar is not None
    assert joiner.messages[-1].content.startswith("Results:\n$1: 5.0\n$2: 4.0\n$3: 1.0\n")


async def test_a_tool_that_raises_is_an_observation() -> None:
    model = Model('1 height(of="nothing")\njoin', '{"answer": "none"}')
    assert await _answer(model) == "none"
    assert "$1: error: LookupError: no such thing\n" in model.requests[1].messages[-1].content


async def test_a_result_is_json_or_an_observation_that_it_is_none() -> None:
    async def thing(of: str) -> Any:
        return object() if of == "x" else ("a", {1: 2})

    model = Model('1 thing(of="x")\n2 thing(of="y")\njoin', '{"answer": "so"}')
    await answer_with_plan("why?", tools=[(spec("thing", {"of": TEXT}), thing)], complete=model)
    said = model.requests[1].messages[-1].content
    assert "$1: error: the result has no JSON form: Object of type object" in said
    assert '$2: ["a", {"1": 2}]\n' in said


async def test_a_write_that_was_given_up_on_half_way_is_not_made_again() -> None:
    made: list[str] = []

    async def note(text: str) -> str:
        made.append(text)
        raise TimeoutError("no answer within 5 s")

    model = Model(
        '1 note(text="n")\njoin',
        '{"replan": "once more"}',
        '2 note(text="n")\njoin',
        '{"answer": "so"}',
    )
    await answer_with_plan("why?", tools=[(NOTE, note)], complete=model)
    assert made == ["n"]


async def test_an_answer_that_does_not_fit_is_asked_for_again() -> None:
    model = Model("join", '{"answer": "five"}', '{"answer": 5}')
    assert await _answer(model, answer=NUMBER) == 5
    assert "the answer must be a number, not a string" in model.requests[2].messages[-1].content


async def test_another_plan_goes_on_from_the_first() -> None:
    model = Model(
        '1 height(of="Alpha")\njoin',
        '{"replan": "the other one"}',
        '2 height(of="Beta")\n3 subtract(a=$1, b=$2)\njoin',
        '{"answer": "1"}',
    )
    assert await _answer(model) == "1"


async def test_what_the_model_raises_is_raised() -> None:
    with pytest.raises(RateLimited, match="slow down"):
        await _answer(Model(RateLimited("slow down")))


async def test_limits_are_errors() -> None:
    with pytest.raises(LimitExceeded) as caught:
        await _answer(Model(PLAN), limits=PlanLimits(max_tasks=2))
    assert caught.value.limit == "max_tasks"
    with pytest.raises(OutputError, match="the joiner gave no answer"):
        await _answer(Model("join", "hm"), limits=PlanLimits(max_join_retries=0))


async def test_a_plan_is_used_again() -> None:
    plans = PlanCache()
    plan = '1 height(of="Alpha")\njoin'
    assert await _answer(Model(plan, '{"answer": "5"}'), "how high is Alpha?", plans=plans) == "5"
    model = Model('{"answer": "4"}')
    assert await _answer(model, "how high is Beta?", plans=plans) == "4"
    assert model.requests[0].messages[2].content == '1 height(of="Beta")\njoin'
    assert plans.report.hit_rate == 0.5


async def test_without_tools_there_is_nothing_to_plan() -> None:
    model = Model("join", '{"answer": "so"}')
    assert await answer_with_plan("why?", tools=[], complete=model) == "so"
