"""Probes find out what an engine costs, and say so where a server cannot be timed."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from agentrt.backends.engine_timing import EngineTimer, Probe, Timings, probes_for
from agentrt.clock import VirtualClock
from agentrt.errors import (
    BackendError,
    BackendUnavailable,
    InvalidAnswer,
    RateLimited,
    RequestRejected,
)
from agentrt.ir.request import Completion, Usage
from agentrt.simulator.engine_fit import fit
from agentrt.simulator.engine_model import EngineModel
from agentrt.testing import ScriptedBackend
from tests.unit.backends.stepping_engine import SteppingEngine

MODEL = EngineModel(
    name="stepping",
    step_s=0.004,
    prefill_token_s=0.002,
    prefill_pair_s=5e-7,
    decode_sequence_s=0.003,
    context_token_s=4e-6,
    kv_tokens=16_384,
    max_batch_tokens=512,
    max_running=4,
)
PROBES = probes_for(longest_tokens=640, most_at_once=4)


def measured(
    engine: SteppingEngine | ScriptedBackend, probes: list[Probe] = PROBES, *, repeats: int = 1
) -> Timings:
    clock = VirtualClock()

    async def measure() -> Timings:
        timer = EngineTimer(engine, clock, rng=random.Random(1))
        try:
            return await timer.measure(probes, repeats=repeats, on_probe=lambda *_: None)
        finally:
            await engine.aclose()

    return clock.run(measure())


def test_the_constants_of_a_server_are_found_from_outside() -> None:
    timings = measured(SteppingEngine(MODEL))
    assert timings.notes == ()
    found = fit(timings.batches, replace(MODEL, step_s=1.0))
    got, true = found.model, MODEL
    assert got.step_s == pytest.approx(true.step_s, rel=0.05)
    assert got.prefill_token_s == pytest.approx(true.prefill_token_s, rel=0.02)
    assert got.prefill_pair_s == pytest.approx(true.prefill_pair_s, rel=0.1)
    assert got.decode_sequence_s == pytest.approx(true.decode_sequence_s, rel=0.05)
    assert got.context_token_s == pytest.approx(true.context_token_s, rel=0.05)
    assert found.held_out_error is not None
    assert found.held_out_error < 0.03


def test_prompts_have_the_lengths_that_were_planned_and_share_nothing() -> None:
    probes = [
        Probe(what="alone", prompt_tokens=(300,)),
        Probe(what="three", prompt_tokens=(100, 200, 64), answer_tokens=9),
    ]
    first, second = measured(SteppingEngine(MODEL), probes).batches
    assert [call.prompt_tokens for call in first.calls] == [300]
    assert [call.prompt_tokens for call in second.calls] == [100, 200, 64]
    assert [call.completion_tokens for call in second.calls] == [9, 9, 9]
    # What is around every prompt is cached; a first word may be the same by chance.
    assert max(call.cached_tokens for call in (*first.calls, *second.calls)) <= 8


def test_what_is_behind_a_prefix_finds_it_cached() -> None:
    probe = Probe(what="behind", prompt_tokens=(100,), behind_tokens=300)
    (batch,) = measured(SteppingEngine(MODEL), [probe]).batches
    assert (batch.calls[0].prompt_tokens, batch.calls[0].cached_tokens) == (400, 295)


def test_a_server_that_reports_no_cached_tokens_is_timed_without_them() -> None:
    timings = measured(SteppingEngine(MODEL, counts_cached=False))
    assert not [batch for batch in timings.batches if "behind" in batch.what]
    assert [note for note in timings.notes if "not reported as cached" in note]
    assert fit(timings.batches, MODEL).model.prefill_token_s == pytest.approx(
        0.002, rel=0.15
    )  # what frames every prompt is cached, and not told


def test_a_server_that_runs_fewer_at_once_than_it_is_asked_leaves_out_what_tells_nothing() -> None:
    timings = measured(SteppingEngine(replace(MODEL, max_running=2)))
    found = fit(timings.batches, MODEL)
    assert [text.split(":")[0] for text in found.left_out] == [
        "4 with a context of 32",
        "4 with a context of 320",
    ]
    assert found.model.decode_sequence_s == pytest.approx(MODEL.decode_sequence_s, rel=0.1)


def test_answers_that_end_early_are_noted_and_used_as_far_as_they_go() -> None:
    timings = measured(SteppingEngine(MODEL, ends_early=12))
    assert "answers ended early: 12 of 33 tokens" in timings.notes
    assert fit(timings.batches, MODEL).model.step_s == pytest.approx(MODEL.step_s, rel=0.1)


def test_a_server_that_does_not_stream_is_refused() -> None:
    with pytest.raises(InvalidAnswer, match="does not stream") as raised:
        measured(SteppingEngine(MODEL, is_streaming=False))
    assert not raised.value.retryable


def test_a_server_that_counts_no_tokens_is_refused() -> None:
    with pytest.raises(InvalidAnswer, match="how many tokens a prompt has"):
        measured(ScriptedBackend(lambda _: Completion(text="x", usage=Usage(0, 0, 1))), PROBES)


def test_a_server_that_does_not_know_ignore_eos_is_asked_without() -> None:
    engine = SteppingEngine(MODEL)
    ask = engine.complete
    refused: list[bool] = []

    async def picky(request, *, on_chunk=None):  # type: ignore[no-untyped-def]
        if request.extra:
            refused.append(True)
            raise RequestRejected("unknown field ignore_eos", status=400)
        return await ask(request, on_chunk=on_chunk)

    engine.complete = picky  # type: ignore[method-assign]
    timings = measured(engine, PROBES[:1])
    assert len(refused) == 1
    assert timings.notes == ("the server does not know ignore_eos: answers may end early",)


@pytest.mark.parametrize(
    "error",
    [BackendUnavailable("gone"), RequestRejected("no such model", status=404)],
)
def test_a_server_that_is_not_there_says_so_at_once(error: BackendError) -> None:
    engine = SteppingEngine(MODEL, error=("", error))
    with pytest.raises(type(error), match=str(error)):
        measured(engine)
    assert len(engine.requests) <= 2


def test_a_limit_on_requests_is_told_as_one() -> None:
    limited = RateLimited("slow down", retry_after_s=7.0, url="http://x")
    engine = SteppingEngine(MODEL)
    ask = engine.complete

    async def busy(request, *, on_chunk=None):  # type: ignore[no-untyped-def]
        if len(engine.requests) > 20:
            raise limited
        return await ask(request, on_chunk=on_chunk)

    engine.complete = busy  # type: ignore[method-assign]
    with pytest.raises(RateLimited, match=r"slow down.*at once were too many") as raised:
        measured(engine)
    assert (raised.value.retry_after_s, raised.value.url) == (7.0, "http://x")


def test_cancelled_it_leaves_no_request_behind() -> None:
    engine = SteppingEngine(replace(MODEL, step_s=10.0))

    async def cancel() -> None:
        timer = EngineTimer(engine, VirtualClock(), rng=random.Random(1))
        working = asyncio.create_task(timer.measure(PROBES, repeats=1, on_probe=lambda *_: None))
        await asyncio.sleep(500.0)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert engine._running == engine._waiting == []
        await engine.aclose()

    VirtualClock().run(cancel())


@pytest.mark.parametrize("longest", [1, 32, 33, 100, 2048, 100_000])
@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 5, 16])
def test_any_plan_has_prompts_alone_decoding_and_something_held_out(
    longest: int, at_once: int
) -> None:
    probes = probes_for(longest_tokens=longest, most_at_once=at_once)
    assert len({probe.what for probe in probes}) == len(probes)
    assert max(len(probe.prompt_tokens) for probe in probes) <= at_once
    assert min(min(probe.prompt_tokens) for probe in probes) >= 1
    assert max(max(probe.prompt_tokens) for probe in probes) <= max(32, longest)
    assert sum(probe.is_held_out for probe in probes) >= 2
    assert [probe for probe in probes if probe.answer_tokens > 1 and not probe.is_held_out]
