"""An engine whose slots each keep one sequence, as llama.cpp's do."""

from __future__ import annotations

import pytest

from agentrt.ir.prefix import Chain, Run
from agentrt.ir.request import Usage
from agentrt.simulator.engine import Engine
from agentrt.simulator.engine_model import EngineModel, EngineSettings
from agentrt.simulator.engine_request import EngineRequest, Finished, FirstToken, Refused


def engine(*, slots: int = 2, kv_blocks: int = 40, host_tokens: int = 0) -> Engine:
    model = EngineModel(
        name="slots",
        step_s=1.0,
        prefill_token_s=0.0,
        decode_sequence_s=0.0,
        context_token_s=0.0,
        kv_tokens=kv_blocks * 4,
        max_batch_tokens=512,
        max_running=slots,
        cache="slots",
        host_tokens=host_tokens,
    )
    return Engine(model, EngineSettings(block_tokens=4))


def call(name: str, prompt: Chain, blocks: int, *, answer: int = 4) -> EngineRequest:
    """A prompt of so many blocks and an answer that fills one more."""
    return EngineRequest(
        call_id=name,
        prompt=prompt,
        prompt_tokens=blocks * 4 + 1,
        completion_tokens=answer,
        context=(*prompt[:-1], Run(prompt[-1].first, prompt[-1].count + 1)),
    )


def own(program: int, blocks: int) -> Chain:
    return (Run(1000 * program, blocks),)


def served(engine: Engine, *requests: EngineRequest) -> list[int]:
    """Cached tokens of calls sent one after another."""
    return [cached_of(engine, request) for request in requests]


def cached_of(engine: Engine, request: EngineRequest) -> int:
    engine.submit(request, _now(engine))
    return _finished(engine)[request.call_id].cached_tokens


def _now(engine: Engine) -> float:
    return max(engine._now, engine._boundary, 0.0)


def _finished(engine: Engine) -> dict[str, Usage]:
    found: dict[str, Usage] = {}
    while (at := engine.next_event_at()) is not None:
        for event in engine.advance(at):
            if isinstance(event, Finished):
                found[event.call_id] = event.usage
    return found


def test_a_conversation_finds_prompt_and_answer_in_its_slot() -> None:
    hits = served(engine(), call("1", own(1, 5), 5), call("2", own(1, 9), 9))
    assert hits == [0, 6 * 4]


def test_as_many_conversations_as_slots_keep_theirs_whatever_the_order() -> None:
    calls = [call("a1", own(1, 5), 5), call("b1", own(2, 3), 3)]
    calls += [call("b2", own(2, 6), 6), call("a2", own(1, 9), 9)]
    assert served(engine(), *calls) == [0, 0, 4 * 4, 6 * 4]


def test_one_conversation_more_than_slots_overwrites_the_smallest() -> None:
    calls = [call("a1", own(1, 5), 5), call("b1", own(2, 3), 3), call("c1", own(3, 4), 4)]
    calls += [call("a2", own(1, 7), 7), call("b2", own(2, 5), 5)]
    assert served(engine(), *calls) == [0, 0, 0, 6 * 4, 0]


def test_what_lost_its_slot_comes_back_from_host_memory() -> None:
    calls = [call("a1", own(1, 5), 5), call("b1", own(2, 3), 3), call("a2", own(1, 7), 7)]
    assert served(engine(slots=1), *calls) == [0, 0, 0]
    assert served(engine(slots=1, host_tokens=400), *calls) == [0, 0, 6 * 4]


def test_slots_share_a_prefix_at_once_only_through_host_memory() -> None:
    for host_tokens, hits in ((0, [0, 0]), (400, [0, 5 * 4])):
        shared = engine(host_tokens=host_tokens)
        for program in (1, 2):
            prompt = (Run(0, 5), *own(program, 2))
            shared.submit(call(str(program), prompt, 7), 0.0)
        found = _finished(shared)
        assert [found["1"].cached_tokens, found["2"].cached_tokens] == hits


@pytest.mark.parametrize(("host_tokens", "hits"), [(0, 8 * 4), (4000, 11 * 4)])
def test_a_conversation_comes_back_though_it_lost_its_slot_to_one_with_its_prefix(
    host_tokens: int, hits: int
) -> None:
    def turn(program: int, blocks: int) -> EngineRequest:
        prompt = (Run(0, 8), Run(1000 * program, blocks))
        return call(f"{program}.{blocks}", prompt, 8 + blocks)

    one = engine(slots=1, host_tokens=host_tokens)
    # The second turn tells that it is a conversation: what has but one is not kept.
    assert served(one, turn(1, 1), turn(1, 2), turn(2, 1))[1:] == [10 * 4, 8 * 4]
    assert cached_of(one, turn(1, 4)) == hits


def test_who_finds_no_slot_waits_for_one_in_order() -> None:
    busy = engine(slots=1)
    for name in ("1", "2", "3"):
        busy.submit(call(name, own(int(name), 2), 2), 0.0)
    assert list(_finished(busy)) == ["1", "2", "3"]


def test_a_call_longer_than_a_slot_is_refused_and_one_that_fills_it_is_not() -> None:
    small = engine(slots=2, kv_blocks=20)
    small.submit(call("fits", own(1, 9), 9, answer=4), 0.0)
    small.submit(call("large", own(2, 10), 10), 0.0)
    at = small.next_event_at()
    assert at is not None
    events = small.advance(at)
    assert Refused("large", 0.0, "it needs 11 blocks, the engine has 10") in events
    assert list(_finished(small)) == ["fits"]


@pytest.mark.parametrize("host_tokens", [0, 400])
def test_a_cancelled_call_gives_its_slot_back(host_tokens: int) -> None:
    one = engine(slots=1, host_tokens=host_tokens)
    one.submit(call("gone", own(1, 5), 5, answer=100), 0.0)
    one.submit(call("next", own(2, 5), 5), 0.0)
    at = one.next_event_at()
    assert at is not None
    assert any(isinstance(event, FirstToken) for event in one.advance(at + 1.0))
    assert one.cancel("gone", at + 2.0)
    assert list(_finished(one)) == ["next"]
    assert one.load.running == one.load.waiting == one.load.used_blocks == 0
    assert one.load.cached_blocks == 6


def test_a_model_holds_no_less_than_nothing_in_host_memory() -> None:
    with pytest.raises(ValueError, match="host memory"):
        engine(host_tokens=-1)
