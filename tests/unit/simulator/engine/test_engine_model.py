from __future__ import annotations

import math
from dataclasses import replace

import pytest

from agentrt.ir.prefix import Chain, Run
from agentrt.ir.request import Usage
from agentrt.simulator.engine import Engine
from agentrt.simulator.engine_model import EngineModel, EngineSettings
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.engine_request import (
    EngineEvent,
    EngineLoad,
    EngineRequest,
    Finished,
    FirstToken,
    Preempted,
    Refused,
    Started,
)

MODEL = EngineModel(
    name="round numbers",
    step_s=1.0,
    prefill_token_s=0.5,
    decode_sequence_s=0.25,
    context_token_s=0.125,
    kv_tokens=160,
    max_batch_tokens=64,
    max_running=8,
)


def asked(
    call_id: str, first: int, prompt_tokens: int, completion_tokens: int, *, priority: int = 0
) -> EngineRequest:
    """A call whose blocks of 4 tokens are numbered from `first`."""
    return EngineRequest(
        call_id=call_id,
        prompt=chain(first, prompt_tokens // 4),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        context=chain(first, (prompt_tokens + completion_tokens) // 4),
        priority=priority,
    )


def chain(first: int, count: int) -> Chain:
    return (Run(first, count),) if count else ()


def engine(kv_blocks: int = 40, **changes: object) -> Engine:
    plain = EngineSettings(block_tokens=4, kv_blocks=kv_blocks, watermark=0.0)
    return Engine(MODEL, replace(plain, **changes))  # type: ignore[arg-type]  # tests name fields


def drained(one: Engine) -> list[EngineEvent]:
    events: list[EngineEvent] = []
    while (at := one.next_event_at()) is not None:
        events += one.advance(at)
    return events


def finished(events: list[EngineEvent]) -> dict[str, Finished]:
    return {event.call_id: event for event in events if isinstance(event, Finished)}


def test_a_call_alone_takes_its_prefill_and_a_step_for_each_further_token() -> None:
    one = engine()
    one.submit(asked("a", 0, 10, 3), 2.0)
    # Prefill: 1 + 10 / 2. Decode: 1 + 1 / 4 + context / 8, with contexts of 10 and 11.
    assert drained(one) == [
        Started("a", 2.0),
        FirstToken("a", 8.0),
        Finished("a", 8.0 + 2.5 + 2.625, Usage(10, 0, 3), chain(0, 3)),
    ]
    assert one.computed_tokens == 10
    assert one.load == EngineLoad(used_blocks=0, cached_blocks=3, running=0, waiting=0)


def test_the_next_turn_finds_what_the_last_one_left() -> None:
    one = engine()
    one.submit(asked("turn 1", 0, 10, 7), 0.0)
    drained(one)
    one.submit(asked("turn 2", 0, 22, 1), 100.0)
    assert finished(drained(one))["turn 2"].usage == Usage(22, 16, 1)


def test_the_end_of_a_prompt_is_computed_even_if_all_of_it_is_cached() -> None:
    one = engine()
    one.submit(asked("first", 0, 8, 1), 0.0)
    drained(one)
    one.submit(asked("again", 0, 8, 1), 50.0)
    assert finished(drained(one))["again"].usage == Usage(8, 4, 1)


def test_siblings_sent_together_share_the_prefix_that_the_first_computes() -> None:
    one = engine()
    for number in range(3):
        one.submit(asked(f"sibling {number}", 0, 41, 2), 0.0)
    usages = [event.usage.cached_tokens for event in finished(drained(one)).values()]
    assert usages == [0, 40, 40]
    assert one.computed_tokens == 43


def test_a_call_joins_where_the_step_under_way_ends() -> None:
    one = engine()
    one.submit(asked("a", 0, 8, 100), 0.0)
    assert one.next_event_at() == 0.0
    assert one.advance(5.5) == [Started("a", 0.0), FirstToken("a", 5.0)]
    one.submit(asked("b", 50, 8, 1), 5.6)
    # The first decoding step reads 8 tokens: from 5.0 to 5.0 + 1.25 + 1.0.
    assert one.next_event_at() == 7.25
    assert one.advance(7.25) == []
    assert one.next_event_at() == 7.25
    assert one.advance(7.25) == [Started("b", 7.25)]


def test_a_call_that_could_never_fit_is_refused_and_the_others_go_on() -> None:
    one = engine(kv_blocks=4)
    one.submit(asked("large", 0, 16, 2), 1.0)
    one.submit(asked("fits", 0, 15, 2), 1.0)
    events = drained(one)
    assert events[0] == Refused("large", 1.0, "it needs 5 blocks, the engine has 4")
    assert set(finished(events)) == {"fits"}
    one.submit(asked("large", 0, 15, 2), 100.0)
    assert set(finished(drained(one))) == {"large"}


def test_whoever_came_last_is_preempted_when_blocks_run_out_and_computed_again() -> None:
    one = engine(kv_blocks=10)
    one.submit(asked("first", 0, 15, 13), 0.0)
    one.submit(asked("last", 100, 15, 13), 0.0)
    events = drained(one)
    assert [event.call_id for event in events if isinstance(event, Preempted)] == ["last"]
    done = finished(events)
    assert done["first"].at < done["last"].at
    assert done["last"].usage == Usage(15, 0, 13)
    assert one.computed_tokens > 30


def test_the_lowest_priority_is_preempted_where_priority_rules() -> None:
    one = engine(kv_blocks=10, order="priority")
    one.submit(asked("low", 0, 15, 13), 0.0)
    one.submit(asked("high", 100, 15, 13, priority=1), 0.0)
    events = drained(one)
    assert [event.call_id for event in events if isinstance(event, Preempted)] == ["low"]


def test_priority_decides_who_goes_first_among_those_who_wait() -> None:
    def order_of_start(**changes: object) -> list[str]:
        one = engine(kv_blocks=4, **changes)
        one.submit(asked("runs", 0, 12, 2), 0.0)
        assert one.next_event_at() == 0.0
        one.submit(asked("low", 100, 12, 2), 0.5)
        one.submit(asked("high", 200, 12, 2, priority=1), 0.6)
        return [event.call_id for event in drained(one) if isinstance(event, Started)]

    assert order_of_start(order="fcfs") == ["runs", "low", "high"]
    assert order_of_start(order="priority") == ["runs", "high", "low"]


def test_a_cancelled_call_leaves_with_the_step_under_way_and_says_nothing() -> None:
    one = engine(kv_blocks=8)
    one.submit(asked("runs", 0, 12, 17), 0.0)
    one.submit(asked("waits", 100, 30, 2), 0.0)
    one.advance(8.0)
    assert one.load.waiting == 1
    assert one.cancel("runs", 8.0)
    assert not one.cancel("runs", 8.0)
    events = drained(one)
    assert set(finished(events)) == {"waits"}
    assert one.load == EngineLoad(used_blocks=0, cached_blocks=7, running=0, waiting=0)


def test_what_was_not_computed_of_a_cancelled_prompt_is_no_hit_for_the_next() -> None:
    one = engine()
    one.submit(asked("a", 0, 150, 1), 0.0)
    one.advance(1.0)
    one.cancel("a", 1.0)
    one.submit(asked("b", 0, 150, 1), 50.0)
    assert finished(drained(one))["b"].usage == Usage(150, 64, 1)


def test_held_blocks_survive_the_work_of_others_until_the_hold_ends() -> None:
    def cached_after(until: float) -> int:
        one = engine(kv_blocks=16, held_blocks=8)
        one.submit(asked("turn 1", 0, 16, 1), 0.0)
        drained(one)
        one.hold("program", chain(0, 4), until, 20.0)
        for number in range(4):
            one.submit(asked(f"other {number}", 100 * (number + 1), 44, 1), 21.0)
        drained(one)
        one.submit(asked("turn 2", 0, 20, 1), 500.0)
        return finished(drained(one))["turn 2"].usage.cached_tokens

    assert cached_after(until=1000.0) == 16
    assert cached_after(until=21.0) < 16


def test_holds_keep_to_their_limit_and_end_when_released() -> None:
    one = engine(kv_blocks=16, held_blocks=3)
    one.submit(asked("turn 1", 0, 40, 1), 0.0)
    drained(one)
    one.hold("program", chain(0, 10), math.inf, 50.0)
    one.next_event_at()
    assert (one.blocks.held, one.load.used_blocks) == (3, 3)
    one.hold("program", chain(0, 2), math.inf, 51.0)
    one.next_event_at()
    assert one.blocks.held == 2
    one.release("program", 52.0)
    one.release("never held", 52.0)
    one.next_event_at()
    assert (one.blocks.held, one.load.used_blocks) == (0, 0)


def test_holds_give_way_where_nothing_could_run_otherwise() -> None:
    one = engine(kv_blocks=10, held_blocks=10)
    one.submit(asked("turn 1", 0, 32, 1), 0.0)
    drained(one)
    one.hold("program", chain(0, 8), math.inf, 50.0)
    one.submit(asked("other", 100, 16, 24), 50.0)
    assert set(finished(drained(one))) == {"other"}
    assert one.blocks.held == 0


def test_a_hold_that_ends_lets_in_who_waits_for_its_blocks() -> None:
    one = engine(kv_blocks=20, held_blocks=10)
    one.submit(asked("turn 1", 0, 40, 1), 0.0)
    drained(one)
    one.hold("program", chain(0, 10), 60.0, 50.0)
    one.submit(asked("runs", 100, 8, 20), 50.0)
    one.submit(asked("waits", 200, 40, 1), 50.0)
    events = drained(one)
    started = {event.call_id: event.at for event in events if isinstance(event, Started)}
    assert started["runs"] == 50.0
    assert 60.0 <= started["waits"] < 65.0
    assert started["waits"] < finished(events)["runs"].at


def test_host_memory_gives_back_what_was_evicted_at_its_own_speed() -> None:
    def second_turn(host_blocks: int) -> tuple[float, Usage]:
        slow = replace(MODEL, swap_in_token_s=0.0625)
        setup = EngineSettings(block_tokens=4, kv_blocks=10, host_blocks=host_blocks, watermark=0.0)
        one = Engine(slow, setup)
        one.submit(asked("turn 1", 0, 32, 1), 0.0)
        one.submit(asked("other", 100, 40, 1), 50.0)
        drained(one)
        one.submit(asked("turn 2", 0, 36, 1), 200.0)
        done = finished(drained(one))["turn 2"]
        return done.at - 200.0, done.usage

    assert second_turn(0) == (1.0 + 36 / 2, Usage(36, 0, 1))
    assert second_turn(100) == (1.0 + 4 / 2 + 32 / 16, Usage(36, 32, 1))


def test_the_engine_does_not_go_back_in_time_or_take_a_call_twice() -> None:
    one = engine()
    one.submit(asked("a", 0, 8, 1), 5.0)
    with pytest.raises(ValueError, match="'a' is at the engine already"):
        one.submit(asked("a", 0, 8, 1), 5.0)
    with pytest.raises(ValueError, match=r"the engine is at 5\.0, 4\.0 is before that"):
        one.advance(4.0)
    with pytest.raises(ValueError, match="nan is before that"):
        one.advance(math.nan)


def test_an_engine_nobody_asked_has_nothing_to_tell() -> None:
    one = engine()
    assert (one.next_event_at(), one.advance(10.0), one.next_event_at()) == (None, [], None)
    assert not one.cancel("nobody", 10.0)


def test_no_step_takes_no_time_and_every_batch_has_room_for_those_who_run() -> None:
    with pytest.raises(ValueError, match="a step takes time"):
        replace(MODEL, step_s=0.0)
    with pytest.raises(ValueError, match="gives any back"):
        replace(MODEL, context_token_s=-1.0)
    with pytest.raises(ValueError, match="do not fit a batch of 4 tokens"):
        replace(MODEL, max_batch_tokens=4)
    with pytest.raises(ValueError, match="blocks of a token or more"):
        EngineSettings(block_tokens=0)
    with pytest.raises(ValueError, match="a prompt has a token at least"):
        asked("a", 0, 0, 1)


def test_what_happened_before_a_late_call_is_told_at_once() -> None:
    one = engine()
    one.submit(asked("a", 0, 8, 1), 0.0)
    one.submit(asked("b", 50, 8, 1), 50.0)
    assert one.next_event_at() == 50.0
    assert one.advance(50.0) == [
        Started("a", 0.0),
        FirstToken("a", 5.0),
        Finished("a", 5.0, Usage(8, 0, 1), chain(0, 2)),
    ]
    assert one.next_event_at() == 50.0
    assert one.advance(50.0) == [Started("b", 50.0)]


def output_tokens_per_s(model: EngineModel, *, prompt_tokens: int, completion_tokens: int) -> float:
    """Of 1,024 requests that come at once and share nothing."""
    one = Engine(model)
    for number in range(1024):
        first = 10_000 * number
        request = EngineRequest(
            call_id=str(number),
            prompt=chain(first, prompt_tokens // 16),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            context=chain(first, (prompt_tokens + completion_tokens) // 16),
        )
        one.submit(request, 0.0)
    last = max(event.at for event in finished(drained(one)).values())
    return 1024 * completion_tokens / last


@pytest.mark.parametrize(
    ("name", "published"), [("llama-3-70b-8xa100", 3055.0), ("llama-3-70b-8xh100", 5963.0)]
)
def test_throughput_at_full_load_is_near_what_was_published(name: str, published: float) -> None:
    modelled = output_tokens_per_s(PRESETS[name], prompt_tokens=1000, completion_tokens=1000)
    assert modelled == pytest.approx(published, rel=0.3)


def test_the_embedded_engine_is_as_fast_alone_as_it_was_measured() -> None:
    model = PRESETS["smollm2-135m-embedded"]
    assert 1 / model.prefill_s(1, 0) == pytest.approx(448, rel=0.01)
    assert 1 / model.decode_s(1, 0, 1) == pytest.approx(203, rel=0.01)


@pytest.mark.parametrize("model", PRESETS.values(), ids=lambda model: model.name)
def test_every_preset_is_known_by_its_name_and_serves_agents(model: EngineModel) -> None:
    assert PRESETS[model.name] is model
    one = Engine(model)
    one.submit(asked("a", 0, 3900, 100), 0.0)
    assert set(finished(drained(one))) == {"a"}
