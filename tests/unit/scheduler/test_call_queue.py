from __future__ import annotations

import pytest

from agentrt.errors import InvariantError
from agentrt.scheduler.call_queue import (
    CallEnded,
    CallEvent,
    CallQueue,
    CallReady,
    CallWithdrawn,
    CapacityChanged,
    SendCall,
)


def test_a_program_under_way_is_not_overtaken_by_a_later_one() -> None:
    queue = CallQueue(1)
    assert queue.handle(CallReady(0, program=2)) == [SendCall(0)]
    assert queue.handle(CallReady(1, program=2)) == []
    assert queue.handle(CallReady(2, program=1)) == []
    assert queue.handle(CallEnded(0)) == [SendCall(2)]
    assert queue.handle(CallEnded(2)) == [SendCall(1)]


def test_any_number_goes_at_once_without_a_capacity() -> None:
    queue = CallQueue(None)
    for call_id in range(1000):
        assert queue.handle(CallReady(call_id, program=0)) == [SendCall(call_id)]
    assert len(queue.sent) == 1000


def test_calls_that_waited_go_in_order_when_the_capacity_grows() -> None:
    queue = CallQueue(0)
    for call_id in range(5):
        queue.handle(CallReady(call_id, program=5 - call_id))
    assert queue.handle(CapacityChanged(3)) == [SendCall(4), SendCall(3), SendCall(2)]
    assert queue.handle(CapacityChanged(None)) == [SendCall(1), SendCall(0)]
    assert queue.waiting_count == 0


def test_a_withdrawn_call_is_never_sent() -> None:
    queue = CallQueue(1)
    queue.handle(CallReady(0, program=0))
    queue.handle(CallReady(1, program=0))
    queue.handle(CallReady(2, program=0))
    assert queue.handle(CallWithdrawn(1)) == []
    assert queue.waiting_count == 1
    assert queue.handle(CallEnded(0)) == [SendCall(2)]


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([CallReady(0, 0), CallReady(0, 0)], "call 0 became ready twice"),
        ([CallReady(0, 0), CallReady(1, 0), CallReady(1, 0)], "call 1 became ready twice"),
        ([CallEnded(0)], "call 0 ended but was not under way"),
        ([CallReady(0, 0), CallReady(1, 0), CallEnded(1)], "call 1 ended but was not under way"),
        ([CallReady(0, 0), CallWithdrawn(0)], "call 0 was withdrawn but was not waiting"),
    ],
)
def test_what_cannot_happen_is_refused(events: list[CallEvent], told: str) -> None:
    queue = CallQueue(1)
    for event in events[:-1]:
        queue.handle(event)
    with pytest.raises(InvariantError, match=told):
        queue.handle(events[-1])
