"""Hints of a runtime's calls on the wire: what each kind of server is sent, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentrt import agent, llm, tool, workflow
from agentrt.backends.openai_http import HttpSettings, OpenAIBackend
from agentrt.backends.server_kind import OPENAI, SGLANG, VLLM, ServerKind
from agentrt.errors import RequestRejected
from agentrt.ir.hints import Hints
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Message, Request
from agentrt.runtime import Runtime
from tests.integration.misbehaving_server import (
    Behaviour,
    Call,
    MisbehavingServer,
    answer,
    completion,
)

ASKED = Request(
    messages=(Message("user", "Hi"),),
    hints=Hints(program_id="p", priority=7, cache_salt="s", tenant="t", hold_s=700.0),
)
LAST = replace(ASKED, hints=Hints(program_id="p", is_last=True, hold_s=0.0))
COMMON = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
MODELS = answer(200, {"data": [{"id": "m"}]})


def taking(*fields: str, then: Behaviour | None = None) -> Behaviour:
    """A server that knows these fields, and complains of what they hold when it is asked."""

    async def behave(call: Call) -> None:
        if call.path.endswith("/chat/completions") and isinstance(call.json["messages"], str):
            wrong = [{"type": "x", "loc": ["body", name], "msg": "wrong"} for name in fields]
            return await call.respond(400, {"detail": wrong})
        if call.path.endswith("/chat/completions"):
            return await (then or answer(200, completion("ok")))(call)
        return await call.respond(404, "{}")

    return behave


def _sent(server: MisbehavingServer) -> list[dict[str, Any]]:
    calls = [call for call in server.calls if call.path.endswith("/chat/completions")]
    return [call.json for call in calls if not isinstance(call.json["messages"], str)]


def _added(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in COMMON}


CASES: dict[str, tuple[ServerKind, tuple[str, ...], dict[str, Any], dict[str, Any]]] = {
    "vllm with holds": (
        VLLM,
        ("vllm_xargs", "priority"),
        {"vllm_xargs": {"agentrt_program": "p", "agentrt_hold_s": 700.0}, "priority": -7},
        {"vllm_xargs": {"agentrt_program": "p", "agentrt_hold_s": 0.0, "agentrt_last": 1}},
    ),
    "vllm that knows none": (VLLM, (), {}, {}),
    "sglang": (SGLANG, ("cache_salt",), {"cache_salt": "s"}, {}),
    "openai": (
        replace(OPENAI, known_fields=("prompt_cache_key", "prompt_cache_retention")),
        (),
        {"prompt_cache_key": "p", "prompt_cache_retention": "24h"},
        {"prompt_cache_key": "p"},
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_each_kind_of_server_is_sent_what_it_takes(case: str) -> None:
    kind, takes, held, last = CASES[case]
    async with MisbehavingServer(taking(*takes), models=MODELS) as server:
        backend = OpenAIBackend(server.url, kind=kind)
        await backend.capabilities()
        await backend.complete(ASKED)
        await backend.complete(LAST)
        await backend.aclose()
        assert [_added(body) for body in _sent(server)] == [held, last]


async def test_a_server_that_nobody_has_asked_is_sent_none() -> None:
    async with MisbehavingServer(taking("vllm_xargs"), models=MODELS) as server:
        backend = OpenAIBackend(server.url, kind=VLLM)
        await backend.complete(ASKED)
        await backend.aclose()
        assert _sent(server) == [COMMON]


async def test_a_router_that_its_operator_tells_of_gets_its_headers() -> None:
    async with MisbehavingServer(taking(), models=MODELS) as server:
        settings = HttpSettings(dialects=("llm-d",))
        backend = OpenAIBackend(server.url, kind=VLLM, settings=settings)
        await backend.complete(ASKED)
        await backend.aclose()
        headers = {name.lower(): value for name, value in server.calls[-1].headers.items()}
        assert headers["x-llm-d-inference-fairness-id"] == "t"
        assert _sent(server) == [COMMON]


async def refusing_xargs(call: Call) -> None:
    if "vllm_xargs" in call.json:
        return await call.respond(400, {"error": {"message": "no extra arguments, please"}})
    return await call.respond(200, completion("ok"))


async def test_refused_hints_are_left_out_from_then_on_but_for_what_keeps_tenants_apart() -> None:
    behaviour = taking("vllm_xargs", "cache_salt", then=refusing_xargs)
    async with MisbehavingServer(behaviour, models=MODELS) as server:
        backend = OpenAIBackend(server.url, kind=VLLM)
        await backend.capabilities()
        texts = [(await backend.complete(ASKED)).text for _ in range(2)]
        await backend.aclose()
        assert texts == ["ok", "ok"]
        assert ["vllm_xargs" in body for body in _sent(server)] == [True, False, False]
        assert [body["cache_salt"] for body in _sent(server)] == ["s"] * 3


async def refusing_bad_words(call: Call) -> None:
    if call.json["messages"][0]["content"] == "bad":
        return await call.respond(400, {"error": {"message": "a bad word"}})
    return await call.respond(200, completion("ok"))


async def test_who_took_hints_before_is_not_asked_again_without_them() -> None:
    behaviour = taking("vllm_xargs", then=refusing_bad_words)
    bad = replace(ASKED, messages=(Message("user", "bad"),))
    async with MisbehavingServer(behaviour, models=MODELS) as server:
        backend = OpenAIBackend(server.url, kind=VLLM)
        await backend.capabilities()
        await backend.complete(ASKED)
        with pytest.raises(RequestRejected, match="a bad word"):
            await backend.complete(bad)
        await backend.complete(ASKED)
        await backend.aclose()
        assert ["vllm_xargs" in body for body in _sent(server)] == [True, True, True]


@tool(effects="read")
def look(word: str) -> str:
    """What a word means."""
    return word


@agent(tools=[look])
def find(question: str) -> Prompt[str]:
    return Prompt(question)


@llm
def shorten(text: str) -> Prompt[str]:
    return Prompt(f"Shorten: {text}")


@workflow
def found(question: str) -> str:
    return shorten(find(question))


CALLING = {
    "choices": [
        {
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"word": "a"}'},
                    }
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}


async def calling_once(call: Call) -> None:
    is_first = call.json.get("tools") and len(call.json["messages"]) == 1
    await call.respond(200, CALLING if is_first else completion("ok"))


async def test_a_run_holds_what_its_tools_return_to_and_gives_up_the_rest() -> None:
    behaviour = taking("vllm_xargs", then=calling_once)
    async with MisbehavingServer(behaviour, models=MODELS) as server:
        backend = OpenAIBackend(server.url, kind=VLLM)
        async with Runtime(backend) as runtime:
            assert await runtime.run(found, "What is a?") == "ok"
        await backend.aclose()
        turn, answered, last = (body["vllm_xargs"] for body in _sent(server))
    assert turn["agentrt_hold_s"] > 0.0
    assert "agentrt_last" not in turn
    assert answered["agentrt_hold_s"] > 0.0  # it might have called another
    assert (last["agentrt_hold_s"], last["agentrt_last"]) == (0.0, 1)
    assert len({each["agentrt_program"] for each in (turn, answered, last)}) == 1
