"""An inference engine on virtual time: continuous batching over a block-granular prefix cache.

The engine works in steps; what is asked of it takes effect where the step under way ends. While
nothing joins or leaves the batch, many steps are one here: their seconds and blocks are closed
sums. `docs/engine-model.md` says what is modelled, and what is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from agentrt.ir.prefix import Chain
from agentrt.ir.request import Usage
from agentrt.simulator.engine_model import EngineModel, EngineSettings
from agentrt.simulator.engine_places import Places
from agentrt.simulator.engine_request import (
    CallId,
    EngineEvent,
    EngineLoad,
    EngineRequest,
    Finished,
    FirstToken,
    Preempted,
    Refused,
    Started,
)
from agentrt.simulator.engine_sequence import Sequence, blocks_of
from agentrt.simulator.engine_slots import SlotPlaces


@dataclass(slots=True)
class _Plan:
    """Steps from one boundary on: many that only decode, or one that also computes prompts."""

    steps: int
    chunks: list[tuple[Sequence, int]]
    prefill_s: float


class Engine:
    """One replica. Times given to it never decrease."""

    def __init__(self, model: EngineModel, settings: EngineSettings | None = None) -> None:
        self.model = model
        self.settings = settings or EngineSettings()
        kind = SlotPlaces if model.cache == "slots" else Places
        self._places = kind(model, self.settings)
        self.blocks = self._places.blocks
        self.computed_tokens = 0
        self._calls: dict[CallId, Sequence] = {}
        self._leaving: list[Sequence] = []
        self._arrivals = 0
        self._now = -math.inf
        self._boundary = -math.inf
        self._plan: _Plan | None = None
        self._preempted_at: float | None = None
        self._asked: list[Callable[[], None]] = []
        self._events: list[EngineEvent] = []

    @property
    def swapped_in_tokens(self) -> int:
        """Tokens of prompts that came back from host memory."""
        return self._places.swapped_in_tokens

    @property
    def load(self) -> EngineLoad:
        """As of the last boundary of steps."""
        return EngineLoad(
            used_blocks=self.blocks.total - self.blocks.available,
            cached_blocks=self._places.cached_blocks,
            running=len(self._places.running),
            waiting=len(self._calls) - len(self._places.running) + len(self._leaving),
        )

    def submit(self, request: EngineRequest, now: float) -> None:
        """Ask for a call. Raises ValueError if its id is at the engine already."""
        if request.call_id in self._calls:
            raise ValueError(f"call {request.call_id!r} is at the engine already")
        self._run_until(now)
        most = blocks_of(
            request.prompt_tokens + max(0, request.completion_tokens - 1),
            self.settings.block_tokens,
        )
        if most > self._places.most_blocks:
            reason = f"it needs {most} blocks, the engine has {self._places.most_blocks}"
            self._events.append(Refused(request.call_id, now, reason))
            return
        sequence = Sequence(request, self._arrivals)
        self._arrivals += 1
        self._calls[request.call_id] = sequence
        if self._places.waiting.add(sequence) and not self._places.is_full:
            self._end_plan(now)

    def cancel(self, call_id: CallId, now: float) -> bool:
        """Break a call off, without an event; False if it is not (or no longer) here."""
        self._run_until(now)
        sequence = self._calls.pop(call_id, None)
        if sequence is None:
            return False
        if call_id in self._places.running:
            self._leaving.append(sequence)
            self._end_plan(now)
        elif self._places.waiting.first() is sequence:
            self._end_plan(now)
        sequence.is_cancelled = True
        return True

    def hold(self, key: str, chain: Chain, until: float, now: float) -> None:
        """Keep what is cached of the chain until `until`, within the engine's limit for holds."""
        self._ask(lambda: self.blocks.hold(key, chain, until), now)

    def release(self, key: str, now: float) -> None:
        """End a hold."""
        self._ask(lambda: self.blocks.release(key), now)

    def next_event_at(self) -> float | None:
        """When something may happen unless more is asked; None if nothing will."""
        if not self._events and self._plan is None:
            self._compose()
        if self._events:
            return max(self._events[0].at, self._now)
        return self._end_of(self._plan) if self._plan is not None else None

    def advance(self, now: float) -> list[EngineEvent]:
        """What has happened up to `now`, in order."""
        self._run_until(now)
        events, self._events = self._events, []
        return events

    def _run_until(self, now: float) -> None:
        if not now >= self._now:
            raise ValueError(f"the engine is at {self._now}, {now} is before that")
        self._now = now
        while True:
            if self._plan is None:
                if self._boundary >= now:
                    return
                self._compose()
                if self._plan is None:
                    self._boundary = now
                    return
            end = self._end_of(self._plan)
            if end > now:
                return
            self._complete(self._plan, end)

    def _ask(self, change: Callable[[], None], now: float) -> None:
        """Have a change of holds take effect at the next boundary."""
        self._run_until(now)
        self._asked.append(change)
        self._end_plan(now)

    def _end_of(self, plan: _Plan) -> float:
        return self._boundary + self._seconds(plan, plan.steps)

    def _seconds(self, plan: _Plan, steps: int) -> float:
        batch = self._places.batch
        decode_s = self.model.decode_s(batch.sequences, batch.context_tokens, steps)
        return decode_s + plan.prefill_s

    def _end_plan(self, now: float) -> None:
        """End the plan with the step that is under way at `now`, or before it has begun."""
        plan = self._plan
        if plan is None:
            return
        if self._boundary >= now:
            self._plan = None
            return
        low, high = 0, plan.steps
        while high - low > 1:
            middle = (low + high) // 2
            if self._boundary + self._seconds(plan, middle) >= now:
                high = middle
            else:
                low = middle
        plan.steps = high

    def _complete(self, plan: _Plan, end: float) -> None:
        """Book the steps of a plan that are over."""
        ended = self._places.decode(plan.steps)
        self._boundary = end
        self._plan = None
        for sequence in ended:
            self._finish(sequence)
        for sequence, tokens in plan.chunks:
            self._computed(sequence, tokens)

    def _computed(self, sequence: Sequence, tokens: int) -> None:
        sequence.computed += tokens
        sequence.to_swap_in = 0
        self.computed_tokens += tokens
        if sequence.computed < sequence.target:
            return
        sequence.generated += 1
        if sequence.generated == 1 and not sequence.is_cancelled:
            self._events.append(FirstToken(sequence.request.call_id, self._boundary))
        if sequence.generated >= sequence.request.completion_tokens:
            self._finish(sequence)
        else:
            self._places.decode_on(sequence)

    def _finish(self, sequence: Sequence) -> None:
        request = sequence.request
        context = self._places.give_up(sequence)
        if sequence.is_cancelled:
            return
        del self._calls[request.call_id]
        cached = sequence.cached_tokens or 0
        usage = Usage(request.prompt_tokens, cached, request.completion_tokens)
        self._events.append(Finished(request.call_id, self._boundary, usage, context))

    def _compose(self) -> None:
        """Decide on the next steps, from the boundary on."""
        places = self._places
        self._settle()
        for sequence in places.preempt_for_growth():
            self._preempted_at = self._boundary
            self._events.append(Preempted(sequence.request.call_id, self._boundary))
        has_preempted = self._preempted_at == self._boundary
        for sequence in [] if has_preempted else places.let_in():
            if sequence.cached_tokens is None:
                sequence.cached_tokens = sequence.computed
                self._events.append(Started(sequence.request.call_id, self._boundary))
        plan = _Plan(1, *places.prompt_chunks())
        if not plan.chunks:
            if not places.running:
                return
            # Whoever was preempted may come back after a step; else only an end makes room.
            most = 1 if has_preempted else places.batch.steps_to_next_end()
            plan.steps = places.batch.steps_within(self.blocks.available, most)
        self._plan = plan
        expiry = self.blocks.next_expiry()
        if expiry is not None and places.waiting.first() is not None:
            self._end_plan(max(expiry, math.nextafter(self._boundary, math.inf)))

    def _settle(self) -> None:
        """Do what was asked for while a step was under way."""
        for sequence in self._leaving:
            if self._places.running.get(sequence.request.call_id) is sequence:
                self._places.give_up(sequence)
        self._leaving.clear()
        for change in self._asked:
            change()
        self._asked.clear()
        self.blocks.expire(self._boundary)
