from __future__ import annotations

from typing import Any

import pytest

from agentrt.gateway.asked import Claim
from agentrt.gateway.claims import FIELDS, HEADERS, read_claim

CLAUDE = "0f0e0d0c-1111-4222-8333-444455556666"

ROWS: list[tuple[dict[str, str], dict[str, Any], Claim]] = [
    ({}, {}, Claim()),
    ({"x-stainless-retry-count": "0"}, {}, Claim()),
    ({"x-stainless-retry-count": "00"}, {}, Claim()),
    ({"x-stainless-retry-count": "-1"}, {}, Claim()),
    ({"x-stainless-retry-count": "yes"}, {}, Claim()),
    ({"x-stainless-retry-count": "\u0661"}, {}, Claim()),
    ({"x-stainless-retry-count": "9" * 9_999}, {}, Claim(is_retry=True)),
    ({"x-stainless-retry-count": "1"}, {}, Claim(is_retry=True)),
    (
        {"x-stainless-retry-count": "2", "x-session-id": "s"},
        {"user": "u"},
        Claim(program="s", source="X-Session-ID", is_retry=True),
    ),
    (
        {"x-stainless-retry-count": "2"},
        {"user": "u"},
        Claim(program="u", is_shared=True, source="body.user", is_retry=True),
    ),
    ({"x-session-id": "s"}, {}, Claim(program="s", source="X-Session-ID")),
    (
        {"x-session-id": "child", "x-parent-session-id": "root"},
        {},
        Claim(program="child", parent="root", source="X-Session-ID"),
    ),
    (
        {"x-dynamo-session-id": "s", "x-dynamo-parent-session-id": "p"},
        {},
        Claim(program="s", parent="p", source="X-Dynamo-Session-ID"),
    ),
    (
        {"x-claude-code-session-id": "s"},
        {},
        Claim(program="s", source="X-Claude-Code-Session-Id"),
    ),
    (
        {
            "x-claude-code-session-id": "s",
            "x-claude-code-agent-id": "a",
            "x-claude-code-parent-agent-id": "b",
        },
        {},
        Claim(program="s", source="X-Claude-Code-Session-Id"),
    ),
    ({"session-id": "s"}, {}, Claim(program="s", source="session-id")),
    (
        {"session-id": "s", "thread-id": "t", "x-codex-parent-thread-id": "u"},
        {"prompt_cache_key": "s"},
        Claim(program="s", source="session-id"),
    ),
    (
        {"session_id": "t", "x-codex-parent-thread-id": "u"},
        {},
        Claim(program="t", parent="u", source="session_id"),
    ),
    (
        {"session_id": "s", "thread_id": "t", "x-codex-parent-thread-id": "u"},
        {},
        Claim(program="s", source="session_id"),
    ),
    ({"conversation_id": "c"}, {}, Claim(program="c", source="conversation_id")),
    ({"conversation-id": "c"}, {}, Claim(program="c", source="conversation-id")),
    (
        {"x-opencode-session": "ses_b", "x-parent-session-id": "ses_a"},
        {},
        Claim(program="ses_b", parent="ses_a", source="x-opencode-session"),
    ),
    ({"x-litellm-session-id": "s"}, {}, Claim(program="s", source="x-litellm-session-id")),
    (
        {"x-deepseek-harness-session-id": "s"},
        {},
        Claim(program="s", source="x-deepseek-harness-session-id"),
    ),
    ({"x-qwen-code-session-id": "s"}, {}, Claim(program="s", source="X-Qwen-Code-Session-Id")),
    ({"helicone-session-id": "s"}, {}, Claim(program="s", source="Helicone-Session-Id")),
    (
        {"x-session-affinity": "ses_b", "x-parent-session-id": "ses_a"},
        {},
        Claim(program="ses_b", parent="ses_a", source="x-session-affinity"),
    ),
    (
        {},
        {"session_id": "s", "parent_session_id": "p"},
        Claim(program="s", parent="p", source="body.session_id"),
    ),
    ({}, {"program_id": "p"}, Claim(program="p", source="body.program_id")),
    (
        {},
        {"extra_body": {"session_id": "p"}},
        Claim(program="p", source="body.extra_body.session_id"),
    ),
    (
        {},
        {"extra_body": {"program_id": "p"}},
        Claim(program="p", source="body.extra_body.program_id"),
    ),
    (
        {},
        {"nvext": {"agent_context": {"session_id": "s", "parent_session_id": "p"}}},
        Claim(program="s", parent="p", source="body.nvext.agent_context.session_id"),
    ),
    (
        {},
        {"nvext": {"session_control": {"session_id": "s", "action": "open"}}},
        Claim(program="s", source="body.nvext.session_control.session_id"),
    ),
    ({}, {"litellm_session_id": "s"}, Claim(program="s", source="body.litellm_session_id")),
    ({}, {"metadata": {"session_id": "s"}}, Claim(program="s", source="body.metadata.session_id")),
    (
        {},
        {"metadata": {"litellm_session_id": "s"}},
        Claim(program="s", source="body.metadata.litellm_session_id"),
    ),
    (
        {},
        {"metadata": {"user_id": f"user_ab12_account__session_{CLAUDE}"}},
        Claim(program=CLAUDE, source="body.metadata.user_id"),
    ),
    (
        {},
        {"metadata": {"user_id": f'{{"device_id":"d","session_id": "{CLAUDE}"}}'}},
        Claim(program=CLAUDE, source="body.metadata.user_id"),
    ),
    ({}, {"metadata": {"user_id": "somebody"}}, Claim()),
    ({}, {"vllm_xargs": {"job_id": "j"}}, Claim(program="j", source="body.vllm_xargs.job_id")),
    ({}, {"job_id": 17}, Claim(program="17", source="body.job_id")),
    ({}, {"session_params": {"id": "s"}}, Claim(program="s", source="body.session_params.id")),
    ({}, {"conversation": "conv_1"}, Claim(program="conv_1", source="body.conversation")),
    (
        {},
        {"conversation": {"id": "conv_1"}},
        Claim(program="conv_1", source="body.conversation.id"),
    ),
    (
        {},
        {"prompt_cache_key": "k"},
        Claim(program="k", is_shared=True, source="body.prompt_cache_key"),
    ),
    ({}, {"user": "u"}, Claim(program="u", is_shared=True, source="body.user")),
    (
        {},
        {"safety_identifier": "u"},
        Claim(program="u", is_shared=True, source="body.safety_identifier"),
    ),
]


