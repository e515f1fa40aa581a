"""Tool calls, on a model that can make them."""

import json

import pytest

from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.backends.loopback import openai_client
from agentrt.backends.wire import tool_json
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Message, Request, ToolCall
from agentrt.ir.tool import ToolSpec

WEATHER = ToolSpec(
    name="weather",
    description="The weather in a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
    effects="read",
)


@pytest.mark.slow
async def test_a_model_that_was_trained_to_calls_a_tool_and_answers_from_its_result() -> None:
    settings = EmbeddedSettings(slots=1, context_tokens=2048)
    backend = EmbeddedBackend("qwen2.5-coder-1.5b", settings=settings)
    asked = (
        Message("system", "Call a tool when you lack facts, then answer in one sentence."),
        Message("user", "What is the weather in Paris?"),
    )
    options = LLMOptions(max_tokens=80)
    first = await backend.complete(Request(messages=asked, tools=(WEATHER,), options=options))
    calls = [(call.name, json.loads(call.arguments)) for call in first.tool_calls]
    results = [Message("tool", '"sleet"', tool_call_id=call.id) for call in first.tool_calls]
    spoken = Message("assistant", first.text, tool_calls=first.tool_calls)
    second = await backend.complete(
        Request(messages=(*asked, spoken, *results), tools=(WEATHER,), options=options)
    )
    await backend.aclose()
    assert calls == [("weather", {"city": "Paris"})]
    assert first.finish_reason == "tool_calls"
    assert "sleet" in second.text
    assert second.usage.cached_tokens > first.usage.prompt_tokens // 2


@pytest.mark.slow
async def test_a_call_that_a_model_writes_as_text_reaches_a_streaming_client_as_a_call() -> None:
    settings = EmbeddedSettings(slots=1, context_tokens=2048)
    backend = EmbeddedBackend("qwen2.5-coder-1.5b", settings=settings)
    client = openai_client(lambda request, on_chunk: backend.complete(request, on_chunk=on_chunk))
    stream = await client.chat.completions.create(
        model="qwen2.5-coder-1.5b",
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[{"type": "function", "function": tool_json(WEATHER)["function"]}],
        max_tokens=80,
        stream=True,
    )
    deltas = [chunk.choices[0].delta async for chunk in stream if chunk.choices]
    await backend.aclose()
    assert "".join(delta.content or "" for delta in deltas) == ""
    calls = [call.function for delta in deltas for call in delta.tool_calls or []]
    assert [(call.name, call.arguments) for call in calls if call] == [
        ("weather", '{"city": "Paris"}')
    ]


TREE = ToolSpec(
    name="plant",
    description="Plant a tree.",
    parameters={"type": "object", "properties": {"tree": {"$ref": "#"}}, "required": ["tree"]},
)


@pytest.mark.slow
async def test_what_its_grammars_and_templates_cannot_take_is_answered_all_the_same() -> None:
    settings = EmbeddedSettings(slots=1, context_tokens=2048)
    backend = EmbeddedBackend("qwen2.5-coder-1.5b", settings=settings)
    options = LLMOptions(max_tokens=80)
    asked = (Message("user", "What is the weather in Paris?"),)
    first = await backend.complete(Request(messages=asked, tools=(TREE, WEATHER), options=options))
    # As a model leaves it that may write no more.
    cut = Message("assistant", "", tool_calls=(ToolCall("1", "weather", '{"city": "Par'),))
    failed = Message("tool", "The arguments are no JSON. Try again.", tool_call_id="1")
    second = await backend.complete(
        Request(messages=(*asked, cut, failed), tools=(TREE, WEATHER), options=options)
    )
    await backend.aclose()
    assert [call.name for call in first.tool_calls] == ["weather"]
    assert second.usage.completion_tokens > 0
