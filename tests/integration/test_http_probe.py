"""`probe` against servers of each kind, as they answer on the wire."""

from __future__ import annotations

import json
import socket
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from agentrt.backends.http_connection import HttpSettings
from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.probe import Check, probe
from agentrt.backends.recording import RecordingBackend
from agentrt.backends.registry import connect
from agentrt.backends.scripted import ScriptedBackend
from agentrt.backends.server_kind import SGLANG
from agentrt.errors import InputError, InvalidAnswer, RequestRejected
from agentrt.ir.engine_fields import EngineFields
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Capabilities, Chunk, Message, Request
from tests.integration.misbehaving_server import (
    Behaviour,
    Call,
    MisbehavingServer,
    answer,
    completion,
    stream,
    whole_stream,
)

PATIENT = HttpSettings(timeout_s=20.0)
SCHEMA = Request(messages=(Message("user", "x"),), output_schema={"type": "object"})


def listing(*names: str, **fields: object) -> Behaviour:
    return answer(200, {"data": [{"id": name} | fields for name in names]})


VLLM_REFUSAL = """3 validation errors:
  {'type': 'list_type', 'loc': 'body.messages', 'msg': 'Input should be a valid list', 'input': 'x'}
  {'type': 'int_parsing', 'loc': 'body.priority', 'msg': 'Input should be an integer', 'input': 'x'}
  {'type': 'dict_type', 'loc': 'body.vllm_xargs', 'msg': 'Input should be a dictionary'}"""


async def vllm(call: Call) -> None:
    """A vLLM server with prompt token details, without tools."""
    if call.path in {"/health", "/version"}:
        return await call.respond(200, {})
    if call.path == "/metrics":
        config = b'vllm:cache_config_info{block_size="16",num_gpu_blocks="500"} 1.0\n'
        return await call.respond(200, b"vllm:num_requests_running 0\n" + config)
    if call.path == "/tokenize":
        return await call.respond(405, {"detail": "Method Not Allowed"})
    if call.method == "GET":
        return await call.respond(404, {"detail": "Not Found"})
    body = call.json
    if body["max_tokens"] == "agentrt":
        return await call.respond(400, {"error": {"message": VLLM_REFUSAL, "code": 400}})
    if "tools" in body:
        said = '"auto" tool choice requires --enable-auto-tool-choice'
        return await call.respond(400, {"error": {"message": said, "code": 400}})
    if body.get("stream"):
        return await stream(*whole_stream())(call)
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 96},
    }
    text = '{"ok": true}' if "response_format" in body else "ok"
    return await call.respond(200, completion(text, usage=usage))


async def bare(call: Call) -> None:
    """A server that completes text and knows nothing else."""
    if call.method == "GET":
        return await call.respond(404, {"detail": "Not Found"})
    if "response_format" in call.json:
        return await call.respond(400, {"error": {"message": "unknown field response_format"}})
    return await call.respond(200, completion("ok"))


async def test_a_vllm_server_is_told_apart_and_asked_for_everything() -> None:
    models = listing("qwen", owned_by="vllm", max_model_len=4096)
    async with MisbehavingServer(vllm, models=models) as server:
        report = await probe(server.url, settings=PATIENT)

    assert report.capabilities == Capabilities(
        models=("qwen",),
        json_schema=True,
        tools=False,
        streaming=True,
        reports_cached_tokens=True,
        metrics=True,
        context_tokens=4096,
        kv_tokens=8000,
        shares_prefixes=True,
        server="vllm",
        takes=EngineFields(
            dialects=("vllm", "vllm-holds"),
            body=("priority", "vllm_xargs"),
            priority="lower_first",
            has_tokenizer=True,
            metrics=("cache_config_info", "num_requests_running"),
        ),
    )
    found = {check.name: check for check in report.checks}
    assert [check.name for check in report.checks] == [
        "reachable",
        "server",
        "health",
        "metrics",
        "fields",
        "priority",
        "figures",
        "tokenizer",
        "kv_events",
        "kv_cache",
        "model",
        "completion",
        "streaming",
        "cached_tokens",
        "json_schema",
        "tools",
        "holds",
    ]
    assert found["fields"] == Check("fields", is_ok=True, detail="priority, vllm_xargs")
    assert found["priority"] == Check("priority", is_ok=True, detail="lower first")
    assert not found["holds"].is_ok
    assert "--scheduler-cls" in found["holds"].detail
    assert found["kv_cache"] == Check("kv_cache", is_ok=True, detail="8,000 tokens")
    assert found["model"] == Check("model", is_ok=True, detail="qwen (context of 4096 tokens)")
    assert found["cached_tokens"].detail == "96 of 100 prompt tokens"
    assert not found["tools"].is_ok
    assert "--enable-auto-tool-choice" in found["tools"].detail
    assert report.is_usable


