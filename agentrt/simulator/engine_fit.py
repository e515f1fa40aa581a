"""The constants of an engine, from how long it took for requests whose sizes are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from agentrt.errors import InputError
from agentrt.ir.engine_timing import BatchTiming, CallTiming
from agentrt.ir.prefix import Chain, Run, chained
from agentrt.simulator.engine import Engine
from agentrt.simulator.engine_model import EngineModel, EngineSettings
from agentrt.simulator.engine_request import EngineRequest, Finished
from agentrt.simulator.least_squares import robust

T = TypeVar("T")

_LEAST_STEPS = 4
_LEAST_PROMPTS = 2  # one tells what a prompt takes, not what each of its tokens does
_LEAST_STEP_S = 1e-6
_ROOM = 1 << 40


@dataclass(frozen=True, slots=True)
class Residual:
    """What the constants say of a probe, against what was measured (the median of repetitions)."""

    what: str
    measured_s: float
    predicted_s: float
    is_held_out: bool = False

    @property
    def error(self) -> float:
        """Relative: 0.1 is a tenth more than measured."""
        return self.predicted_s / self.measured_s - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The constants, and how good they are.

    Attributes:
        request_s: What a request takes beside the engine's steps: HTTP, tokenizing. Not in the
            model, and told from a step by prompts of different length only, so it is rough.
        residuals: Of the probes that were fitted to, then of those held out.
        left_out: Probes that told nothing, with the reason.
    """

    model: EngineModel
    request_s: float
    residuals: tuple[Residual, ...]
    left_out: tuple[str, ...] = ()

    @property
    def held_out_error(self) -> float | None:
        """The mean absolute error of the probes held out; None without such."""
        errors = [abs(residual.error) for residual in self.residuals if residual.is_held_out]
        return math.fsum(errors) / len(errors) if errors else None


@dataclass(frozen=True, slots=True)
class _Row:
    """`terms` are how much of each constant is in `seconds`."""

    what: str
    terms: tuple[float, ...]
    seconds: float


def fit(batches: Sequence[BatchTiming], setup: EngineModel) -> Fit:
    """The constants that explain `batches` best, by least squares on relative errors.

    Of repetitions the middle one counts. Batches that are held out are run on the fitted engine.

    Args:
        setup: What is known of the engine. Its constants are not looked at.

    Raises:
        InputError: the probes do not tell enough: no prompt was computed, or nothing decoded.
    """
    prefills, decodes, left_out = _rows([b for b in batches if not b.is_held_out], setup)
    if len(prefills) < _LEAST_PROMPTS or not decodes:
        missing = "no two prompts of different length" if decodes else "no decoding"
        why = f": {'; '.join(left_out)}" if left_out else ""
        raise InputError(f"the server answered, but {missing} could be timed{why}")
    rows = [*prefills, *decodes]
    found = robust([row.terms for row in rows], [row.seconds for row in rows])
    step_s, prefill_token_s, prefill_pair_s, decode_sequence_s, context_token_s, request_s = found
    model = replace(
        setup,
        step_s=max(step_s, _LEAST_STEP_S),
        prefill_token_s=prefill_token_s,
        prefill_pair_s=prefill_pair_s,
        decode_sequence_s=decode_sequence_s,
        context_token_s=context_token_s,
    )
    fitted = [Residual(row.what, row.seconds, _dot(row.terms, found)) for row in rows]
    held = [b for b in batches if b.is_held_out and b.calls]
    tried = [_tried(group, model, request_s) for group in _repetitions(held)]
    return Fit(
        model=model,
        request_s=request_s,
        residuals=(*fitted, *tried),
        left_out=tuple(left_out),
    )


def predicted_s(model: EngineModel, calls: Sequence[CallTiming]) -> float:
    """Seconds until the engine has answered all of `calls`, sent together, alone."""
    # Blocks of a token, and room for all: what is asked is how fast it is, not what it keeps.
    fast = replace(model, cache="paged", kv_tokens=_ROOM, host_tokens=0)
    engine = Engine(fast, EngineSettings(block_tokens=1))
    most = max((call.cached_tokens for call in calls), default=0)
    now = 0.0
    if most:
        engine.submit(_request("before", (Run(0, most),), most, 0), now)
        now = max(_ends(engine), default=0.0)
    for at, call in enumerate(calls):
        own = Run((at + 1) << 32, call.prompt_tokens - call.cached_tokens)
        chain = chained((Run(0, call.cached_tokens), own))
        engine.submit(_request(str(at), chain, call.prompt_tokens, call.completion_tokens), now)
    return max(_ends(engine), default=now) - now


