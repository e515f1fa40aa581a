"""Plans by a real model on the embedded engine, under the grammar made of the tools."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.dsl.decorators import tool, workflow
from agentrt.dsl.planned import plan_and_run
from agentrt.errors import ContextOverflow
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Message, Request
from agentrt.ir.tool import ToolSpec
from agentrt.planner import (
    GrammarLimits,
    Joined,
    PlanReader,
    TaskReady,
    lines_grammar,
    plan_grammar,
)
from agentrt.runtime import Runtime
from tests.unit.planner.tool_set import NUMBER, TEXT, TOOLS, spec

CONVERT = spec(
    "convert",
    {
        "value": NUMBER,
        "unit": {"enum": ["m", "ft"]},
        "flags": {"type": "array", "items": TEXT, "minItems": 1},
        "where": {"type": "object", "properties": {"city": TEXT}, "required": ["city"]},
    },
    optional=("flags", "where"),
)
OPTIONAL = tuple(f"p{number}" for number in range(40))
QUESTIONS = ("How much higher is the Eiffel Tower than Big Ben?", "}{ $9 join 3) \\")


async def test_the_smallest_model_always_writes_a_sound_plan_under_the_grammar() -> None:
    """Sampled hot, and about nonsense: it could not do otherwise."""
    tools = (*TOOLS[:1], CONVERT)
    grammar = plan_grammar(tools, limits=GrammarLimits(max_tasks=2, max_text=12))
    backend = EmbeddedBackend(settings=EmbeddedSettings(slots=1, context_tokens=512))
    try:
        for seed, question in enumerate(QUESTIONS):
            options = LLMOptions(max_tokens=300, temperature=1.5, seed=seed)
            request = Request(
                messages=(Message("user", question),), grammar=grammar, options=options
            )
            completion = await backend.complete(request)
            assert completion.finish_reason == "stop"
            reader = PlanReader(tools)
            events = reader.feed(completion.text) + reader.close()
            assert all(isinstance(event, (TaskReady, Joined)) for event in events)
            assert reader.is_joined
    finally:
        await backend.aclose()


TREE = {"$ref": "#/$defs/Tree"}
HOSTILE: list[tuple[ToolSpec, ...]] = [
    (),
    (
        spec(
            "get-x.y:z/1", dict.fromkeys(("$filter", "ids[]", "first name", 'q"x', "größe"), NUMBER)
        ),
    ),
    (
        spec(
            "e",
            {
                "x": {
                    "enum": ['a"b', "c\\d", "e\nf", "é😀", "$1", "]", "\x07\x7f", None, {"a": [1]}]
                }
            },
        ),
    ),
    (
        replace(
            spec("t", {"x": TREE}),
            parameters={
                "properties": {"x": TREE},
                "required": ["x"],
                "$defs": {
                    "Tree": {
                        "type": "object",
                        "properties": {"up": {"anyOf": [TREE, {"type": "null"}]}, "down": TREE},
                        "required": ["up"],
                    }
                },
            },
        ),
    ),
    (spec("o", dict.fromkeys(OPTIONAL, TEXT), optional=OPTIONAL),),
]


@pytest.mark.parametrize("tools", HOSTILE, ids=["none", "names", "constants", "recursive", "many"])
async def test_the_engine_takes_the_grammar_of_any_tool(tools: tuple[ToolSpec, ...]) -> None:
    """One that it cannot parse is refused, and what is written without one is no plan."""
    grammar = plan_grammar(tools, limits=GrammarLimits(max_tasks=2, max_text=4))
    backend = EmbeddedBackend(settings=EmbeddedSettings(slots=1, context_tokens=1024))
    try:
        options = LLMOptions(max_tokens=700, temperature=1.5, seed=1)
        messages = (Message("user", QUESTIONS[0]),)
        request = Request(messages=messages, grammar=grammar, options=options)
        completion = await backend.complete(request)
    finally:
        await backend.aclose()
    reader = PlanReader(tools)
    reader.feed(completion.text)
    reader.close()
    assert reader.bad == []
    assert reader.is_joined


async def test_a_repair_is_the_line_that_was_asked_for() -> None:
    grammar = lines_grammar(TOOLS, [3], known=[1, 2, 3], limits=GrammarLimits(max_text=12))
    backend = EmbeddedBackend(settings=EmbeddedSettings(slots=1, context_tokens=512))
    try:
        request = Request(
            messages=(Message("user", "Who?"),),
            grammar=grammar,
            options=LLMOptions(max_tokens=100),
        )
        text = (await backend.complete(request)).text
    finally:
        await backend.aclose()
    assert text.startswith("3 ")
    assert "\n" not in text


METRES = {"eiffel": 330.0, "big ben": 96.0}


@tool(effects="read")
def height(building: str) -> float:
    """Height of a building in metres."""
    return next(metres for name, metres in METRES.items() if name in building.lower())


@workflow
def ask(question: str) -> str:
    return plan_and_run(
        tools=[height], question=question, name="ask", temperature=0.0, max_replans=0
    )


async def test_a_question_that_does_not_fit_the_context_is_an_error_that_says_so() -> None:
    backend = EmbeddedBackend(settings=EmbeddedSettings(slots=1, context_tokens=512))
    try:
        async with Runtime(backend) as runtime:
            result = await runtime.start(ask.bind("How high is it? " * 300)).wait()
    finally:
        await backend.aclose()
    assert isinstance(result.error, ContextOverflow)
    assert "exceeds the available context size" in str(result.error)
    assert "in node 'ask[0].llm'" in result.error.__notes__[0]


@pytest.mark.slow
async def test_a_small_model_answers_a_question_that_takes_two_searches() -> None:
    backend = EmbeddedBackend(
        "qwen2.5-coder-1.5b", settings=EmbeddedSettings(slots=2, context_tokens=2048)
    )
    try:
        async with Runtime(backend) as runtime:
            run = runtime.start(ask.bind("Which is higher, the Eiffel Tower or Big Ben?"))
            result = await run.wait()
    finally:
        await backend.aclose()
    assert "Eiffel" in str(result.output)
    heights = {value.value for name, value in result.values.items() if ".height" in name}
    assert heights == {330.0, 96.0}