async def test_a_bare_server_is_usable_and_the_report_says_what_it_lacks() -> None:
    async with MisbehavingServer(bare, models=listing("m")) as server:
        report = await probe(server.url, settings=PATIENT)

    assert report.capabilities == Capabilities(
        models=("m",), json_schema=False, tools=True, streaming=True, server="openai"
    )
    assert {check.name for check in report.checks if not check.is_ok} == {
        "health",
        "metrics",
        "fields",
        "priority",
        "figures",
        "tokenizer",
        "kv_events",
        "kv_cache",
        "cached_tokens",
        "json_schema",
    }
    assert report.is_usable


async def test_a_quick_probe_makes_no_completion() -> None:
    async with MisbehavingServer(vllm, models=listing("a", "b", owned_by="sglang")) as server:
        report = await probe(server.url, settings=PATIENT, is_thorough=False)

        # The one question that is no GET is one that no server can run.
        asked = [call.json for call in server.calls if call.method == "POST"]
        assert [body["max_tokens"] for body in asked] == ["agentrt"]
    assert [(check.name, check.is_ok) for check in report.checks] == [
        ("reachable", True),
        ("server", True),
        ("health", True),
        ("metrics", False),
        ("fields", True),
        ("priority", False),
        ("figures", False),
        ("tokenizer", True),
        ("kv_events", False),
        ("kv_cache", False),
        ("model", False),
    ]
    assert "say which with the model option" in report.checks[-1].detail


async def test_nobody_there_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        report = await probe(f"http://127.0.0.1:{taken.getsockname()[1]}")

    assert [check.name for check in report.checks] == ["reachable"]
    assert "nobody answers" in report.checks[0].detail
    assert not report.is_usable


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrt.backends.probe._LIST_S", 0.2)
    async with MisbehavingServer(bare) as server:
        server.models = server.hang
        report = await probe(server.url, settings=PATIENT)

    assert [(check.name, check.is_ok) for check in report.checks] == [("reachable", False)]
    assert "says nothing for 0.2 s" in report.checks[0].detail


async def test_figures_and_answers_that_nobody_could_mean_are_told_as_any_others() -> None:
    deep = answer(200, completion("[" * 100_000))
    models = listing("m", owned_by="openai", max_model_len=10**4000)
    async with MisbehavingServer(deep, models=models) as server:
        report = await probe(server.url, settings=PATIENT)

    assert report.capabilities is not None
    assert report.capabilities.context_tokens is None
    found = {check.name: check for check in report.checks}
    assert found["json_schema"].detail.startswith("accepted but not followed")


async def test_a_wrong_key_is_told_and_the_key_is_not() -> None:
    async with MisbehavingServer(
        bare, models=answer(401, {"error": "no such key: k-secret"})
    ) as server:
        report = await probe(server.url, environ={"AGENTRT_API_KEY": "k-secret"})

    assert "AGENTRT_API_KEY" in report.checks[0].detail
    assert "k-secret" not in str(report)


async def test_what_is_no_inference_server_is_told() -> None:
    async with MisbehavingServer(bare, models=answer(200, b"<html>Router login</html>")) as server:
        report = await probe(server.url)

    assert "Router login" in report.checks[0].detail


async def test_a_recording_can_be_probed_too(tmp_path: Path) -> None:
    recording = RecordingBackend(ScriptedBackend("ok"), tmp_path / "r.jsonl")
    await recording.capabilities()
    await recording.aclose()

    report = await probe(f"replay:{tmp_path / 'r.jsonl'}")

    assert [check.name for check in report.checks if check.is_ok] == ["reachable", "model"]
    assert not report.is_usable


async def test_capabilities_cost_one_listing_however_many_ask() -> None:
    models = listing("m", owned_by="llamacpp", meta={"n_ctx_train": 2048})
    async with MisbehavingServer(bare, models=models) as server:
        backend = OpenAIBackend(server.url)
        found = [await backend.capabilities() for _ in range(3)]
        await backend.complete(Request(messages=(Message("user", "x"),)))
        assert server.listings == 1
        asked, completed = server.calls
        assert (asked.method, asked.path) == ("GET", "/props")
        assert completed.json["model"] == "m"
        await backend.aclose()

    assert (
        found
        == [
            Capabilities(
                models=("m",),
                json_schema=True,
                tools=True,
                streaming=True,
                reports_cached_tokens=True,
                context_tokens=2048,
                server="llama.cpp",
            )
        ]
        * 3
    )


async def test_several_models_and_no_choice_is_refused_by_name() -> None:
    async with MisbehavingServer(bare, models=listing("a", "b")) as server:
        backend = OpenAIBackend(server.url)
        with pytest.raises(RequestRejected, match="serves a, b: say which model"):
            await backend.complete(SCHEMA)
        hinted = Request(messages=SCHEMA.messages, options=LLMOptions(model="b"))
        assert (await backend.complete(hinted)).text == "ok"
        assert server.calls[0].json["model"] == "b"
        await backend.aclose()


async def test_a_server_without_a_list_works_with_a_named_model() -> None:
    async with MisbehavingServer(bare, models=answer(404, {})) as server:
        unnamed = OpenAIBackend(server.url)
        with pytest.raises(RequestRejected):
            await unnamed.complete(SCHEMA)
        await unnamed.aclose()
        named = OpenAIBackend(server.url, model="m")
        assert (await named.capabilities()).models == ("m",)
        await named.aclose()


