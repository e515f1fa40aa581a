"""A fan-out whose prompts begin alike computes that beginning once, on a server nobody knows yet."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

import pytest

from agentrt.backends.base import OnChunk
from agentrt.clock import VirtualClock
from agentrt.dsl.decorators import llm, workflow
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Capabilities, Chunk, Completion, Request, Usage
from agentrt.runtime import Runtime

RULES = "Always consider the rule before this one. " * 60
TOKENS = len(RULES) // 4


@dataclass
class CachingBackend:
    """Computes a second for a prefix that is not cached when it begins; it is once it is computed."""

    streaming: bool = True
    name: str = "caching"
    computed_tokens: int = 0
    followed: list[bool] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    is_cached: bool = False

    async def capabilities(self) -> Capabilities:
        return Capabilities(models=("m",), streaming=self.streaming, kv_tokens=100_000)

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        self.sent_at.append(asyncio.get_running_loop().time())
        self.followed.append(request.hints.has_followers)
        if not self.is_cached:
            self.computed_tokens += TOKENS
            await asyncio.sleep(1.0)
            self.is_cached = True
        if on_chunk is not None:
            on_chunk(Chunk("o"))
        await asyncio.sleep(10.0)
        return Completion(text="ok", usage=Usage(TOKENS, 0, 1))

    async def aclose(self) -> None:
        """Nothing to give up."""


@llm
def judge(claim: str) -> Prompt[str]:
    return Prompt(f"Is it so? {claim}", system=RULES)


@llm
def judge_by(claim: str, handbook: str) -> Prompt[str]:
    return Prompt(f"{handbook} Is it so? {claim}")


@workflow
def judged_by(claims: list[str], handbook: str) -> list[str]:
    return judge_by.map(claims, handbook=handbook)


@workflow
def judged(claims: list[str]) -> list[str]:
    return judge.map(claims)


def _ran(
    backend: CachingBackend, without: Collection[str] = (), *, handbook: str | None = None
) -> list[float]:
    clock = VirtualClock()
    claims = [str(number) for number in range(16)]

    async def main() -> list[str]:
        async with Runtime(backend, clock=clock, without=without) as runtime:
            if handbook is not None:
                return await runtime.run(judged_by, claims, handbook)
            return await runtime.run(judged, claims)

    assert clock.run(main()) == ["ok"] * 16
    return [at - backend.sent_at[0] for at in backend.sent_at]


def test_the_first_goes_alone_and_the_rest_at_its_first_token() -> None:
    backend = CachingBackend()
    assert _ran(backend) == [0.0] + [1.0] * 15
    assert backend.computed_tokens == TOKENS


def test_a_document_that_is_known_only_when_it_runs_is_computed_once() -> None:
    backend = CachingBackend()
    assert _ran(backend, handbook=RULES) == [0.0] + [1.0] * 15
    assert backend.computed_tokens == TOKENS


@llm
def review(document: str, aspect: str) -> Prompt[str]:
    return Prompt(f"{document}\n\nWhat of its {aspect}?")


@workflow
def reviewed(document: str) -> list[str]:
    return [review(document, "risks"), review(document, "costs"), review(document, "gaps")]


@pytest.mark.parametrize(
    ("document", "without", "sent_at"),
    [
        (RULES, (), [0.0, 1.0, 1.0]),
        (RULES, ("leader-first",), [0.0, 0.0, 0.0]),
        ("Short.", (), [0.0, 0.0, 0.0]),
    ],
)
def test_of_calls_that_begin_with_one_document_one_goes_first_if_it_is_long(
    document: str, without: Collection[str], sent_at: list[float]
) -> None:
    backend, clock = CachingBackend(), VirtualClock()

    async def main() -> list[str]:
        async with Runtime(backend, clock=clock, without=without) as runtime:
            return await runtime.run(reviewed, document)

    assert clock.run(main()) == ["ok"] * 3
    assert [at - backend.sent_at[0] for at in backend.sent_at] == sent_at


def test_nobody_waits_for_a_value_that_turns_out_short() -> None:
    assert _ran(CachingBackend(), handbook="Be brief.") == [0.0] * 16


@pytest.mark.parametrize(("without", "is_told"), [((), True), (("leader-first",), False)])
def test_the_backend_is_told_that_others_follow(*, without: Collection[str], is_told: bool) -> None:
    backend = CachingBackend()
    _ran(backend, without)
    assert backend.followed == [is_told] * 16


def test_without_the_pass_all_compute_it() -> None:
    backend = CachingBackend()
    assert _ran(backend, ["leader-first"]) == [0.0] * 16
    assert backend.computed_tokens == 16 * TOKENS


def test_nobody_waits_for_the_end_of_an_answer_on_a_server_that_does_not_stream() -> None:
    assert _ran(CachingBackend(streaming=False)) == [0.0] * 16
