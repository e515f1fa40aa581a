"""`CallQueue`: which waiting call goes to a backend next. Program-level first come, first served.

Calls of the program that arrived first go first, and within a program the call that became ready
first; so a program under way is not overtaken, call by call, by the ones behind it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from agentrt.errors import InvariantError

CallId: TypeAlias = int


@dataclass(frozen=True, slots=True)
class CallReady:
    """A call could be sent. `program` is the rank of its program's arrival: lower came earlier."""

    call_id: CallId
    program: int


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call that was sent has its answer, failed, or was cancelled."""

    call_id: CallId


@dataclass(frozen=True, slots=True)
class CallWithdrawn:
    """A call that was not sent yet is not wanted any more."""

    call_id: CallId


@dataclass(frozen=True, slots=True)
class CapacityChanged:
    """The backend takes `capacity` calls at once from now on; None: any number."""

    capacity: int | None


CallEvent: TypeAlias = CallReady | CallEnded | CallWithdrawn | CapacityChanged


@dataclass(frozen=True, slots=True)
class SendCall:
    """Send this call now."""

    call_id: CallId


class CallQueue:
    """The calls of one backend. At most `capacity` of them are sent and not ended."""

    def __init__(self, capacity: int | None) -> None:
        self._capacity = capacity
        self._waiting: list[tuple[int, int, CallId]] = []
        self._sequence = 0
        self._withdrawn: set[CallId] = set()
        self._queued: set[CallId] = set()
        self._sent: set[CallId] = set()

    @property
    def sent(self) -> frozenset[CallId]:
        """Sent and not ended."""
        return frozenset(self._sent)

    @property
    def waiting_count(self) -> int:
        return len(self._queued)

    def handle(self, event: CallEvent) -> list[SendCall]:
        """What to send now that `event` happened, in order.

        Raises:
            InvariantError: the event cannot happen in this state.
        """
        match event:
            case CallReady(call_id, program):
                if call_id in self._queued or call_id in self._sent:
                    raise InvariantError(f"call {call_id} became ready twice")
                self._sequence += 1
                self._queued.add(call_id)
                heapq.heappush(self._waiting, (program, self._sequence, call_id))
            case CallEnded(call_id):
                if call_id not in self._sent:
                    raise InvariantError(f"call {call_id} ended but was not under way")
                self._sent.remove(call_id)
            case CallWithdrawn(call_id):
                if call_id not in self._queued:
                    raise InvariantError(f"call {call_id} was withdrawn but was not waiting")
                self._queued.remove(call_id)
                self._withdrawn.add(call_id)
            case CapacityChanged(capacity):
                self._capacity = capacity
            case _:
                assert_never(event)
        return self._fill()

    def _fill(self) -> list[SendCall]:
        sends: list[SendCall] = []
        while self._waiting and (self._capacity is None or len(self._sent) < self._capacity):
            _, _, call_id = heapq.heappop(self._waiting)
            if call_id in self._withdrawn:
                self._withdrawn.remove(call_id)
                continue
            self._queued.remove(call_id)
            self._sent.add(call_id)
            sends.append(SendCall(call_id))
        return sends
