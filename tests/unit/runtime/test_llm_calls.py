"""LLM calls: sent in order, tried again, asked again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from agentrt.backends.scripted import Script, ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.decorators import llm, workflow
from agentrt.errors import (
    BackendTimeout,
    BackendUnavailable,
    ContextOverflow,
    InvalidAnswer,
    OutputError,
    RateLimited,
    RequestRejected,
    RunError,
)
from agentrt.ir.event import AttemptFailed, Event, NodeStarted, TokensReceived
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Capabilities, Completion, Message, Request
from agentrt.runtime import RunResult, Runtime
from agentrt.runtime.backoff import FIRST_S
from agentrt.store.memory import MemoryStore


@llm(retries=3)
def ask(question: str) -> Prompt[str]:
    return Prompt(question)


@llm(output_retries=2)
def count(question: str) -> Prompt[int]:
    return Prompt(question)


@workflow
def asked(question: str) -> str:
    return ask(question)


@workflow
def all_asked(questions: list[str]) -> list[str]:
    return ask.map(questions)


@workflow
def counted(question: str) -> int:
    return count(question)


class Timed(ScriptedBackend):
    """Notes when each request came; without `json_schema`, as many servers are."""

    def __init__(self, script: Script | None, *, json_schema: bool = True, **options: Any) -> None:
        super().__init__(script, **options)
        self.times: list[float] = []
        self.json_schema = json_schema

    async def capabilities(self) -> Capabilities:
        return replace(await super().capabilities(), json_schema=self.json_schema)

    async def complete(self, request: Request, *, on_chunk: Any = None) -> Completion:
        self.times.append(asyncio.get_running_loop().time())
        return await super().complete(request, on_chunk=on_chunk)


def result_of(call: Any, backend: Any, **options: Any) -> RunResult[Any]:
    clock = VirtualClock()

    async def main() -> RunResult[Any]:
        async with Runtime(backend, clock=clock, **options) as runtime:
            return await runtime.start(call).wait()

    return clock.run(main())


# -- attempts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [BackendUnavailable("x"), BackendTimeout("x"), RateLimited("x"), InvalidAnswer("x")]
)
def test_a_call_is_tried_again_after_what_may_pass(error: Exception) -> None:
    backend = Timed([error, error, error, "fine"])
    events: list[Event] = []
    result = result_of(asked.bind("?"), backend, on_event=events.append)
    assert result.output == "fine"
    assert len(backend.requests) == 4
    [node] = result.nodes
    assert node.attempts == 4
    assert [e.attempt for e in events if isinstance(e, NodeStarted)] == [1, 2, 3, 4]
    waits = [e.retry_in_s for e in events if isinstance(e, AttemptFailed)]
    assert waits == pytest.approx([after - before for before, after in pairwise(backend.times)])
    assert all(wait <= FIRST_S * 2**index for index, wait in enumerate(waits))


@pytest.mark.parametrize(
    "error",
    [ContextOverflow("x"), RequestRejected("x"), RateLimited("for ever", retryable=False)],
)
def test_a_call_is_not_tried_again_after_what_stays(error: Exception) -> None:
    backend = Timed([error, "never"])
    result = result_of(asked.bind("?"), backend)
    assert result.error is error
    assert len(backend.requests) == 1


def test_the_last_attempts_error_ends_the_call() -> None:
    errors = [BackendUnavailable(str(number)) for number in range(4)]
    result = result_of(asked.bind("?"), Timed(errors))
    assert result.error is errors[-1]


def test_a_server_is_left_alone_as_long_as_it_asks() -> None:
    backend = Timed([RateLimited("slow", retry_after_s=42.0), "fine"])
    result_of(asked.bind("?"), backend)
    assert backend.times == [0.0, 42.0]


def test_an_attempt_that_waits_to_be_repeated_gives_its_place_to_others() -> None:
    def script(request: Request) -> str | Exception:
        if request.messages[-1].content == "a" and len(backend.requests) == 1:
            return RateLimited("slow", retry_after_s=100.0)
        return request.messages[-1].content

    backend = Timed(script, max_concurrency=1, latency_s=1.0)
    result = result_of(all_asked.bind(["a", "b", "c"]), backend)
    assert result.output == ["a", "b", "c"]
    assert [r.messages[-1].content for r in backend.requests] == ["a", "b", "c", "a"]
    assert result.duration_s == 102.0


def test_an_error_of_another_kind_fails_the_node_at_once() -> None:
    backend = Timed([KeyError("a bug in a backend"), "never"])
    result = result_of(asked.bind("?"), backend)
    assert isinstance(result.error, RunError)
    assert "KeyError" in str(result.error)
    assert len(backend.requests) == 1


def test_an_attempt_that_takes_too_long_is_stopped_and_tried_again() -> None:
    @llm(timeout_s=5.0, retries=1)
    def hasty() -> Prompt[str]:
        return Prompt("?")

    @workflow
    def hurry() -> str:
        return hasty()

    latencies = iter([60.0, 1.0])
    backend = Timed("late", latency_s=lambda _: next(latencies))
    result = result_of(hurry.bind(), backend)
    assert result.output == "late"
    assert 5.0 <= backend.times[1] <= 5.0 + FIRST_S
    always = Timed("late", latency_s=60.0)
    error = result_of(hurry.bind(), always).error
    assert isinstance(error, BackendTimeout)
    assert str(error) == "no answer from scripted within 5 s"


# -- answers that do not fit -----------------------------------------------------------------


def test_an_answer_that_does_not_fit_is_asked_for_again_with_what_is_wrong() -> None:
    backend = Timed(["seven", '{"answer": "x"}', '{"answer": 7}'])
    result = result_of(counted.bind("How many?"), backend)
    assert result.output == 7
    first, second, third = (request.messages for request in backend.requests)
    assert second[: len(first)] == first
    assert third[: len(second)] == second
    assert second[len(first)] == Message("assistant", "seven")
    assert second[-1].role == "user"
    assert second[-1].content.startswith("That answer cannot be used: ")
    [node] = result.nodes
    assert node.attempts == 3


def test_the_tokens_of_every_ask_are_counted() -> None:
    backend = Timed(["seven", '{"answer": 7}'])
    store = MemoryStore()
    result = result_of(counted.bind("How many?"), backend, store=store)
    attempts = asyncio.run(store.load(result.run_id)).attempts
    assert [attempt.status for attempt in attempts] == ["finished", "finished"]
    assert result.usage.prompt_tokens == sum(a.usage.prompt_tokens for a in attempts)
    assert len({attempt.usage.prompt_tokens for attempt in attempts}) == 2


def test_an_answer_that_never_fits_is_an_output_error() -> None:
    backend = Timed("seven")
    result = result_of(counted.bind("How many?"), backend)
    assert isinstance(result.error, OutputError)
    assert (result.error.answer, result.error.node_id) == ("seven", "count")
    assert len(backend.requests) == 3


def test_an_answer_that_was_cut_off_says_so() -> None:
    backend = Timed(lambda _: Completion(text='{"answer": 7', finish_reason="length"))
    error = result_of(counted.bind("How many?"), backend).error
    assert "max_tokens is too low" in str(error)


def test_lost_connections_and_wrong_answers_are_counted_apart() -> None:
    lost = BackendUnavailable("lost")
    backend = Timed([lost, lost, lost, "seven", lost, lost, lost, '{"answer": 7}'])
    result = result_of(counted.bind("How many?"), backend)
    assert result.output == 7
    [node] = result.nodes
    assert node.attempts == 8


@pytest.mark.parametrize("can_constrain", [True, False])
def test_the_schema_goes_only_to_backends_that_can_use_it(can_constrain: bool) -> None:
    backend = Timed('{"answer": 7}', json_schema=can_constrain)
    assert result_of(counted.bind("How many?"), backend).output == 7
    [request] = backend.requests
    assert (request.output_schema is not None) == can_constrain
    # The words that ask for the form are there either way.
    assert request.messages[0].role == "system"
    assert "JSON" in request.messages[0].content


# -- order and number ------------------------------------------------------------------------


def test_programs_go_in_the_order_they_came() -> None:
    @workflow
    def twice(question: str) -> str:
        return ask(ask(question))

    clock = VirtualClock()
    backend = Timed(lambda r: r.messages[-1].content + "'", latency_s=1.0, max_concurrency=1)

    async def main() -> None:
        async with Runtime(backend, clock=clock) as runtime:
            await runtime.run_many(twice, [{"question": q} for q in "abc"])

    clock.run(main())
    assert [r.messages[-1].content for r in backend.requests] == ["a", "b", "a'", "b'", "c", "c'"]


def test_no_more_calls_are_sent_than_the_backend_takes() -> None:
    backend = Timed("fine", latency_s=1.0, max_concurrency=3)
    result = result_of(all_asked.bind([str(n) for n in range(10)]), backend)
    assert backend.peak_concurrency == 3
    assert result.duration_s == 4.0


def test_calls_of_the_small_tier_go_to_the_small_backend() -> None:
    @llm(tier="small")
    def small() -> Prompt[str]:
        return Prompt("?")

    @workflow
    def both() -> list[str]:
        return [small(), ask("?")]

    result = result_of(both.bind(), Timed("large"), small=Timed("small"))
    assert result.output == ["small", "large"]


def test_text_is_told_as_it_comes() -> None:
    events: list[Event] = []
    result_of(asked.bind("?"), Timed("one two three"), on_event=events.append)
    told = [event.text for event in events if isinstance(event, TokensReceived)]
    assert "".join(told) == "one two three"
    assert len(told) == 3
