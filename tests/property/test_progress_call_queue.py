"""`CallQueue` as a state machine next to a list that is sorted anew each time."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentrt.scheduler.call_queue import (
    CallEnded,
    CallEvent,
    CallQueue,
    CallReady,
    CallWithdrawn,
    CapacityChanged,
    SendCall,
)

capacities = st.none() | st.integers(0, 4)


class CallQueueMachine(RuleBasedStateMachine):
    """Calls of some programs come, end, and are given up."""

    @initialize(capacity=capacities)
    def open(self, capacity: int | None) -> None:
        self.capacity = capacity
        self.queue, self.twin = CallQueue(capacity), CallQueue(capacity)
        self.waiting: list[tuple[int, int]] = []
        self.sent: set[int] = set()
        self.gone: set[int] = set()
        self.next_id = 0

    @rule(program=st.integers(0, 3))
    def becomes_ready(self, program: int) -> None:
        call_id, self.next_id = self.next_id, self.next_id + 1
        self.waiting.append((program, call_id))
        self.handle(CallReady(call_id, program))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def ends(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.sent)))
        self.sent.remove(call_id)
        self.gone.add(call_id)
        self.handle(CallEnded(call_id))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def is_withdrawn(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(call)
        self.gone.add(call[1])
        self.handle(CallWithdrawn(call[1]))

    @rule(capacity=capacities)
    def changes_capacity(self, capacity: int | None) -> None:
        self.capacity = capacity
        self.handle(CapacityChanged(capacity))

    def handle(self, event: CallEvent) -> None:
        room = len(self.waiting)
        if self.capacity is not None:
            room = max(0, self.capacity - len(self.sent))
        self.waiting.sort()  # by program, then by who was ready first
        due, self.waiting = self.waiting[:room], self.waiting[room:]
        expected = [SendCall(call_id) for _, call_id in due]
        assert self.queue.handle(event) == expected
        assert self.twin.handle(event) == expected
        self.sent |= {send.call_id for send in expected}

    @invariant()
    def every_call_is_in_one_place(self) -> None:
        assert self.queue.sent == self.sent
        assert self.queue.waiting_count == len(self.waiting)
        assert len(self.sent) + len(self.waiting) + len(self.gone) == self.next_id


TestCallQueue = CallQueueMachine.TestCase
TestCallQueue.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
