"""`Followers`: calls that wait for another one to compute the prefix they share with it."""

from __future__ import annotations

from collections.abc import Iterable

from agentrt.ir.prefix import shared_blocks
from agentrt.scheduler.events import CallId
from agentrt.scheduler.state import Call, CallPhase
from agentrt.scheduler.waiting import Rank

LEAST_BLOCKS = 16
"""Fewer blocks than this are not waited for."""


class Followers:
    """In a fan-out one call goes first; the rest follow at its first token, and find the prefix.

    Sent together they would each compute it: an engine shares what has been computed, not what is
    being computed. Nobody follows a call that is not going to tell of its first token, on a replica that
    has told of none so far: that one would be waited for to its end.
    """

    def __init__(self) -> None:
        self._cached_at_send: dict[CallId, int] = {}
        self._following: dict[CallId, list[tuple[Call, Rank]]] = {}
        self._leader_of: dict[CallId, CallId] = {}
        self.tells_first_tokens = False

    def __len__(self) -> int:
        return len(self._leader_of)

    def __contains__(self, call_id: CallId) -> bool:
        return call_id in self._leader_of

    def sent(self, call: Call, cached_blocks: int) -> None:
        """`call` was sent; so many of its blocks need not be computed."""
        self._cached_at_send[call.call_id] = cached_blocks

    def leader(self, call: Call, running: Iterable[Call]) -> Call | None:
        """A running call that computes blocks at the start of `call` that are not cached yet."""
        for other in running:
            if other.phase is CallPhase.ANSWERING or other.program is not call.program:
                continue
            if not (self.tells_first_tokens or other.tells_first_token):
                continue
            cached = self._cached_at_send.get(other.call_id, 0)
            if shared_blocks(call.chain, other.chain) - cached >= LEAST_BLOCKS:
                return other
        return None

    def follow(self, call: Call, rank: Rank, leader: Call) -> None:
        """Keep `call` until `leader` is released."""
        self._following.setdefault(leader.call_id, []).append((call, rank))
        self._leader_of[call.call_id] = leader.call_id

    def release(self, leader_id: CallId) -> list[tuple[Call, Rank]]:
        """The calls that followed: their leader has its first token, or has ended."""
        self._cached_at_send.pop(leader_id, None)
        following = self._following.pop(leader_id, [])
        for call, _ in following:
            del self._leader_of[call.call_id]
        return following

    def remove(self, call_id: CallId) -> None:
        """Does nothing for a call that does not follow."""
        leader_id = self._leader_of.pop(call_id, None)
        if leader_id is not None:
            following = self._following[leader_id]
            self._following[leader_id] = [
                entry for entry in following if entry[0].call_id != call_id
            ]
