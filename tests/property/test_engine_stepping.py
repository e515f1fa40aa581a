"""The engine model against one that takes every step, and every block, by itself."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.ir.prefix import Chain, Run, chained, first_blocks
from agentrt.ir.request import Usage
from agentrt.simulator.engine import Engine
from agentrt.simulator.engine_model import EngineModel, EngineOrder, EngineSettings
from agentrt.simulator.engine_request import (
    EngineEvent,
    EngineRequest,
    Finished,
    FirstToken,
    Preempted,
    Refused,
    Started,
)
from tests.property.test_radix_model import NaiveCache, blocks_of

# No round numbers: a call must not come at the very end of a step, where rounding decides.
MODEL = EngineModel(
    name="test",
    step_s=0.010037,
    prefill_token_s=0.00100071,
    prefill_pair_s=0.0000200009,
    decode_sequence_s=0.00050013,
    context_token_s=0.0000300017,
    kv_tokens=1,
    max_batch_tokens=24,
    max_running=4,
)


@dataclass(frozen=True)
class Asked:
    """One thing a driver does at a time."""

    at: float
    what: Literal["submit", "cancel", "look"]
    request: EngineRequest


@dataclass
class _Sequence:
    request: EngineRequest
    arrival: int
    generated: int = 0
    target: int = 0
    computed: int = 0
    cached: int | None = None
    reference: list[int] = field(default_factory=list)
    private: int = 0


class NaiveEngine:
    """One step at a time, one block at a time."""

    def __init__(self, model: EngineModel, setup: EngineSettings) -> None:
        assert setup.kv_blocks is not None
        self.model, self.setup, self.total = model, setup, setup.kv_blocks
        self.cache = NaiveCache(setup.kv_blocks)
        self.waiting: list[_Sequence] = []
        self.running: list[_Sequence] = []
        self.events: list[EngineEvent] = []
        self.now = 0.0

    def rank(self, one: _Sequence) -> tuple[int, int]:
        by_priority = self.setup.order == "priority"
        return (-one.request.priority if by_priority else 0, one.arrival)

    def blocks(self, tokens: int) -> int:
        return math.ceil(tokens / self.setup.block_tokens)

    def available(self) -> int:
        referenced = sum(block.references > 0 for block in self.cache.blocks.values())
        return self.total - sum(one.private for one in self.running) - referenced

    def make_way(self) -> None:
        """Evict until cached and private blocks fit."""
        self.cache.capacity = self.total - sum(one.private for one in self.running)
        self.cache.evict(len(self.cache.blocks) - self.cache.capacity)

    def chain(self, one: _Sequence, tokens: int) -> Chain:
        request = one.request
        source = request.context
        if tokens <= request.prompt_tokens or not request.context:
            source = request.prompt
        return first_blocks(source, tokens // self.setup.block_tokens)

    def run(self, script: list[Asked]) -> list[EngineEvent]:
        left = sorted((one for one in script if one.what != "look"), key=lambda one: one.at)
        arrivals = 0
        while left or self.waiting or self.running:
            if not self.waiting and not self.running:
                self.now = max(self.now, left[0].at)
            gone: set[str] = set()
            while left and left[0].at <= self.now:
                asked = left.pop(0)
                if asked.what == "cancel":
                    gone.add(asked.request.call_id)
                    self.cancel(asked.request.call_id)
                    continue
                request = asked.request
                most = self.blocks(request.prompt_tokens + max(0, request.completion_tokens - 1))
                if most > self.total:
                    reason = f"it needs {most} blocks, the engine has {self.total}"
                    self.events.append(Refused(request.call_id, asked.at, reason))
                else:
                    self.waiting.append(_Sequence(request, arrivals))
                    arrivals += 1
            self.step(left)
        return self.events

    def cancel(self, call_id: str) -> None:
        self.waiting = [one for one in self.waiting if one.request.call_id != call_id]
        for one in [one for one in self.running if one.request.call_id == call_id]:
            self.give_up(one)

    def give_up(self, one: _Sequence) -> None:
        self.running.remove(one)
        one.private = 0
        self.make_way()
        self.cache.release(one.reference)
        if one.computed < one.target:
            kept = one.computed // self.setup.block_tokens
            self.cache.correct(self.chain(one, one.target), kept)
        self.cache.insert(self.chain(one, one.computed))

    def decoding(self) -> list[_Sequence]:
        return [one for one in self.running if one.computed >= one.target]

    def step(self, left: list[Asked]) -> None:
        preempted = False
        while True:
            growing = [
                one for one in self.decoding() if one.computed % self.setup.block_tokens == 0
            ]
            if len(growing) <= self.available():
                break
            victim = max(self.running, key=self.rank)
            self.give_up(victim)
            self.waiting.append(victim)
            self.events.append(Preempted(victim.request.call_id, self.now))
            preempted = True
        if not preempted:
            self.let_in(len(growing))
        if not self.running:
            return
        self.perform(growing, left)

    def let_in(self, growth: int) -> None:
        tokens = self.model.max_batch_tokens - len(self.decoding())
        tokens -= sum(max(0, one.target - one.computed) for one in self.running)
        while tokens > 0 and len(self.running) < self.model.max_running and self.waiting:
            one = min(self.waiting, key=self.rank)
            target = one.request.prompt_tokens + one.generated
            chain = self.chain(one, target)
            cached, referenced = self.cache.probe(chain)
            spare = growth + int(self.setup.watermark * self.total) if self.running else 0
            if self.blocks(target) - referenced + spare > self.available():
                return
            self.waiting.remove(one)
            one.target = target
            one.computed = min(cached, (target - 1) // self.setup.block_tokens)
            one.computed *= self.setup.block_tokens
            assert self.cache.insert(chain) == len(blocks_of(chain))
            one.reference = self.cache.acquire(chain)
            one.private = self.blocks(target) - len(one.reference)
            self.running.append(one)
            self.make_way()
            if one.cached is None:
                one.cached = one.computed
                self.events.append(Started(one.request.call_id, self.now))
            tokens -= target - one.computed

    def perform(self, growing: list[_Sequence], left: list[Asked]) -> None:
        model, decoding = self.model, self.decoding()
        seconds = model.step_s + model.decode_sequence_s * len(decoding)
        seconds += sum(model.context_token_s * one.computed for one in decoding)
        budget = model.max_batch_tokens - len(decoding)
        chunks: list[tuple[_Sequence, int]] = []
        for one in [one for one in self.running if one not in decoding]:
            tokens = min(budget, one.target - one.computed)
            budget -= tokens
            if tokens:
                chunks.append((one, tokens))
                seconds += model.prefill_token_s * tokens
                pairs = sum(one.computed + number + 0.5 for number in range(tokens))
                seconds += model.prefill_pair_s * pairs
        self.now += seconds
        for one in growing:
            one.private += 1
        self.make_way()
        unwanted = {
            asked.request.call_id
            for asked in left
            if asked.what == "cancel" and asked.at < self.now
        }
        for one in decoding:
            one.computed += 1
            one.generated += 1
        for one in sorted(decoding, key=lambda one: one.arrival):
            self.finish_if_done(one, unwanted)
        for one, tokens in chunks:
            one.computed += tokens
            if one.computed == one.target:
                one.generated += 1
                if one.generated == 1 and one.request.call_id not in unwanted:
                    self.events.append(FirstToken(one.request.call_id, self.now))
                self.finish_if_done(one, unwanted)

    def finish_if_done(self, one: _Sequence, unwanted: set[str]) -> None:
        request = one.request
        if one.generated < request.completion_tokens:
            return
        self.give_up(one)
        if request.call_id in unwanted:
            return
        usage = Usage(request.prompt_tokens, one.cached or 0, request.completion_tokens)
        context = self.chain(one, one.computed)
        self.events.append(Finished(request.call_id, self.now, usage, context))


def driven(engine: Engine, script: list[Asked]) -> list[EngineEvent]:
    """What a driver sees that does all of the script in time; the engine's rules on the way."""
    events: list[EngineEvent] = []
    now = -1.0
    for asked in sorted(script, key=lambda one: one.at):
        # What is asked at one time is asked before the engine is, as the engine then begins a step.
        while now < asked.at and asked.what != "look":
            at = engine.next_event_at()
            if at is None or at >= asked.at:
                break
            events += engine.advance(at)
            check(engine)
        now = asked.at
        if asked.what == "submit":
            engine.submit(asked.request, asked.at)
        elif asked.what == "cancel":
            engine.cancel(asked.request.call_id, asked.at)
        else:
            events += engine.advance(asked.at)
        check(engine)
    for _ in range(100_000):
        at = engine.next_event_at()
        if at is None:
            return events
        events += engine.advance(at)
        check(engine)
    raise AssertionError("the engine never comes to rest")


