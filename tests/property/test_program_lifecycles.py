"""Programs under anything that can happen to them: nothing is left, and each ended in a known state."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrt.errors import AgentRTError, BackendTimeout, BackendUnavailable, RequestRejected
from agentrt.gateway.health import Patience
from agentrt.gateway.live_program import Ending, Quiet
from agentrt.gateway.turns import Caller
from agentrt.ir.hints import Hints
from agentrt.ir.request import Completion, Message, ToolCall, Usage
from agentrt.runtime.pool import Replica
from agentrt.scheduler.events import ProgramArrived, ProgramCancelled, ProgramFinished
from tests.unit.gateway.turns_world import Server, World, answered, asking

_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 4), st.integers(0, 2**16)),
        st.tuples(st.just("leave"), st.integers(0, 50), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("die"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("return"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 7, 40, 400]), st.just(0)),
        st.tuples(st.just("look"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


class _Chaos:
    """Clients that ask, go on, go away and come back; replicas that fail half-way."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        servers = [
            Server(max_concurrency=2, latency_s=1.0),
            Server(max_concurrency=3, latency_s=3.0),
            Server(("m", "n"), max_concurrency=1, latency_s=2.0),
        ]
        self.world = World(
            *servers,
            quiet=Quiet(idle_s=20.0, expire_s=200.0),
            patience=Patience(
                check_every_s=1e9, first_retry_s=0.5, longest_retry_s=2.0, unavailable_s=5.0
            ),
            max_waiting=4,
        )
        self.histories: dict[str, list[Message]] = {}
        self.calls: list[asyncio.Task[None]] = []

    async def forward(self, replica: Replica, hints: Hints) -> Completion:
        chance = self.random.random()
        server = self.world.servers[replica.replica_id]
        await asyncio.sleep(self.random.choice([0.0, 0.5, 3.0]))
        if not server.is_there:
            raise BackendUnavailable("nobody answers there")
        if chance < 0.1:
            raise BackendTimeout("no answer", url="x")
        if chance < 0.15:
            raise RequestRejected("not like that", status=400)
        replica.first_token()
        await asyncio.sleep(self.random.choice([0.0, 1.0, 9.0]))
        if chance < 0.3 or not server.is_there:
            raise BackendUnavailable("broke off", retryable=chance < 0.2)
        tools = [
            ToolCall(f"id{self.random.random()}", "bash", "{") for _ in range(int(chance * 8) % 3)
        ]
        return Completion(text=f"answer {chance}", tool_calls=tuple(tools), usage=Usage(9, 3, 5))

    async def ask(self, number: int, choice: int) -> None:
        name = f"p{number}"
        history = self.histories.setdefault(name, [Message("user", "go " * 40)])
        asked = asking(
            name,
            *(history if choice % 8 else [Message("user", "anew")]),
            model="n" if choice % 16 == 1 else "m",
            parent="p0" if choice % 32 == 2 and number else "",
            is_final=choice % 16 == 3,
        )
        caller = Caller(tenant="t", deadline_s=30.0 if choice % 64 == 4 else None)
        try:
            completion = await self.world.programs.take(asked, caller, self.forward)
        except AgentRTError:
            return
        history.append(answered(completion))
        history += [Message("tool", "ok", tool_call_id=call.id) for call in completion.tool_calls]

    async def step(self, what: str, number: int, choice: int) -> None:
        world = self.world
        match what:
            case "ask":
                self.calls.append(asyncio.ensure_future(self.ask(number, choice)))
            case "leave":
                if self.calls:
                    self.calls[number % len(self.calls)].cancel()
            case "end":
                world.programs.end(f"p{number}", tenant="t")
            case "die" | "return":
                replica_id = "abc"[number]
                world.servers[replica_id].is_there = what == "return"
                if what == "die":
                    world.replicas._watched[replica_id]._go_down("it died")
                    world.replicas._watched[replica_id]._look_now.set()
            case "wait":
                await asyncio.sleep(float(number))
            case _:
                await asyncio.sleep(0)
        for pool in world.replicas.models.pools.values():
            pool.scheduler.check()

    async def run(self, steps: list[tuple[str, int, int]]) -> None:
        for step in steps:
            await self.step(*step)
        if len(steps) % 2:
            await asyncio.sleep(1000.0)  # all come to their end by themselves
            assert self.world.programs.live == ()
        else:
            self.world.programs.close()
        if self.calls:
            done, late = await asyncio.wait(self.calls, timeout=1000.0)
            assert not late
            errors = [call.exception() for call in done if not call.cancelled()]
            assert [error for error in errors if error is not None] == []


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(_STEPS, st.integers(0, 2**32))
def test_whatever_happens_nothing_is_left_and_every_program_ended(
    steps: list[tuple[str, int, int]], seed: int
) -> None:
    chaos = _Chaos(seed)

    def main() -> Coroutine[Any, Any, None]:
        return chaos.run(steps)

    chaos.world.run(main)  # asserts that nothing is left in the schedulers
    ended = chaos.world.programs.ended
    assert all(isinstance(one.how, Ending) for one in ended)
    events = chaos.world.events
    arrived = {event.program_id for event in events if isinstance(event, ProgramArrived)}
    ends = (event for event in events if isinstance(event, ProgramFinished | ProgramCancelled))
    assert {event.program_id for event in ends} == arrived
    told = chaos.world.recogniser.told
    assert (
        len([one for one in told if one[0] in {"answered", "failed"}])
        == chaos.world.recogniser.asked
    )