async def test_a_list_that_failed_is_asked_for_again() -> None:
    async with MisbehavingServer(bare, models=answer(200, {"data": "?"})) as server:
        backend = OpenAIBackend(server.url)
        with pytest.raises(InvalidAnswer, match="no list of models"):
            await backend.capabilities()
        server.models = listing("m")
        assert (await backend.capabilities()).models == ("m",)
        await backend.aclose()


async def test_a_refused_schema_is_left_out_and_remembered() -> None:
    async with MisbehavingServer(bare, models=listing("m")) as server:
        backend = OpenAIBackend(server.url)
        assert (await backend.capabilities()).json_schema
        assert (await backend.complete(SCHEMA)).text == "ok"
        found = await backend.capabilities()
        assert (found.json_schema, found.notes) == (
            False,
            ("the server refused response_format",),
        )
        await backend.complete(SCHEMA)
        assert ["response_format" in call.json for call in server.calls] == [True, False, False]
        await backend.aclose()


async def test_one_schema_that_the_server_cannot_do_costs_the_others_nothing() -> None:
    async def picky(call: Call) -> None:
        if "uniqueItems" in str(call.json.get("response_format")):
            said = 'Grammar error: Unimplemented keys: ["uniqueItems"]'
            return await call.respond(400, {"error": {"message": said, "code": 400}})
        return await call.respond(200, completion("{}"))

    odd = replace(SCHEMA, output_schema={"type": "object", "uniqueItems": True})
    async with MisbehavingServer(picky, models=listing("m")) as server:
        backend = OpenAIBackend(server.url)
        for request in (odd, odd, SCHEMA):
            await backend.complete(request)
        sent = ["response_format" in call.json for call in server.calls]
        assert sent == [True, False, False, True]
        assert (await backend.capabilities()).json_schema
        await backend.aclose()


async def test_a_server_that_refuses_every_schema_is_spared_more() -> None:
    async def silent(call: Call) -> None:
        if "response_format" in call.json:
            return await call.respond(422, {"detail": "no"})
        return await call.respond(200, completion("{}"))

    async with MisbehavingServer(silent, models=listing("m")) as server:
        backend = OpenAIBackend(server.url)
        for number in range(5):
            schema = {"type": "object", "title": str(number)}
            await backend.complete(replace(SCHEMA, output_schema=schema))
        sent = ["response_format" in call.json for call in server.calls]
        assert sent == [True, False] * 3 + [False] * 2
        assert not (await backend.capabilities()).json_schema
        await backend.aclose()


async def test_a_refusal_that_was_not_about_the_schema_is_not_blamed_on_it() -> None:
    async with MisbehavingServer(answer(400, {"error": "bad role"})) as server:
        backend = OpenAIBackend(server.url)
        with pytest.raises(RequestRejected, match="bad role"):
            await backend.complete(SCHEMA)
        assert (await backend.capabilities()).json_schema
        assert len(server.calls) == 2
        await backend.aclose()


async def test_the_kind_in_the_url_is_believed() -> None:
    async with MisbehavingServer(bare, models=listing("m", owned_by="vllm")) as server:
        backend = connect(f"sglang+{server.url}", environ={})
        assert (await backend.capabilities()).server == SGLANG.name
        assert backend.name == f"{server.url}/v1"
        await backend.aclose()


async def test_keys_are_sent_and_are_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    key = "-".join(["k", "0123456789", "secret"])  # not in the source that a traceback shows
    caplog.set_level(0)

    async def echo(call: Call) -> None:
        said = f"I know you: {call.headers['authorization']}"
        await call.respond(403, {"error": {"message": said}})

    async with MisbehavingServer(echo, models=listing("m")) as server:
        backend = OpenAIBackend(server.url, api_key=key)
        with pytest.raises(RequestRejected) as caught:
            await backend.complete(SCHEMA)
        chunks: list[Chunk] = []
        server.behaviours = [stream({"error": {"message": f"bad {key}"}})]
        with pytest.raises(Exception, match=r"bad \[API key\]") as in_stream:
            await backend.complete(SCHEMA, on_chunk=chunks.append)
        assert server.calls[0].headers["authorization"] == f"Bearer {key}"
        await backend.aclose()

    shown = [repr(backend), repr(backend.connection), backend.name, json.dumps(caplog.messages)]
    for error in (caught.value, in_stream.value):
        shown += [*traceback.format_exception(error)]
        shown += [f"{link!r} {link.args} {vars(link)}" for link in chain(error)]
    shown += [str(record.args) for record in caplog.records]
    assert key not in "\n".join(shown)
    assert "[API key]" in str(caught.value)


def chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


@pytest.mark.parametrize("key", ["with\nnewline", "with spåce", "tab\t"])
def test_a_key_no_header_can_hold_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InputError) as caught:
        OpenAIBackend("http://localhost", api_key=key)
    assert key not in str(caught.value)
