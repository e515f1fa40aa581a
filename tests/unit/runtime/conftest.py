"""What holds of every agent's requests, whatever it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

import pytest

from agentrt.ir.request import Message, Request

AssertAppendOnly: TypeAlias = Callable[[Iterable[Request]], None]


def conversations(requests: Iterable[Request]) -> dict[tuple[str, str], list[Sequence[Message]]]:
    """The messages of each agent's requests, in order; `fix[3].llm` is a turn of `fix`."""
    found: dict[tuple[str, str], list[Sequence[Message]]] = {}
    for request in requests:
        agent, bracket, _ = request.node_id.removesuffix(".llm").rpartition("[")
        if bracket:
            found.setdefault((request.program_id, agent), []).append(request.messages)
    return found


def check_append_only(requests: Iterable[Request]) -> None:
    """Each turn's messages begin with all of the turn's before: so its prefix is in the KV cache."""
    found = conversations(requests)
    assert found, "there were no turns of agents"
    for agent, turns in found.items():
        for number, (before, after) in enumerate(pairwise(turns)):
            assert after[: len(before)] == before, f"turn {number + 1} of {agent} rewrites the past"


@pytest.fixture
def assert_append_only() -> AssertAppendOnly:
    return check_append_only
