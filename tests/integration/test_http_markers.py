"""Markers for providers' prompt caches on the wire: what is marked, how, and what is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentrt import Prompt, agent, llm, tool, workflow
from agentrt.backends.openai_http import HttpSettings, OpenAIBackend
from agentrt.backends.server_kind import OPENAI, OPENROUTER, kind_of_host
from agentrt.dsl.workflow import Workflow
from agentrt.ir.hints import Hints
from agentrt.ir.request import Message, Request
from agentrt.runtime import Runtime
from tests.integration.misbehaving_server import (
    Behaviour,
    Call,
    MisbehavingServer,
    answer,
    completion,
)

RULES = "Answer from the passages only, and name the one that you have it from. " * 80
SHORT_MARK = {"type": "ephemeral", "ttl": "5m"}
MARKED_RULES = {"type": "text", "text": RULES, "cache_control": SHORT_MARK}
MODELS = answer(200, {"data": [{"id": "m"}]})
OK = answer(200, completion("ok"))
TAKING = HttpSettings(takes_markers=True)


@tool(effects="read")
def look(word: str) -> str:
    """What a word means."""
    return word * 10


@llm
def ask(question: str) -> Prompt[str]:
    return Prompt(question, system=RULES)


@llm
def ask_plainly(question: str) -> Prompt[str]:
    return Prompt(f"{RULES}{question}")


@llm
def ask_briefly(question: str) -> Prompt[str]:
    return Prompt(question, system="Be brief.")


@agent(tools=[look])
def find(question: str) -> Prompt[str]:
    return Prompt(question, system=RULES)


@workflow
def asked(question: str) -> str:
    return ask(question)


@workflow
def asked_plainly(question: str) -> str:
    return ask_plainly(question)


@workflow
def asked_briefly(question: str) -> str:
    return ask_briefly(question)


@workflow
def found(question: str) -> str:
    return find(question)


async def _bodies(
    run: Workflow[..., str],
    *questions: str,
    behaviour: Behaviour = OK,
    settings: HttpSettings = TAKING,
    kind: Any = None,
) -> list[dict[str, Any]]:
    async with MisbehavingServer(behaviour, models=MODELS) as server:
        backend = OpenAIBackend(server.url, settings=settings, kind=kind)
        async with Runtime(backend) as runtime:
            for question in questions:
                await runtime.run(run, question)
        await backend.aclose()
        return [call.json for call in server.calls if call.path.endswith("/chat/completions")]


async def test_what_every_run_begins_with_is_marked_at_its_end() -> None:
    (body,) = await _bodies(asked, "Why?")
    assert body["messages"] == [
        {"role": "system", "content": [MARKED_RULES]},
        {"role": "user", "content": "Why?"},
    ]


async def test_a_marker_stands_where_values_begin_within_a_message_too() -> None:
    (body,) = await _bodies(asked_plainly, "Why?")
    assert body["messages"] == [
        {"role": "user", "content": [MARKED_RULES, {"type": "text", "text": "Why?"}]}
    ]


async def test_a_beginning_too_short_to_be_cached_is_not_marked() -> None:
    (body,) = await _bodies(asked_briefly, "Why?")
    assert "cache_control" not in str(body)


CALLING = completion("")
CALLING["choices"][0]["message"] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"word": "a"}'}}
    ],
}


async def calling_six_times(call: Call) -> None:
    is_over = len(call.json["messages"]) > 12
    await call.respond(200, completion("ok") if is_over else CALLING)


async def test_a_conversation_is_marked_at_its_end_each_turn_and_never_in_more_than_four_places() -> (
    None
):
    bodies = await _bodies(found, "What is a?", behaviour=calling_six_times)
    assert len(bodies) == 7
    for body in bodies:
        assert str(body).count("cache_control") == 2
        assert body["messages"][0]["content"] == [MARKED_RULES]
        assert body["messages"][-1]["content"][0]["cache_control"] == SHORT_MARK


@pytest.mark.parametrize(
    "settings", [HttpSettings(), HttpSettings(takes_markers=False)], ids=["unknown", "no"]
)
async def test_servers_not_known_to_take_markers_are_sent_plain_text(
    settings: HttpSettings,
) -> None:
    (body,) = await _bodies(asked, "Why?", settings=settings)
    assert body["messages"][0]["content"] == RULES


async def refusing_parts(call: Call) -> None:
    if not isinstance(call.json["messages"][0]["content"], str):
        return await call.respond(400, {"error": {"message": "content must be text"}})
    return await call.respond(200, completion("ok"))


async def test_a_server_that_refuses_markers_is_sent_none_from_then_on() -> None:
    bodies = await _bodies(asked, "Why?", "How?", behaviour=refusing_parts)
    is_plain = [isinstance(body["messages"][0]["content"], str) for body in bodies]
    assert is_plain == [False, True, True]


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("openrouter.ai", OPENROUTER),
        ("eu.openrouter.ai", OPENROUTER),
        ("notopenrouter.ai", None),
        ("api.openai.com", OPENAI),
        ("example.org", None),
    ],
)
def test_services_are_known_by_their_hosts(host: str, kind: object) -> None:
    assert kind_of_host(host) == kind


async def test_runs_with_a_long_beginning_in_common_have_one_key_at_openai() -> None:
    keys = [
        body["prompt_cache_key"]
        for body in await _bodies(asked, "Why?", "How?", settings=HttpSettings(), kind=OPENAI)
    ]
    assert keys[0] == keys[1]
    short = [
        body["prompt_cache_key"]
        for body in await _bodies(
            asked_briefly, "Why?", "How?", settings=HttpSettings(), kind=OPENAI
        )
    ]
    assert len({*keys, *short}) == 3


async def test_turns_of_one_agent_have_one_key() -> None:
    bodies = await _bodies(
        found, "What?", behaviour=calling_six_times, settings=HttpSettings(), kind=OPENAI
    )
    assert len({body["prompt_cache_key"] for body in bodies}) == 1


async def test_what_the_client_marked_itself_stays_as_it_is() -> None:
    tools: list[dict[str, Any]] = [{"type": "function", "cache_control": {"type": "ephemeral"}}]
    request = Request(
        messages=(Message("system", RULES), Message("user", "Why?")),
        hints=Hints(stable_chars=len(RULES)),
        extra={"tools": tools},
    )
    async with MisbehavingServer(OK, models=MODELS) as server:
        backend = OpenAIBackend(server.url, settings=TAKING)
        await backend.complete(request)
        await backend.complete(replace(request, extra={}))
        await backend.aclose()
        first, second = (call.json["messages"][0]["content"] for call in server.calls)
    assert first == RULES
    assert second == [MARKED_RULES]
