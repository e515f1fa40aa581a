"""The same backend against a real vLLM server, where one is named.

    AGENTRT_TEST_VLLM_URL=vllm+http://127.0.0.1:8000 pytest tests/integration/test_real_vllm.py

The server needs `--enable-prefix-caching --enable-prompt-tokens-details`.
"""

from __future__ import annotations

import asyncio
import os
from typing import Literal

import pytest
from pydantic import BaseModel

from agentrt import Prompt, Runtime, llm, workflow
from agentrt.backends.probe import probe
from agentrt.backends.registry import connect
from agentrt.ir.event import Event, TokensReceived
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Message, Request, ToolCall
from agentrt.ir.tool import ToolSpec

URL = os.environ.get("AGENTRT_TEST_VLLM_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="AGENTRT_TEST_VLLM_URL names no vLLM server")

LONG_SYSTEM = "You are a geographer who answers briefly. " * 40


class City(BaseModel):
    name: str
    size: Literal["small", "large"]


@llm(max_tokens=400, temperature=0.0)
def city(country: str) -> Prompt[City]:
    return Prompt(f"Name one city in {country}.", system=LONG_SYSTEM)


@llm(max_tokens=20, temperature=0.0)
def fact(about: City) -> Prompt[str]:
    return Prompt(f"One fact about {about.name}.", system=LONG_SYSTEM)


@workflow
def facts(countries: list[str]) -> list[str]:
    return fact.map(city.map(countries))


async def test_the_probe_finds_what_a_vllm_server_can_do() -> None:
    report = await probe(URL)
    assert report.is_usable
    assert report.capabilities is not None
    assert report.capabilities.server == "vllm"
    assert report.capabilities.json_schema
    assert report.capabilities.streaming
    assert report.capabilities.reports_cached_tokens


async def test_typed_answers_are_constrained_and_a_shared_prefix_is_cached() -> None:
    async with Runtime(URL) as runtime:
        call = facts.bind(["France", "Italy", "Spain"])
        result = await runtime.start(call).wait()
    assert result.status == "finished", result.error
    assert all(result.output)
    assert {node.attempts for node in result.nodes} == {1}  # no answer had to be asked for again
    assert result.usage.cached_tokens > result.usage.prompt_tokens / 2


async def test_text_streams_in_pieces_that_add_up_to_the_answer() -> None:
    pieces: list[str] = []

    def on_event(event: Event) -> None:
        if isinstance(event, TokensReceived) and event.node_id == "fact":
            pieces.append(event.text)

    @workflow
    def one(about: City) -> str:
        return fact(about)

    async with Runtime(URL, on_event=on_event) as runtime:
        answer = await runtime.run(one, City(name="Rome", size="large"))
    assert "".join(pieces) == answer
    assert len(pieces) > 1


async def test_a_cancelled_run_ends_at_once_and_the_server_goes_on_answering() -> None:
    @llm(max_tokens=2_000, temperature=1.0)
    def ramble() -> Prompt[str]:
        return Prompt("Tell a very long story.")

    @workflow
    def story() -> str:
        return ramble()

    async with Runtime(URL) as runtime:
        run = runtime.start(story.bind())
        await asyncio.sleep(0.5)
        run.cancel()
        assert (await run.wait()).status == "cancelled"
        assert await runtime.run(facts, ["Peru"])


@pytest.mark.parametrize("arguments", ['{"path": "a', "ls -la", "", "[1]"])
async def test_a_call_that_a_model_has_written_wrongly_does_not_end_the_conversation(
    arguments: str,
) -> None:
    backend = connect(URL)
    look = ToolSpec(name="look", parameters={"type": "object", "properties": {}})
    messages = (
        Message("user", "Look."),
        Message("assistant", "", tool_calls=(ToolCall("call_1", "look", arguments),)),
        Message("tool", "error: the arguments are no JSON object", tool_call_id="call_1"),
    )
    try:
        request = Request(messages=messages, tools=(look,), options=LLMOptions(max_tokens=8))
        assert (await backend.complete(request)).usage.completion_tokens
    finally:
        await backend.aclose()
