"""`Decoding`: the calls that answer on a replica, and what went on beside each of them."""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.scheduler.events import CallId


@dataclass(frozen=True, slots=True)
class DecodeSpan:
    """The time from a call's first token to its end.

    Attributes:
        calls: How many answered meanwhile, on average over the time, itself counted.
        computed_blocks: Of the prompts of others, that were computed meanwhile.
    """

    seconds: float
    calls: float
    computed_blocks: float


class Decoding:
    """Knows only of calls whose first token it is told of."""

    __slots__ = ("_at", "_calls", "_computed", "_spent")

    def __init__(self) -> None:
        self._calls: dict[CallId, tuple[float, float, float]] = {}
        self._at = 0.0
        self._spent = 0.0  # seconds of all that answered, added up
        self._computed = 0.0

    def begin(self, call_id: CallId, computed_blocks: int, now: float) -> None:
        """A call has its first token: so many blocks of its prompt were computed by now."""
        self._advance(now)
        self._computed += computed_blocks
        self._calls[call_id] = now, self._spent, self._computed

    def end(self, call_id: CallId, now: float) -> DecodeSpan | None:
        """A call is over; None if it never began to answer, or did both at once."""
        began = self._calls.get(call_id)
        self._advance(now)
        if began is None:
            return None
        del self._calls[call_id]
        at, spent, computed = began
        seconds = now - at
        if seconds <= 0.0:
            return None
        return DecodeSpan(seconds, (self._spent - spent) / seconds, self._computed - computed)

    def _advance(self, now: float) -> None:
        self._spent += (now - self._at) * len(self._calls)
        self._at = now
