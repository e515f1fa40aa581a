"""The hint table, field by field, and how hints join a client's request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.hint_table import TABLE
from agentrt.backends.hints import DIALECTS, HintFields, joined, translate
from agentrt.ir.engine_fields import EngineFields
from agentrt.ir.hints import Hints

FULL = Hints(
    program_id="p1",
    parent_id="p0",
    priority=3,
    tenant="acme",
    cache_salt="s" * 32,
    hold_s=7.5,
    next_tool="bash",
    completion_tokens=120,
    deadline_s=0.25,
)
LAST = Hints(program_id="p1", is_last=True, hold_s=30.0)
ALL = tuple(sorted({entry.path[0] for entries in TABLE.values() for entry in entries}))
LOWER = EngineFields(body=ALL, priority="lower_first", session_header="X-User")
HIGHER = EngineFields(body=ALL, priority="higher_first")


@pytest.mark.parametrize(
    ("dialect", "hints", "takes", "body", "headers"),
    [
        (
            "vllm",
            FULL,
            LOWER,
            {"cache_salt": "s" * 32, "priority": -3, "session_id": "p1"},
            {},
        ),
        ("vllm", LAST, LOWER, {"session_id": "p1"}, {}),
        (
            "vllm-holds",
            FULL,
            LOWER,
            {"vllm_xargs": {"agentrt_program": "p1", "agentrt_hold_s": 7.5}},
            {},
        ),
        (
            "vllm-holds",
            LAST,
            LOWER,
            {"vllm_xargs": {"agentrt_program": "p1", "agentrt_hold_s": 0.0, "agentrt_last": 1}},
            {},
        ),
        ("vllm-holds", Hints(program_id="p"), LOWER, {"vllm_xargs": {"agentrt_program": "p"}}, {}),
        (
            "vllm-continuum",
            FULL,
            LOWER,
            {"vllm_xargs": {"job_id": "p1", "this_func_call": "bash"}},
            {},
        ),
        ("vllm-continuum", LAST, LOWER, {"vllm_xargs": {"job_id": "p1", "is_last_step": 1}}, {}),
        ("sglang", FULL, HIGHER, {"cache_salt": "s" * 32, "priority": 3}, {}),
        ("sglang", FULL, LOWER, {"cache_salt": "s" * 32, "priority": -3}, {}),
        (
            "dynamo",
            FULL,
            EngineFields(),
            {"nvext": {"cache_salt": "s" * 32, "agent_hints": {"priority": 3, "osl": 120}}},
            {"X-Dynamo-Session-ID": "p1", "X-Dynamo-Parent-Session-ID": "p0"},
        ),
        ("dynamo", LAST, EngineFields(), {}, {"X-Dynamo-Session-ID": "p1"}),
        (
            "llm-d",
            FULL,
            EngineFields(),
            {},
            {
                "x-llm-d-inference-fairness-id": "acme",
                "x-gateway-inference-fairness-id": "acme",
                "x-llm-d-slo-ttft-ms": "250",
                "x-slo-ttft-ms": "250",
            },
        ),
        (
            "lmcache",
            FULL,
            LOWER,
            {"kv_transfer_params": {"lmcache.tag.cache_salt": "s" * 32}},
            {},
        ),
        ("lmcache", LAST, LOWER, {"kv_transfer_params": {"lmcache.skip_save": True}}, {}),
        ("production-stack", FULL, LOWER, {}, {"X-User": "p1"}),
        ("production-stack", FULL, HIGHER, {}, {}),
        ("thunderagent", FULL, EngineFields(), {"program_id": "p1"}, {}),
        ("openai", FULL, LOWER, {"prompt_cache_key": "p1"}, {}),
        (
            "openai",
            Hints(program_id="p", hold_s=3600),
            LOWER,
            {"prompt_cache_key": "p", "prompt_cache_retention": "24h"},
            {},
        ),
        ("openai", Hints(hold_s=3600, is_last=True), LOWER, {}, {}),
        ("anthropic", FULL, LOWER, {"cache_control": {"type": "ephemeral", "ttl": "5m"}}, {}),
        (
            "anthropic",
            Hints(hold_s=301),
            LOWER,
            {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {},
        ),
        ("anthropic", Hints(hold_s=0), LOWER, {}, {}),
        ("anthropic", LAST, LOWER, {}, {}),
        ("nobody's", FULL, LOWER, {}, {}),
    ],
)
def test_a_hint_is_said_in_the_words_of_the_server(
    dialect: str, hints: Hints, takes: EngineFields, body: dict[str, Any], headers: dict[str, str]
) -> None:
    assert translate(hints, dialect, takes=takes) == HintFields(body, headers)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_is_said_where_nothing_is_known(dialect: str) -> None:
    nothing = (
        {} if dialect != "anthropic" else {"cache_control": {"type": "ephemeral", "ttl": "5m"}}
    )
    assert translate(Hints(), dialect, takes=LOWER) == HintFields(nothing, {})


def test_fields_that_a_server_was_not_found_to_know_are_not_sent() -> None:
    asked = ("vllm", "vllm-holds", "vllm-continuum", "sglang", "lmcache", "openai", "anthropic")
    assert translate(FULL, *asked) == HintFields()
    only = EngineFields(body=("priority",), priority="lower_first")
    assert translate(FULL, *asked, takes=only) == HintFields({"priority": -3})


def test_a_priority_is_sent_only_where_its_order_is_known() -> None:
    takes = EngineFields(body=("priority",))
    assert translate(FULL, "vllm", "sglang", takes=takes) == HintFields()


def test_hints_in_several_dialects_share_an_object() -> None:
    fields = translate(FULL, "vllm-holds", "vllm-continuum", "llm-d", takes=LOWER)
    assert fields.body["vllm_xargs"].keys() == {
        "agentrt_program",
        "agentrt_hold_s",
        "job_id",
        "this_func_call",
    }
    assert len(fields.headers) == 4


def test_only_hints_of_the_purposes_wanted_are_said() -> None:
    fields = translate(FULL, "vllm", "vllm-holds", takes=LOWER, purposes=("isolation",))
    assert fields == HintFields({"cache_salt": "s" * 32})


@pytest.mark.parametrize("name", ["Zoë", "a\r\nx-admin: 1", "tab\t", "nul\0"])
def test_what_no_header_can_hold_is_not_sent(name: str) -> None:
    assert translate(Hints(tenant=name), "llm-d") == HintFields()


def test_the_clients_own_values_stay_also_inside_objects() -> None:
    client = {
        "priority": 9,
        "vllm_xargs": {"job_id": "mine", "agentrt_program": "other", "x": [1]},
        "nvext": {"agent_hints": {"osl": 1}},
        "kv_transfer_params": "not an object",
        "program_id": None,
    }
    fields = translate(FULL, "vllm", "vllm-holds", "dynamo", "lmcache", "thunderagent", takes=LOWER)
    before = str(client), str(fields)
    assert joined(client, fields) == {
        "cache_salt": "s" * 32,
        "session_id": "p1",
        "priority": 9,
        "vllm_xargs": {
            "job_id": "mine",
            "agentrt_program": "other",
            "x": [1],
            "agentrt_hold_s": 7.5,
        },
        "nvext": {"cache_salt": "s" * 32, "agent_hints": {"priority": 3, "osl": 1}},
        "kv_transfer_params": {"lmcache.tag.cache_salt": "s" * 32},  # salts win over anything
        "program_id": "p1",
    }
    assert (str(client), str(fields)) == before


def test_what_keeps_tenants_apart_is_never_the_clients() -> None:
    client = {
        "cache_salt": "theirs",
        "nvext": {"cache_salt": "theirs"},
        "kv_transfer_params": {"lmcache.tag.cache_salt": "theirs"},
    }
    fields = translate(Hints(cache_salt="ours"), "vllm", "dynamo", "lmcache", takes=LOWER)
    assert joined(client, fields) == {
        "cache_salt": "ours",
        "nvext": {"cache_salt": "ours"},
        "kv_transfer_params": {"lmcache.tag.cache_salt": "ours"},
    }


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*ALL, "x"]), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*ALL, "model"]), _JSON))
def test_nothing_a_client_sends_is_lost_whatever_it_is(client: dict[str, Any]) -> None:
    fields = translate(FULL, *DIALECTS, takes=LOWER)
    whole = joined(client, fields)
    for key, value in client.items():
        if key == "cache_salt" or value is None:
            continue
        if isinstance(value, dict):
            assert whole[key].keys() >= value.keys()
        elif key in {"nvext", "kv_transfer_params"}:  # salts stand in these, and have to be told
            assert isinstance(whole[key], dict)
        else:
            assert whole[key] == value


@pytest.mark.parametrize("theirs", ["x", [], False, 0, None])
def test_a_client_cannot_keep_a_salt_out_with_something_that_is_no_object(theirs: Any) -> None:
    takes = EngineFields(body=("kv_transfer_params",))
    salted = translate(Hints(cache_salt="s", priority=1), "dynamo", "lmcache", takes=takes)
    body = joined({"nvext": theirs, "kv_transfer_params": theirs}, salted)
    assert body["nvext"]["cache_salt"] == "s"
    assert body["kv_transfer_params"] == {"lmcache.tag.cache_salt": "s"}


def test_where_no_salt_is_at_stake_it_stays_as_the_client_has_it() -> None:
    assert joined({"nvext": "x"}, translate(Hints(priority=1), "dynamo")) == {"nvext": "x"}


@pytest.mark.parametrize("tenant", [" acme", "acme ", "\u00e4", "a\nb"])
def test_a_name_that_no_header_can_hold_is_left_out(tenant: str) -> None:
    assert translate(Hints(tenant=tenant), "llm-d").headers == {}