def check(engine: Engine) -> None:
    blocks = engine.blocks
    assert blocks.private >= 0
    assert blocks.used <= blocks.total
    assert blocks.prefixes.referenced_blocks + blocks.private + blocks.available == blocks.total
    assert engine.load.running <= engine.model.max_running


def untimed(event: EngineEvent) -> tuple[object, ...]:
    match event:
        case Finished(call_id, _, usage, context):
            return ("finished", call_id, usage, context)
        case Refused(call_id, _, reason):
            return ("refused", call_id, reason)
        case _:
            return (type(event).__name__, event.call_id)


@st.composite
def scripts(draw: st.DrawFn, block_tokens: int) -> list[Asked]:
    script: list[Asked] = []
    at = 0.0
    for number in range(draw(st.integers(1, 9))):
        program = draw(st.integers(0, 2))
        prompt_tokens = draw(st.integers(1, 60))
        completion_tokens = draw(st.integers(0, 30))
        system = Run(0, draw(st.integers(0, 2)))
        own = Run(1000 * (program + 1) + 100 * system.count, 100)
        whole = answered = chained([system, own])
        strange = draw(st.integers(0, 9))
        if strange == 0:  # an answer that does not continue its prompt
            answered = chained(
                [*first_blocks(whole, draw(st.integers(0, 6))), Run(90_000 + 1000 * number, 100)]
            )
        request = EngineRequest(
            call_id=f"call {number}",
            prompt=first_blocks(whole, prompt_tokens // block_tokens),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            context=first_blocks(answered, (prompt_tokens + completion_tokens) // block_tokens)
            if strange != 1
            else (),
            priority=draw(st.integers(0, 2)),
        )
        at += draw(st.sampled_from([0.0, 0.013, 0.11, 0.37, 1.03]))
        script.append(Asked(at, "submit", request))
        if draw(st.integers(0, 4)) == 0:
            script.append(Asked(at + draw(st.floats(0.001, 1)), "cancel", request))
        if draw(st.booleans()):
            script.append(Asked(at + draw(st.floats(0.001, 1)), "look", request))
    return script


@settings(max_examples=400)
@given(
    st.data(),
    st.sampled_from([1, 3, 4, 16]),
    st.integers(1, 60),
    st.sampled_from(["fcfs", "priority"]),
    st.sampled_from([0.0, 0.1]),
)
def test_many_steps_at_once_are_the_steps_one_by_one(
    data: st.DataObject,
    block_tokens: int,
    kv_blocks: int,
    order: EngineOrder,
    watermark: float,
) -> None:
    setup = EngineSettings(
        block_tokens=block_tokens, kv_blocks=kv_blocks, order=order, watermark=watermark
    )
    script = data.draw(scripts(block_tokens))
    engine, naive = Engine(MODEL, setup), NaiveEngine(MODEL, setup)
    events, expected = driven(engine, script), naive.run(script)
    events.sort(key=lambda event: round(event.at, 9))
    expected.sort(key=lambda event: round(event.at, 9))
    assert [untimed(event) for event in events] == [untimed(event) for event in expected]
    for event, other in zip(events, expected, strict=True):
        assert event.at == pytest.approx(other.at, abs=1e-9, rel=1e-9)
    assert engine.blocks.private == 0
    assert engine.blocks.prefixes.referenced_blocks == 0
    assert engine.load.running == engine.load.waiting == 0
    assert engine.blocks.used == len(naive.cache.blocks)


@settings(max_examples=200)
@given(st.data(), st.integers(1, 40))
def test_every_call_ends_once_and_its_tokens_are_all_there(
    data: st.DataObject, kv_blocks: int
) -> None:
    engine = Engine(MODEL, EngineSettings(block_tokens=4, kv_blocks=kv_blocks, watermark=0.0))
    script = data.draw(scripts(4))
    events = driven(engine, script)
    ends = Counter(event.call_id for event in events if isinstance(event, (Finished, Refused)))
    cancelled = {asked.request.call_id for asked in script if asked.what == "cancel"}
    submitted = {one.request.call_id: one.request for one in script if one.what == "submit"}
    assert set(submitted) - cancelled <= set(ends) <= set(submitted)
    assert set(ends.values()) <= {1}
    for event in events:
        if isinstance(event, Finished):
            request = submitted[event.call_id]
            assert event.usage.prompt_tokens == request.prompt_tokens
            assert event.usage.completion_tokens == request.completion_tokens
            assert event.usage.cached_tokens < request.prompt_tokens
    if not cancelled and not any(isinstance(event, Preempted) for event in events):
        usages = [event.usage for event in events if isinstance(event, Finished)]
        computed = sum(usage.prompt_tokens - usage.cached_tokens for usage in usages)
        assert engine.computed_tokens == computed


def test_who_was_preempted_comes_back_after_a_step_if_there_is_room_again() -> None:
    setup = EngineSettings(block_tokens=16, kv_blocks=4, watermark=0.0)
    chain = (Run(2000, 2),)
    stays = EngineRequest(
        call_id="stays",
        prompt=first_blocks(chain, 1),
        prompt_tokens=31,
        completion_tokens=5,
        context=chain,
    )
    comes_back = EngineRequest(
        call_id="comes back",
        prompt=(),
        prompt_tokens=15,
        completion_tokens=3,
        context=first_blocks(chain, 1),
    )
    script = [Asked(0.0, "submit", stays), Asked(0.0, "submit", comes_back)]
    events = driven(Engine(MODEL, setup), script)
    assert [untimed(event)[:2] for event in events[-3:]] == [
        ("Preempted", "comes back"),
        ("finished", "comes back"),
        ("finished", "stays"),
    ]
    expected = NaiveEngine(MODEL, setup).run(script)
    assert [untimed(event) for event in events] == [untimed(event) for event in expected]