def _request(name: str, chain: Chain, prompt_tokens: int, completion_tokens: int) -> EngineRequest:
    return EngineRequest(
        call_id=name,
        prompt=chain,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
    )


def _ends(engine: Engine) -> Iterator[float]:
    while (at := engine.next_event_at()) is not None:
        yield from (event.at for event in engine.advance(at) if isinstance(event, Finished))


def _tried(group: Sequence[BatchTiming], model: EngineModel, request_s: float) -> Residual:
    middle = _middle(group, key=_last_end)
    predicted = predicted_s(model, middle.calls) + request_s
    return Residual(middle.what, _last_end(middle), predicted, is_held_out=True)


def _rows(
    batches: Sequence[BatchTiming], setup: EngineModel
) -> tuple[list[_Row], list[_Row], list[str]]:
    """Rows of prompts computed alone, rows of decoding, and the probes that gave none."""
    prefills: list[_Row] = []
    decodes: list[_Row] = []
    left_out: list[str] = []
    for group in _repetitions(batches):
        computed = [row for batch in group if (row := _prefill_row(batch, setup)) is not None]
        decoded = [row for batch in group if (row := _decode_row(batch)) is not None]
        if computed:
            prefills.append(_middle(computed, key=_row_seconds))
        if decoded:
            decodes.append(_middle(decoded, key=_row_seconds_a_step))
        elif len(group[0].calls) > 1:
            left_out.append(
                f"{group[0].what}: the answers were not all decoded at the same time for"
                f" {_LEAST_STEPS} tokens or more"
            )
    return prefills, decodes, left_out


def _prefill_row(batch: BatchTiming, setup: EngineModel) -> _Row | None:
    """The time to the first token of a request that was alone."""
    if len(batch.calls) != 1:
        return None
    call = batch.calls[0]
    seconds = call.piece_s[0] if call.piece_s else call.ended_s
    computed, before = call.prompt_tokens - call.cached_tokens, call.cached_tokens
    if computed <= 0 or seconds <= 0.0:
        return None
    steps = -(-computed // setup.max_batch_tokens)
    pairs = computed * before + 0.5 * computed * computed
    return _Row(f"{batch.what}, first token", (steps, computed, pairs, 0.0, 0.0, 1.0), seconds)


def _decode_row(batch: BatchTiming) -> _Row | None:
    """The time in which all calls decode: from the last first token to the first end."""
    calls = batch.calls
    if not calls or min(len(call.piece_s) for call in calls) <= 1:
        return None
    begin = max(call.piece_s[0] for call in calls)
    end = min(call.piece_s[-1] for call in calls)
    # Servers may put several tokens into a piece.
    per_piece = [(call.completion_tokens - 1) / (len(call.piece_s) - 1) for call in calls]
    counts = [sum(begin < at <= end for at in call.piece_s) for call in calls]
    steps = sum(n * each for n, each in zip(counts, per_piece, strict=True)) / len(calls)
    if steps < _LEAST_STEPS or end <= begin:
        return None
    context = 0.0
    for call, each in zip(calls, per_piece, strict=True):
        before = sum(at <= begin for at in call.piece_s) * each
        context += call.prompt_tokens + before + steps / 2.0
    terms = (steps, 0.0, 0.0, steps * len(calls), steps * context, 0.0)
    return _Row(f"{batch.what}, {steps:.0f} steps of decoding", terms, end - begin)


def _repetitions(batches: Iterable[BatchTiming]) -> list[list[BatchTiming]]:
    """Batches by what they are, in the order each was first seen."""
    groups: dict[str, list[BatchTiming]] = {}
    for batch in batches:
        groups.setdefault(batch.what, []).append(batch)
    return list(groups.values())


def _middle(values: Sequence[T], *, key: Callable[[T], float]) -> T:
    """The one in the middle; of two, the lower: noise only ever adds."""
    return sorted(values, key=key)[(len(values) - 1) // 2]


def _last_end(batch: BatchTiming) -> float:
    return max(call.ended_s for call in batch.calls)


def _row_seconds(row: _Row) -> float:
    return row.seconds


def _row_seconds_a_step(row: _Row) -> float:
    return row.seconds / row.terms[0]


def _dot(terms: Sequence[float], found: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(terms, found, strict=True))
