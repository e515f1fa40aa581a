"""Recognition, of any conversations in any order."""

from __future__ import annotations

import json
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.gateway.asked import Asked, Claim, Endpoint
from agentrt.gateway.recognition import Recogniser
from agentrt.ir.request import Completion, Message, Request, ToolCall

CALLS = st.builds(
    ToolCall,
    id=st.sampled_from(["", "c1", "c2"]),
    name=st.sampled_from(["f", "g"]),
    arguments=st.sampled_from(["", "{}", '{"a":"a text of more than 24 characters"}', "[1"]),
)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=st.one_of(
        st.sampled_from(["", "a", "b ", "<think>x</think>a", "a text of more than 24 characters"]),
        st.text(max_size=300),
    ),
    tool_calls=st.lists(CALLS, max_size=2).map(tuple),
    tool_call_id=st.sampled_from([None, "c1"]),
)
CLAIMS = st.builds(
    Claim,
    program=st.sampled_from(["", "", "s"]),
    parent=st.sampled_from(["", "s", "q"]),
    is_shared=st.booleans(),
)
ENDPOINTS = st.sampled_from(["chat/completions", "completions", "responses", "embeddings"])
REQUESTS = st.tuples(
    st.sampled_from(["t1", "t2"]),
    ENDPOINTS,
    CLAIMS,
    st.lists(MESSAGES, max_size=5).map(tuple),
    st.sampled_from(["", "r1", "r2"]),
    st.sampled_from(["answered", "failed", "in flight", "ended"]),
    MESSAGES,
)


def asked(
    messages: tuple[Message, ...],
    endpoint: Endpoint = "chat/completions",
    claim: Claim = Claim(),  # noqa: B008  frozen
    previous: str = "",
) -> Asked:
    return Asked(
        endpoint=endpoint,
        body={},
        model="m",
        request=Request(messages=messages),
        claim=claim,
        previous_response_id=previous,
    )


@settings(max_examples=150)
@given(st.lists(REQUESTS, max_size=25), st.booleans())
def test_tenants_never_share_a_program_and_nothing_is_left_of_programs_that_are_over(
    requests: list[tuple[str, Endpoint, Claim, tuple[Message, ...], str, str, Message]],
    is_restarted: bool,
) -> None:
    numbers = count()
    recogniser = Recogniser(ids=lambda: f"p{next(numbers)}", most_conversations=8)
    tenants: dict[str, str] = {}
    ended: set[str] = set()
    for now, (tenant, endpoint, claim, messages, previous, outcome, says) in enumerate(requests):
        request = asked(messages, endpoint, claim, previous)
        found = recogniser.recognise(request, tenant=tenant, now=float(now))
        assert found.program_id not in ended
        for program_id in (found.program_id, found.parent_id or found.program_id):
            assert tenants.setdefault(program_id, tenant) == tenant
        completion = Completion(text=says.content, tool_calls=says.tool_calls)
        match outcome:
            case "answered":
                recogniser.answered(found, completion, response_id=previous and "r2")
            case "failed":
                recogniser.failed(found)
            case "ended":
                recogniser.end(found.program_id)
                ended.add(found.program_id)
            case _:
                pass
        if is_restarted:
            stored = json.dumps(recogniser.snapshot(float(now)))
            known, size = len(recogniser), recogniser.digests
            recogniser = Recogniser(ids=lambda: f"p{next(numbers)}", most_conversations=8)
            recogniser.restore(json.loads(stored), now=float(now))
            assert (len(recogniser), recogniser.digests) == (known, size)
    for program_id in tenants:
        recogniser.end(program_id)
    assert (len(recogniser), recogniser.digests) == (0, 0)
    assert not recogniser._index.messages._programs
    assert not recogniser._index.lines._programs
    assert not recogniser._index._ends
    assert not recogniser._index._rests
    assert not recogniser._programs._names


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.lists(st.integers(0, 2), min_size=5, max_size=5),
    st.sampled_from(["", "the same system prompt"]),
)
def test_programs_whose_answers_differ_are_told_apart_in_any_order(
    order: list[int], tasks: list[int], system: str
) -> None:
    recogniser = Recogniser()
    start = (Message("system", system),) if system else ()
    histories = [[*start, Message("user", f"task {task}")] for task in tasks]
    found: dict[int, str] = {}
    for turn, agent in enumerate(order):
        history = histories[agent]
        recognised = recogniser.recognise(asked(tuple(history)), tenant="t", now=float(turn))
        assert recognised.is_new == (agent not in found)
        assert found.setdefault(agent, recognised.program_id) == recognised.program_id
        answer = Completion(text=f"turn {turn}")
        recogniser.answered(recognised, answer)
        history += (Message("assistant", answer.text), Message("user", "ok"))
    assert len(set(found.values())) == len(found)