@pytest.mark.parametrize(("headers", "body", "claim"), ROWS)
def test_a_program_is_named_by_header_or_field(
    headers: dict[str, str], body: dict[str, Any], claim: Claim
) -> None:
    assert read_claim(headers, body) == claim


def test_every_row_of_the_tables_is_tried() -> None:
    tried = {claim.source for _, _, claim in ROWS} - {""}
    assert tried == {h.shown for h in HEADERS} | {f"body.{f.path}" for f in FIELDS}


@pytest.mark.parametrize("at", range(len(HEADERS) + len(FIELDS)))
def test_a_name_further_up_in_the_tables_goes_first(at: int) -> None:
    """All names from one on are given, and that one is taken."""
    headers = {header.name: f"header {header.name}" for header in HEADERS[at:]}
    body: dict[str, Any] = {}
    fields = FIELDS[max(at - len(HEADERS), 0) :]
    for field in fields:
        here = body
        *above, last = field.path.split(".")
        if isinstance(body.get(above[0] if above else last), str):
            continue  # `conversation` is a text here, and cannot have an id too
        for name in above:
            here = here.setdefault(name, {})
        here[last] = "_session_0123456789" if field.pattern else f"field {field.path}"
    claim = read_claim(headers, body)
    expected = HEADERS[at].shown if at < len(HEADERS) else f"body.{fields[0].path}"
    assert claim.source == expected


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"x-session-final": "true"}, {}),
        ({"x-session-final": " 1 "}, {}),
        ({"x-session-final": "YES"}, {}),
        ({"x-dynamo-session-final": "True"}, {}),
        ({}, {"nvext": {"agent_context": {"session_final": True}}}),
        ({}, {"nvext": {"agent_context": {"trajectory_final": True}}}),
        ({}, {"nvext": {"session_control": {"action": "close"}}}),
        ({}, {"vllm_xargs": {"is_last_step": 1}}),
        ({}, {"is_last_step": True}),
    ],
)
def test_a_program_may_say_that_nothing_follows(
    headers: dict[str, str], body: dict[str, Any]
) -> None:
    assert read_claim(headers, body).is_final
    named = read_claim(headers | {"x-session-id": "s"}, body)
    assert named == Claim(program="s", is_final=True, source="X-Session-ID")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"x-session-final": "false"}, {}),
        ({"x-session-final": ""}, {}),
        ({"x-session-final": "0"}, {}),
        ({}, {"is_last_step": False}),
        ({}, {"is_last_step": None}),
        ({}, {"vllm_xargs": {"is_last_step": 0}}),
        ({}, {"vllm_xargs": [1]}),
        ({}, {"nvext": "close"}),
    ],
)
def test_what_says_nothing_of_the_end_is_no_end(
    headers: dict[str, str], body: dict[str, Any]
) -> None:
    assert not read_claim(headers, body).is_final


@pytest.mark.parametrize("nothing", ["", "   ", "\t"])
def test_an_empty_header_is_none(nothing: str) -> None:
    claim = read_claim({"x-session-id": nothing}, {"session_id": "s"})
    assert claim == Claim(program="s", source="body.session_id")


@pytest.mark.parametrize("odd", [None, True, 1.5, [], {}, ["s"], ""])
def test_a_field_that_is_no_name_is_none(odd: Any) -> None:
    claim = read_claim({}, {"session_id": odd, "metadata": odd, "user": "u"})
    assert claim == Claim(program="u", is_shared=True, source="body.user")


def test_a_program_is_no_part_of_itself() -> None:
    claim = read_claim({"x-session-id": "s", "x-parent-session-id": " s "}, {})
    assert claim == Claim(program="s", source="X-Session-ID")


@pytest.mark.parametrize(
    "name", ["n" * 257, "n" * 100_000, "a\x00b", "a\nb", "\x7f", "\ud800", "a\u2028b"]
)
def test_a_name_that_cannot_be_kept_is_hashed_and_stays_the_same(name: str) -> None:
    program = read_claim({"x-session-id": name}, {}).program
    assert program == read_claim({}, {"session_id": name}).program
    assert program != read_claim({"x-session-id": name + "n"}, {}).program
    assert program.startswith("sha256:")
    assert len(program) == 39


@pytest.mark.parametrize("name", ["n" * 256, "Überraschung 7", "a:b/c#d"])
def test_a_name_that_can_be_shown_is_kept(name: str) -> None:
    assert read_claim({"x-session-id": f" {name} "}, {}).program == name
