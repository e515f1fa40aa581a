"""Constants are found again from the times of an engine that has them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from agentrt.errors import InputError
from agentrt.ir.engine_timing import BatchTiming, CallTiming
from agentrt.simulator.engine_fit import Fit, fit, predicted_s
from agentrt.simulator.engine_model import EngineModel

TRUTH = EngineModel(
    name="truth",
    step_s=0.004,
    prefill_token_s=0.002,
    prefill_pair_s=5e-7,
    decode_sequence_s=0.003,
    context_token_s=4e-6,
    kv_tokens=16_384,
    max_batch_tokens=512,
    max_running=4,
)
REQUEST_S = 0.01
UNKNOWN = replace(
    TRUTH,
    step_s=1.0,
    prefill_token_s=0.0,
    prefill_pair_s=0.0,
    decode_sequence_s=0.0,
    context_token_s=0.0,
)


def timed(what: str, prompts: list[int], answer: int, **options: object) -> BatchTiming:
    """Step by step, as the engine's page says: so this is not the code that is tested."""
    cached = int(str(options.get("cached", 0)))
    per_piece = int(str(options.get("per_piece", 1)))
    now, left = REQUEST_S, [prompt - cached for prompt in prompts]
    done = [0] * len(prompts)
    tokens: list[list[float]] = [[] for _ in prompts]
    while min(done) < answer:
        seconds, room = TRUTH.step_s, TRUTH.max_batch_tokens
        decoding = [i for i, rest in enumerate(left) if rest == 0 and done[i] < answer]
        context = sum(prompts[i] + done[i] - 1 for i in decoding)
        seconds += TRUTH.decode_sequence_s * len(decoding) + TRUTH.context_token_s * context
        room -= len(decoding)
        ready = list(decoding)
        for i, rest in enumerate(left):
            chunk = min(rest, room)
            if chunk:
                before = prompts[i] - rest
                seconds += TRUTH.prefill_token_s * chunk
                seconds += TRUTH.prefill_pair_s * (chunk * before + chunk * chunk / 2)
                left[i] -= chunk
                room -= chunk
                if left[i] == 0:
                    ready.append(i)
        now += seconds
        for i in ready:
            done[i] += 1
            tokens[i].append(now)
    return BatchTiming(
        what=what,
        calls=tuple(
            CallTiming(
                prompt_tokens=prompt,
                cached_tokens=cached,
                completion_tokens=answer,
                piece_s=(times[0], *times[per_piece::per_piece]),
                ended_s=times[-1],
            )
            for prompt, times in zip(prompts, tokens, strict=True)
        ),
        is_held_out=bool(options.get("is_held_out", False)),
    )


def probes(**options: object) -> list[BatchTiming]:
    batches = [timed(f"prompt of {n}", [n], 1) for n in (64, 128, 256, 500, 1000, 2000)]
    batches += [timed(f"{n} behind 1000", [1000 + n], 1, cached=1000) for n in (64, 256)]
    batches += [
        timed(f"{count} of {n}", [n] * count, 33, **options)
        for n in (64, 1000)
        for count in (1, 2, 4)
    ]
    return batches


def constants(model: EngineModel) -> tuple[float, ...]:
    return (
        model.step_s,
        model.prefill_token_s,
        model.prefill_pair_s,
        model.decode_sequence_s,
        model.context_token_s,
    )


def noisy(batch: BatchTiming, factor: float) -> BatchTiming:
    calls = tuple(
        replace(
            call, piece_s=tuple(at * factor for at in call.piece_s), ended_s=call.ended_s * factor
        )
        for call in batch.calls
    )
    return replace(batch, calls=calls)


def test_constants_are_found_again() -> None:
    found = fit(probes(), UNKNOWN)
    assert constants(found.model) == pytest.approx(constants(TRUTH), rel=0.02)
    assert found.request_s == pytest.approx(REQUEST_S, rel=0.1)
    assert (found.model.name, found.model.kv_tokens) == ("truth", 16_384)
    assert max(abs(residual.error) for residual in found.residuals) < 0.01
    assert found.held_out_error is None


