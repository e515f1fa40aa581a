"""Where each kind of server takes a grammar, and what is sent to those that take none."""

import pytest

from agentrt.backends.recorded_entry import content_of
from agentrt.backends.server_kind import GENERIC, LLAMACPP, OPENAI, SGLANG, VLLM, ServerKind
from agentrt.backends.wire import request_body
from agentrt.ir.request import Message, Request

GRAMMAR = 'root ::= "yes" | "no"\n'
ASKED = Request(messages=(Message("user", "Is it?"),), grammar=GRAMMAR)
PLAIN = {"model": "m", "messages": [{"role": "user", "content": "Is it?"}]}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (LLAMACPP, {"grammar": GRAMMAR}),
        (VLLM, {"structured_outputs": {"grammar": GRAMMAR}}),
        (SGLANG, {"ebnf": GRAMMAR}),
        (OPENAI, {}),
        (GENERIC, {}),
    ],
)
def test_each_server_is_sent_a_grammar_in_its_own_field(
    kind: ServerKind, fields: dict[str, object]
) -> None:
    body = request_body(ASKED, model="m", grammar_path=kind.grammar_path)
    assert body == PLAIN | fields


def test_a_server_that_refused_it_is_sent_none() -> None:
    assert request_body(ASKED, model="m", has_schema=False, grammar_path=("grammar",)) == PLAIN


def test_recordings_tell_requests_with_other_grammars_apart() -> None:
    plain = Request(messages=ASKED.messages)
    assert "grammar" not in content_of(plain)
    assert content_of(ASKED) == content_of(plain) | {"grammar": GRAMMAR}
