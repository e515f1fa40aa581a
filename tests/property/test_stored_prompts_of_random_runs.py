"""Prompts of random stored runs: those that are written again are those that were sent, however a run ended."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from agentrt.clock import VirtualClock
from agentrt.runtime import Runtime
from agentrt.runtime.prefix_report import prefix_report
from agentrt.runtime.stored_prompts import prompts_of
from agentrt.store.base import StoredRun
from agentrt.store.memory import MemoryStore
from tests.property.test_runtime_random_graphs import (
    Setting,
    limits,
    never,
    often,
    programs,
    setting,
)


def _stored(made: Setting, stops: list[float]) -> StoredRun:
    """`made`, stopped at each of these and taken up again."""
    clock, store = VirtualClock(), MemoryStore()

    async def sit(stop_s: float | None, *, is_first: bool) -> None:
        async with Runtime(made.backend, clock=clock, store=store, on_error="collect") as runtime:
            if is_first:
                run = runtime.start(made.call, run_id="r1")
            else:
                run = await runtime.resume("r1", made.call.workflow, in_flight="retry")
            if stop_s is not None:
                await clock.sleep(stop_s)
                run.cancel()
            await run.wait()

    async def load() -> StoredRun:
        return await store.load("r1")

    for number, stop_s in enumerate([*stops, None]):
        clock.run(sit(stop_s, is_first=number == 0))
    return clock.run(load())


@limits
@given(draw=programs, stops=st.lists(st.floats(0.0, 20.0), max_size=2), fails=st.booleans())
def test_what_is_written_again_is_what_was_sent(
    draw: random.Random, stops: list[float], fails: bool
) -> None:
    made = setting(draw, often if fails else never, has_threads=False)
    stored = _stored(made, stops)
    written = prompts_of(stored)
    sent = {request.node_id: request for request in made.backend.requests}
    for node_id, request in sent.items():
        if node_id not in written:
            continue
        prompt = written[node_id]
        assert (prompt.messages, prompt.tools) == (request.messages, request.tools), node_id
    answered = {attempt.node_id for attempt in stored.attempts if attempt.status == "finished"}
    missing = {name for name in answered & sent.keys() if name not in written}
    assert not missing
    report = prefix_report(stored)
    for call in report.calls:
        assert call.possible_tokens is not None
        assert 0 <= call.possible_tokens < max(call.prompt_tokens, 1)
