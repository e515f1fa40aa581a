"""Requests with a grammar, as they go to servers that take one and to one that refuses it."""

from __future__ import annotations

from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.server_kind import LLAMACPP, VLLM
from agentrt.ir.request import Message, Request
from tests.integration.misbehaving_server import Call, MisbehavingServer, answer, completion

GRAMMAR = 'root ::= "yes" | "no"\n'
ASKED = Request(messages=(Message("user", "Is it?"),), grammar=GRAMMAR)
MODELS = answer(200, {"data": [{"id": "m"}]})


async def refusing(call: Call) -> None:
    """An old server, that knows no grammar."""
    if "structured_outputs" in call.json:
        return await call.respond(400, {"error": {"message": "unknown field structured_outputs"}})
    return await call.respond(200, completion("ok"))


async def test_a_grammar_goes_to_the_server_in_its_own_words() -> None:
    async with MisbehavingServer(answer(200, completion("yes")), models=MODELS) as server:
        backend = OpenAIBackend(server.url, kind=LLAMACPP)
        assert (await backend.complete(ASKED)).text == "yes"
        assert [call.json["grammar"] for call in server.calls] == [GRAMMAR]
        await backend.aclose()


async def test_a_refused_grammar_is_left_out_and_remembered() -> None:
    async with MisbehavingServer(refusing, models=MODELS) as server:
        backend = OpenAIBackend(server.url, kind=VLLM)
        assert (await backend.complete(ASKED)).text == "ok"
        assert (await backend.complete(ASKED)).text == "ok"
        assert ["structured_outputs" in call.json for call in server.calls] == [True, False, False]
        await backend.aclose()


async def test_a_server_of_no_known_kind_is_sent_none() -> None:
    async with MisbehavingServer(answer(200, completion("ok")), models=MODELS) as server:
        backend = OpenAIBackend(server.url)
        assert (await backend.complete(ASKED)).text == "ok"
        assert server.calls[-1].json == {
            "model": "m",
            "messages": [{"role": "user", "content": "Is it?"}],
        }
        await backend.aclose()