def test_tokens_that_come_several_in_a_piece_are_counted_as_tokens() -> None:
    found = fit(probes(per_piece=4), UNKNOWN)
    assert constants(found.model) == pytest.approx(constants(TRUTH), rel=0.05)


def test_of_repetitions_the_middle_counts_so_a_pause_does_no_harm() -> None:
    batches = [again for batch in probes() for again in (batch, noisy(batch, 9.0), batch)]
    assert constants(fit(batches, UNKNOWN).model) == pytest.approx(constants(TRUTH), rel=0.02)


def test_a_probe_that_is_far_off_all_others_counts_little() -> None:
    batches = [noisy(b, 3.0 if b.what == "prompt of 1000" else 1.0) for b in probes()]
    found = fit(batches, UNKNOWN)
    assert constants(found.model) == pytest.approx(constants(TRUTH), rel=0.1)
    (off,) = [r for r in found.residuals if r.what.startswith("prompt of 1000")]
    assert off.error == pytest.approx(-2 / 3, abs=0.05)


def test_noise_of_a_tenth_leaves_what_is_predicted_within_a_tenth() -> None:
    rng = random.Random(7)
    batches = [noisy(b, rng.uniform(0.9, 1.1)) for b in probes() for _ in range(3)]
    held = [timed("held", [300, 700, 100], 20, is_held_out=True)]
    error = fit([*batches, *held], UNKNOWN).held_out_error
    assert error is not None
    assert error < 0.1


def test_what_is_held_out_is_predicted_and_not_fitted_to() -> None:
    held = [
        timed("mixed", [700, 300, 40, 900], 24, is_held_out=True),
        timed("behind", [1500], 24, cached=1200, is_held_out=True),
        noisy(timed("off", [700], 24, is_held_out=True), 2.0),
    ]
    found = fit([*probes(), *held], UNKNOWN)
    mixed, behind, off = found.residuals[-3:]
    assert (mixed.what, mixed.is_held_out) == ("mixed", True)
    assert abs(mixed.error) < 0.02
    assert abs(behind.error) < 0.02
    assert off.error == pytest.approx(-0.5, abs=0.02)
    assert constants(found.model) == pytest.approx(constants(TRUTH), rel=0.02)


def test_an_engine_without_a_cost_gets_none_rather_than_less_than_none() -> None:
    batches = [noisy(b, 1.0 if "of 64" in b.what else 0.8) for b in probes()]
    found = fit(batches, UNKNOWN)
    assert min(constants(found.model)) >= 0.0
    assert found.model.step_s > 0.0


def test_more_than_run_at_once_are_predicted_one_after_another() -> None:
    calls = timed("five", [100] * 4, 10).calls
    four, five = predicted_s(TRUTH, calls), predicted_s(TRUTH, (*calls, calls[0]))
    assert five > four + 9 * TRUTH.step_s


def test_batches_that_never_decode_together_are_left_out_and_named() -> None:
    first, second = timed("two", [100, 100], 20).calls
    late = replace(second, piece_s=tuple(at + 100 for at in second.piece_s), ended_s=200.0)
    found: Fit = fit([*probes(), BatchTiming(what="apart", calls=(first, late))], UNKNOWN)
    assert found.left_out == (
        "apart: the answers were not all decoded at the same time for 4 tokens or more",
    )


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "no decoding"),
        ([timed("a", [64], 1), timed("b", [128], 1)], "no decoding"),
        ([timed("a", [64, 64], 20)], "no two prompts"),
        ([BatchTiming(what="nobody", calls=())], "no decoding"),
    ],
    ids=["nothing", "prompts alone", "decoding alone", "empty"],
)
def test_probes_that_do_not_tell_enough_say_what_is_missing(
    batches: list[BatchTiming], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit(batches, UNKNOWN)


def test_an_engine_that_takes_no_time_at_all_is_fitted_too() -> None:
    found = fit([noisy(b, 1e-12) for b in probes()], UNKNOWN)
    assert found.model.step_s > 0.0
