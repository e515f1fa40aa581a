"""What an engine takes, as it can be told from the way it refuses a request that none can run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.engine_features import (
    asked_fields,
    asked_for_holds,
    features_of,
    fields_named,
)
from agentrt.backends.engine_pages import SglangOptions, metric_names, read_sglang_options
from agentrt.backends.http_connection import HttpConnection, HttpSettings
from agentrt.backends.server_kind import GENERIC, LLAMACPP, OPENAI, SGLANG, VLLM, ServerKind
from agentrt.errors import BackendError
from agentrt.ir.engine_fields import EngineFields
from tests.integration.misbehaving_server import Behaviour, Call, MisbehavingServer, completion

NAMES = ("cache_salt", "priority", "session_id", "vllm_xargs")
SALT_FIRST = "Parameter 'cache_salt' must be a non-empty string if provided. (parameter=cache_salt)"
ALL_AT_ONCE = """4 validation errors:
  {'type': 'list_type', 'loc': 'body.messages', 'msg': 'Input should be a valid list'}
  {'type': 'int_parsing', 'loc': 'body.priority', 'msg': 'Input should be a valid integer'}
  {'type': 'string_type', 'loc': 'body.session_id', 'msg': 'Input should be a valid string'}
  {'type': 'dict_type', 'loc': 'body.vllm_xargs', 'msg': 'Input should be a valid dictionary'}"""


@pytest.mark.parametrize(
    ("refusal", "named"),
    [
        (ALL_AT_ONCE, {"priority", "session_id", "vllm_xargs"}),
        (json.dumps({"error": {"message": ALL_AT_ONCE}}), {"priority", "session_id", "vllm_xargs"}),
        (json.dumps({"error": {"message": SALT_FIRST}}), {"cache_salt"}),
        # FastAPI's own shape, and SGLang's: what the exception shows, as text within JSON.
        (
            json.dumps({"detail": [{"type": "int_parsing", "loc": ["body", "priority"]}]}),
            {"priority"},
        ),
        (
            json.dumps({"message": "[{'type': 'string_type', 'loc': ('body', 'session_id')}]"}),
            {"session_id"},
        ),
        (
            json.dumps({"message": '[{"type": "dict_type", "loc": ["body", "vllm_xargs"]}]'}),
            {"vllm_xargs"},
        ),
        # A strict server knows one and not the other.
        (
            json.dumps(
                {
                    "detail": [
                        {"type": "extra_forbidden", "loc": ["body", "vllm_xargs"]},
                        {"type": "int_parsing", "loc": ["body", "priority"]},
                    ]
                }
            ),
            {"priority"},
        ),
        ("Unknown parameter: 'priority'.", set[str]()),
        ("Unrecognized request argument supplied: cache_salt", set[str]()),
        # It repeats the question.
        (
            json.dumps({"error": "bad", "body": {"priority": "agentrt", "cache_salt": {}}}),
            set[str](),
        ),
        ("", set[str]()),
    ],
)
def test_only_fields_whose_values_are_called_wrong_are_known(refusal: str, named: set[str]) -> None:
    assert fields_named(refusal, NAMES) == named


@given(st.text())
def test_any_refusal_is_read(text: str) -> None:
    assert fields_named(text, NAMES) <= set(NAMES)


def refusing(status: int, *refusals: str) -> Behaviour:
    left = list(refusals)

    async def behave(call: Call) -> None:
        said = left.pop(0) if left else "bad messages"
        await call.respond(status, {"error": {"message": said}})

    return behave


async def asked(behaviour: Behaviour) -> tuple[tuple[str, ...], list[Any]]:
    async with MisbehavingServer(behaviour) as server:
        connection = HttpConnection(server.url, api_key=None, settings=HttpSettings())
        found = await asked_fields(connection, model="m")
        await connection.aclose()
        return found, [call.json for call in server.calls]


async def test_a_server_that_complains_of_one_field_at_first_is_asked_for_the_others() -> None:
    found, questions = await asked(refusing(400, SALT_FIRST, ALL_AT_ONCE))
    assert found == ("cache_salt", "priority", "session_id", "vllm_xargs")
    assert len(questions) == 2
    assert "cache_salt" in questions[0]
    assert questions[1].keys() == questions[0].keys() - {"cache_salt"}


@pytest.mark.parametrize(
    "behaviour",
    [refusing(500, *[ALL_AT_ONCE] * 9), refusing(401, *[ALL_AT_ONCE] * 9), refusing(422)],
)
async def test_a_server_that_does_not_say_takes_nothing_and_is_asked_once(
    behaviour: Behaviour,
) -> None:
    found, questions = await asked(behaviour)
    assert (found, len(questions)) == ((), 1)


async def test_a_server_that_runs_anything_takes_nothing() -> None:
    async def lenient(call: Call) -> None:
        await call.respond(200, completion("hello"))

    assert (await asked(lenient))[0] == ()


async def test_no_question_can_be_run() -> None:
    _, questions = await asked(refusing(400))
    (question,) = questions
    assert not isinstance(question["messages"], list)
    assert not isinstance(question["max_tokens"], int)


INFO = {"enable_priority_scheduling": True, "kv_events_config": '{"publisher": "zmq"}'}
SGLANG_REFUSAL = "[{'type': 'int_parsing', 'loc': ('body', 'priority')}]"


@pytest.mark.parametrize(
    ("kind", "info", "expected"),
    [
        (GENERIC, {}, EngineFields()),
        (LLAMACPP, {}, EngineFields()),
        (OPENAI, {}, EngineFields(dialects=("openai",), body=("prompt_cache_key",))),
        (
            SGLANG,
            INFO,
            EngineFields(
                dialects=("sglang",),
                body=("priority",),
                priority="higher_first",
                has_kv_events=True,
                metrics=("num_queue_reqs",),
            ),
        ),
        (
            SGLANG,
            INFO | {"schedule_low_priority_values_first": True, "kv_events_config": None},
            EngineFields(
                dialects=("sglang",),
                body=("priority",),
                priority="lower_first",
                metrics=("num_queue_reqs",),
            ),
        ),
        (
            SGLANG,
            {"enable_priority_scheduling": False},
            EngineFields(dialects=("sglang",), body=("priority",), metrics=("num_queue_reqs",)),
        ),
    ],
)
async def test_each_kind_takes_what_it_says(
    kind: ServerKind, info: dict[str, Any], expected: EngineFields
) -> None:
    async def behave(call: Call) -> None:
        if call.path == "/metrics":
            await call.respond(200, b'sglang:num_queue_reqs{x="1"} 0\nsglang:other 1\n')
        elif call.method == "GET":
            await call.respond(200 if "info" in call.path else 404, info)
        else:
            await call.respond(400, {"message": SGLANG_REFUSAL})

    async with MisbehavingServer(behave) as server:
        connection = HttpConnection(server.url, api_key=None, settings=HttpSettings())
        assert await features_of(connection, kind, model="m") == expected
        await connection.aclose()


async def test_fields_are_known_of_a_server_that_is_too_busy_to_tell_its_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agentrt.backends.engine_features._QUICK_S", 0.05)

    async def behave(call: Call) -> None:
        if call.method == "POST":
            await call.respond(400, {"message": SGLANG_REFUSAL})
        else:
            await server.hang(call)

    async with MisbehavingServer(behave) as server:
        connection = HttpConnection(server.url, api_key=None, settings=HttpSettings())
        found = await features_of(connection, SGLANG, model="m")
        assert found == EngineFields(dialects=("sglang",), body=("priority",))
        await connection.aclose()


async def test_nobody_there_takes_nothing_beyond_what_its_kind_understands() -> None:
    connection = HttpConnection("http://127.0.0.1:9", api_key=None, settings=HttpSettings())
    found = await features_of(connection, VLLM, model="m")
    assert found == EngineFields(dialects=("vllm", "vllm-holds"))
    await connection.aclose()


@pytest.mark.parametrize(
    ("answer", "is_kept"),
    [
        ({"kv_transfer_params": {"agentrt_holds": 0}}, True),
        ({"kv_transfer_params": None}, False),
        ({}, False),
        ([], False),
    ],
)
async def test_an_engine_that_keeps_holds_says_so(answer: Any, is_kept: bool) -> None:
    async def behave(call: Call) -> None:
        assert call.json["max_tokens"] == 1
        assert call.json["vllm_xargs"]["agentrt_hello"] == 1
        await call.respond(200, answer)

    async with MisbehavingServer(behave) as server:
        connection = HttpConnection(server.url, api_key=None, settings=HttpSettings())
        assert await asked_for_holds(connection, model="m") is is_kept
        await connection.aclose()


async def test_a_refused_question_about_holds_is_an_error() -> None:
    async with MisbehavingServer(refusing(400)) as server:
        connection = HttpConnection(server.url, api_key=None, settings=HttpSettings())
        with pytest.raises(BackendError):
            await asked_for_holds(connection, model="m")
        await connection.aclose()


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_any_page_of_options_is_read(page: str) -> None:
    assert read_sglang_options(page) == SglangOptions()
    metric_names(page, "vllm:")


def test_no_figures_are_known_without_a_prefix() -> None:
    assert metric_names("cache_config_info 1", "") == ()
