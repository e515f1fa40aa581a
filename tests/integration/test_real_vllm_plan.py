"""Plans by a real model on a real vLLM server, under the grammar made of the tools.

AGENTRT_TEST_VLLM_URL=vllm+http://127.0.0.1:8000 pytest tests/integration/test_real_vllm_plan.py
"""

from __future__ import annotations

import os
import re
from enum import Enum

import pytest

from agentrt import Runtime, plan_and_run, tool, workflow
from agentrt.backends.registry import connect
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Message, Request
from agentrt.planner import (
    BadLine,
    GrammarLimits,
    Joined,
    PlanReader,
    TaskReady,
    lines_grammar,
    plan_grammar,
)
from tests.unit.planner.tool_set import NUMBER, TEXT, TOOLS, spec

URL = os.environ.get("AGENTRT_TEST_VLLM_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="AGENTRT_TEST_VLLM_URL names no vLLM server")

CONVERT = spec(
    "convert",
    {
        "value": NUMBER,
        "unit": {"enum": ["m", "ft", 'a "quoted" one', "\\"]},
        "flags": {"type": "array", "items": TEXT, "minItems": 1},
        "where": {"type": "object", "properties": {"city": TEXT}, "required": ["city"]},
    },
    optional=("flags", "where"),
)
QUESTIONS = (
    "How much higher is the Eiffel Tower than Big Ben?",
    "}{ $9 join 3) \\",
    "\u2028 \x00?",
)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("question", QUESTIONS)
async def test_the_smallest_model_always_writes_a_sound_plan_under_the_grammar(
    question: str, seed: int
) -> None:
    """Sampled hot, and about nonsense: it could not do otherwise.

    What no grammar of tools can say is whether a result has the type that its place asks for.
    """
    tools = (*TOOLS[:1], CONVERT)
    grammar = plan_grammar(tools, limits=GrammarLimits(max_tasks=3, max_text=12))
    backend = connect(URL)
    try:
        options = LLMOptions(max_tokens=600, temperature=1.5, seed=seed)
        request = Request(messages=(Message("user", question),), grammar=grammar, options=options)
        completion = await backend.complete(request)
    finally:
        await backend.aclose()
    assert completion.finish_reason == "stop"
    reader = PlanReader(tools)
    events = reader.feed(completion.text) + reader.close()
    for event in events:
        if isinstance(event, BadLine):
            assert re.search(r"but \$\d+(\.\w+)* gives", event.why), completion.text
        else:
            assert isinstance(event, (TaskReady, Joined)), completion.text
    assert reader.is_joined


async def test_a_repair_is_the_line_that_was_asked_for() -> None:
    grammar = lines_grammar(TOOLS, [3], known=[1, 2, 3], limits=GrammarLimits(max_text=12))
    backend = connect(URL)
    try:
        request = Request(
            messages=(Message("user", "Who?"),), grammar=grammar, options=LLMOptions(max_tokens=100)
        )
        text = (await backend.complete(request)).text
    finally:
        await backend.aclose()
    assert text.startswith("3 ")
    assert "\n" not in text


@tool(effects="read")
def height(building: str) -> float:
    """Height of a building in metres."""
    return float(len(building))


class Building(Enum):
    EIFFEL = "Eiffel Tower"
    BEN = "Big Ben"


@workflow
def ask(question: str) -> Building:
    return plan_and_run(
        tools=[height],
        question=question,
        answer=Building,
        name="ask",
        temperature=0.0,
        max_tokens=400,
        max_replans=1,
        max_tasks=4,
    )


async def test_a_question_is_planned_for_and_answered_with_no_line_repaired() -> None:
    async with Runtime(URL) as runtime:
        run = runtime.start(ask.bind("Which is higher, the Eiffel Tower or Big Ben?"))
        result = await run.wait()
    assert result.status == "finished", result.errors
    assert isinstance(result.output, Building)
    assert not [name for name in result.values if "repair" in name]
    assert [name for name in result.values if ".height" in name]
