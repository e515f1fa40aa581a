"""Contexts used once more at real servers, which answer, fail, or say nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.server_kind import VLLM
from agentrt.ir.node import LLMOptions
from agentrt.ir.prefix import Chain, Run
from agentrt.ir.request import Capabilities, Completion, Message, Request, ToolCall
from agentrt.ir.tool import ToolSpec
from agentrt.runtime import warming as module
from agentrt.runtime.prompt_chains import BLOCK_CHARACTERS
from agentrt.runtime.prompt_text import message_text
from agentrt.runtime.warming import Warming
from agentrt.scheduler.actions import Prewarm
from tests.integration.misbehaving_server import (
    Behaviour,
    Call,
    MisbehavingServer,
    answer,
    completion,
)

SHARED = Capabilities(shares_prefixes=True)
SYSTEM, ASKED = Message("system", "Be brief. " * 30), Message("user", "Why? " * 30)
CALL = ToolCall("c1", "look", "{}")
TOOL = ToolSpec(name="look", description="Looks.", parameters={"type": "object"})
REQUEST = Request(
    messages=(SYSTEM, ASKED),
    options=LLMOptions(model="m", max_tokens=500),
    output_schema={"type": "object", "properties": {}},
    extra={"chat_template_kwargs": {"think": True}, "max_completion_tokens": 400, "n": 3},
)
ANSWER = Completion(text="I look.", tool_calls=(CALL,))
CHAIN: Chain = (Run(0, 12),)


@asynccontextmanager
async def at(
    server: MisbehavingServer, capabilities: Capabilities = SHARED
) -> AsyncIterator[Warming]:
    backend = OpenAIBackend(server.url, model="m", kind=VLLM)
    warming = Warming({"a": backend})
    warming.up("a", capabilities)
    try:
        yield warming
    finally:
        warming.close()
        await backend.aclose()


async def until(server: MisbehavingServer, calls: int) -> list[Any]:
    """What was asked, once as much was; a test that waits for nothing fails."""
    async with asyncio.timeout(10.0):
        while len(server.calls) < calls:  # noqa: ASYNC110  a server of sockets: no event to wait for
            await asyncio.sleep(0.005)
    return [call.json for call in server.calls]


async def settled(server: MisbehavingServer) -> list[Any]:
    """What was asked, once all that could be asked was."""
    for _ in range(30):
        await asyncio.sleep(0.005)
    return [call.json for call in server.calls]


def remember(
    warming: Warming, program: str = "p", chain: Chain = CHAIN, request: Request = REQUEST
) -> None:
    warming.ended(program, request, ANSWER, chain, is_last=False)


class Held:
    """Answers when it is let to."""

    def __init__(self) -> None:
        self.let = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        await self.let.wait()
        await call.respond(200, completion())


async def hang(call: Call) -> None:
    while await call.reader.read(4096):
        pass


async def test_the_conversation_so_far_is_sent_for_one_token_and_nothing_else_of_the_request() -> (
    None
):
    async with MisbehavingServer(answer(200, completion())) as server, at(server) as warming:
        remember(warming)
        warming.warm(Prewarm("p", "a", CHAIN))
        bodies = await until(server, 1)
    assert bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": SYSTEM.content},
                {"role": "user", "content": ASKED.content},
                {
                    "role": "assistant",
                    "content": "I look.",
                    "tool_calls": [
                        {
                            "id": "c1",
                            "type": "function",
                            "function": {"name": "look", "arguments": "{}"},
                        }
                    ],
                },
            ],
            "max_tokens": 1,
            "chat_template_kwargs": {"think": True},
        }
    ]


async def test_the_tools_are_sent_too_as_they_are_in_front_of_the_prompt() -> None:
    async with MisbehavingServer(answer(200, completion())) as server, at(server) as warming:
        remember(warming, request=replace(REQUEST, tools=(TOOL,)))
        warming.warm(Prewarm("p", "a", CHAIN))
        (body,) = await until(server, 1)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["look"]


async def test_of_a_trimmed_context_only_as_much_is_sent() -> None:
    async with MisbehavingServer(answer(200, completion())) as server, at(server) as warming:
        remember(warming)
        warming.warm(Prewarm("p", "a", (Run(0, 6),)))
        (body,) = await until(server, 1)
    messages = tuple(Message(m["role"], m["content"]) for m in body["messages"])
    assert messages[0] == SYSTEM
    assert messages[1].content == ASKED.content[: len(messages[1].content)]
    assert sum(len(message_text(message)) for message in messages) == 6 * BLOCK_CHARACTERS


@pytest.mark.parametrize(
    "wanted",
    [
        Prewarm("p", "a", ()),
        Prewarm("p", "a", (Run(0, 13),)),
        Prewarm("p", "a", (Run(50, 3),)),
        Prewarm("p", "elsewhere", CHAIN),
        Prewarm("somebody", "a", CHAIN),
    ],
    ids=["nothing", "longer", "another", "replica", "program"],
)
async def test_what_is_not_remembered_is_not_sent(wanted: Prewarm) -> None:
    async with MisbehavingServer(answer(200, completion())) as server, at(server) as warming:
        remember(warming)
        warming.warm(wanted)
        assert await settled(server) == []


@pytest.mark.parametrize("is_last", [True, False])
async def test_a_context_that_a_call_went_on_from_is_not_sent_for_itself(*, is_last: bool) -> None:
    async with MisbehavingServer(answer(200, completion())) as server, at(server) as warming:
        remember(warming)
        longer = replace(REQUEST, messages=(*REQUEST.messages, Message("user", "And? " * 100)))
        warming.ended("p", longer, ANSWER, (Run(0, 20),), is_last=is_last)
        warming.warm(Prewarm("p", "a", (Run(0, 20),)))
        bodies = await settled(server)
    assert [len(body["messages"]) for body in bodies] == ([] if is_last else [4])


async def test_a_program_is_remembered_by_its_last_eight_contexts() -> None:
    async with MisbehavingServer(answer(200, completion())) as server, at(server) as warming:
        for number in range(9):
            remember(warming, chain=(Run(100 * number, 12),))
        for number in range(9):
            warming.warm(Prewarm("p", "a", (Run(100 * number, 12),)))
        assert len(await until(server, 8)) == 8
        assert len(await settled(server)) == 8


async def test_no_more_than_two_are_under_way_and_one_waits_for_each_context() -> None:
    held = Held()
    async with MisbehavingServer(held) as server, at(server) as warming:
        for program in ("p", "q", "r"):
            remember(warming, program)
            warming.warm(Prewarm(program, "a", CHAIN))
        for blocks in (5, 4, 6):
            warming.warm(Prewarm("r", "a", (Run(0, blocks),)))
        await until(server, 2)
        assert len(await settled(server)) == 2
        held.let.set()
        bodies = await until(server, 3)
        assert await settled(server) == bodies
    length = sum(len(message["content"]) for message in bodies[2]["messages"])
    assert length == 6 * BLOCK_CHARACTERS - len("\x1esystem\n\x1euser\n")


@pytest.mark.parametrize("behaviour", [answer(500, "no"), answer(400, "no"), answer(200, "what?")])
async def test_what_fails_is_not_tried_again_and_the_next_one_is(behaviour: Behaviour) -> None:
    async with (
        MisbehavingServer(behaviour, answer(200, completion())) as server,
        at(server) as warming,
    ):
        remember(warming)
        warming.warm(Prewarm("p", "a", CHAIN))
        await until(server, 1)
        assert len(await settled(server)) == 1
        warming.warm(Prewarm("p", "a", CHAIN))
        await until(server, 2)


async def test_a_server_that_is_not_there_is_no_matter() -> None:
    async with MisbehavingServer() as server:
        pass
    async with at(server) as warming:
        remember(warming)
        warming.warm(Prewarm("p", "a", CHAIN))
        assert await settled(server) == []


async def test_what_is_never_answered_is_given_up_and_others_get_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.5)
    async with (
        MisbehavingServer(hang, hang, answer(200, completion())) as server,
        at(server) as warming,
    ):
        for program in ("p", "q", "r"):
            remember(warming, program)
            warming.warm(Prewarm(program, "a", CHAIN))
        await until(server, 3)


@pytest.mark.parametrize("how", ["closed", "down", "over"])
async def test_what_is_under_way_is_broken_off(how: str) -> None:
    async with MisbehavingServer() as server:
        server.behaviours.append(server.hang)
        async with at(server) as warming:
            for number in range(3):
                remember(warming, chain=(Run(100 * number, 12),))
                warming.warm(Prewarm("p", "a", (Run(100 * number, 12),)))
            await until(server, 2)
            match how:
                case "closed":
                    warming.close()
                case "down":
                    warming.down("a")
                case _:
                    warming.over("p")
            async with asyncio.timeout(10.0):
                await server.disconnected.wait()
            warming.warm(Prewarm("p", "a", CHAIN))
            assert len(await settled(server)) == 2  # and not the one that waited


async def test_the_end_of_a_program_leaves_what_is_sent_for_others() -> None:
    held = Held()
    async with MisbehavingServer(held) as server, at(server) as warming:
        for program in ("p", "q", "r"):
            remember(warming, program)
            warming.warm(Prewarm(program, "a", CHAIN))
        await until(server, 2)
        warming.over("p")
        await until(server, 3)  # there is room for the third one's


async def test_a_program_that_ends_before_its_request_is_out_sends_none() -> None:
    async with MisbehavingServer(answer(200, completion())) as server, at(server) as warming:
        remember(warming)
        warming.warm(Prewarm("p", "a", CHAIN))
        warming.over("p")
        assert await settled(server) == []


async def test_nothing_is_remembered_or_sent_where_prefixes_are_not_shared() -> None:
    async with (
        MisbehavingServer(answer(200, completion())) as server,
        at(server, Capabilities(kv_tokens=1000)) as warming,
    ):
        remember(warming)
        warming.warm(Prewarm("p", "a", CHAIN))
        assert await settled(server) == []
