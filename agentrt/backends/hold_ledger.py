"""Which cached blocks of an engine are held for whom, and until when. Pure; the standard library alone.

It runs inside the engine's process (`agentrt.backends.vllm_holds`), so it imports nothing of agentrt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class _Hold:
    blocks: tuple[int, ...]
    until: float
    number: int


@dataclass(slots=True)
class _Program:
    holds: list[_Hold] = field(default_factory=list[_Hold])
    waiting: int = 0


class HoldLedger:
    """Programs' wishes to find their contexts again, within a budget.

    A hold lasts until its time is up, another request of its program has ended with a context that
    contains it, the program ends, or the engine needs the room: then the hold whose program returns
    last is given back first. While a request of the program waits or runs, its holds do not expire
    and are the last to be given back: it has returned.

    Blocks are held by number. A block that several programs have used is told apart, because it may
    be needed when the context of one of them is not.
    """

    def __init__(self, *, budget_blocks: int, most_s: float) -> None:
        """Hold at most `budget_blocks` different blocks, none for longer than `most_s` seconds."""
        self._budget_blocks = max(budget_blocks, 0)
        self._most_s = most_s
        self._programs: dict[str, _Program] = {}
        self._holders: dict[int, int] = {}
        self._users: dict[int, str | None] = {}
        self._made = 0
        self._next_expiry = float("inf")

    @property
    def held_blocks(self) -> int:
        """How many different blocks are held now."""
        return len(self._holders)

    @property
    def programs(self) -> int:
        """How many programs are known of now."""
        return len(self._programs)

    def is_held(self, block: int) -> bool:
        """Whether somebody holds `block`."""
        return block in self._holders

    def arrived(self, program: str) -> None:
        """A request of `program` is there."""
        self._programs.setdefault(program, _Program()).waiting += 1

    def ended(
        self, program: str, blocks: Iterable[int], *, now: float, hold_s: float | None
    ) -> tuple[int, ...]:
        """A request of `program` that had arrived has ended, with its context in `blocks`.

        Without blocks (it never ran) what is held stays held. `hold_s` None is no wish at all.

        Returns:
            Blocks that nobody needs any more, in the order of the context: with `hold_s` 0 those of
            this context that no other program has used or holds.
        """
        context = tuple(blocks)
        known = self._programs.setdefault(program, _Program())
        known.waiting = max(0, known.waiting - 1)
        self._note_users(program, context)
        if context:
            self._supersede(known, context)
        if context and hold_s:
            self._add(known, context, now + min(hold_s, self._most_s))
        if known.waiting == 0 and known.holds:
            # What is left may be of a branch that does not come back: its time counts again.
            self._next_expiry = min(self._next_expiry, *(hold.until for hold in known.holds))
        self._forget_if_idle(program, known)
        return self._needless(program, context) if hold_s == 0 else ()

    def finish(self, program: str) -> tuple[int, ...]:
        """Nothing of `program` follows: all of its holds are over.

        Returns:
            Their blocks that no other program has used or holds.
        """
        known = self._programs.get(program)
        if known is None:
            return ()
        blocks = dict.fromkeys(block for hold in known.holds for block in hold.blocks)
        for hold in tuple(known.holds):
            self._drop(known, hold)
        self._forget_if_idle(program, known)
        return self._needless(program, tuple(blocks))

    def expire(self, now: float) -> None:
        """Holds whose time is up are over; those of programs that have returned are not."""
        if now < self._next_expiry:
            return
        self._next_expiry = float("inf")
        for program, known in tuple(self._programs.items()):
            for hold in tuple(known.holds):
                if known.waiting == 0 and hold.until <= now:
                    self._drop(known, hold)
                elif known.waiting == 0:
                    self._next_expiry = min(self._next_expiry, hold.until)
            self._forget_if_idle(program, known)

    def give_back(self) -> tuple[int, ...]:
        """The engine needs room: end the hold whose program returns last.

        Returns:
            Its blocks that nobody holds any more, in the order of the context; empty also where
            others hold all of them. Nothing is held any more once `held_blocks` is 0.
        """
        latest = max(
            (
                (known.waiting == 0, hold.until, hold.number, program)
                for program, known in self._programs.items()
                for hold in known.holds
            ),
            default=None,
        )
        if latest is None:
            return ()
        program = latest[3]
        known = self._programs[program]
        hold = next(hold for hold in known.holds if hold.number == latest[2])
        self._drop(known, hold)
        self._forget_if_idle(program, known)
        return tuple(block for block in hold.blocks if block not in self._holders)

    def taken(self, blocks: Iterable[int]) -> None:
        """The engine has put something else into `blocks`, which nobody held."""
        for block in blocks:
            self._users.pop(block, None)

    def clear(self) -> None:
        """The engine's cache is empty."""
        for program, known in tuple(self._programs.items()):
            known.holds.clear()
            self._forget_if_idle(program, known)
        self._holders.clear()
        self._users.clear()
        self._next_expiry = float("inf")

    def _supersede(self, known: _Program, context: tuple[int, ...]) -> None:
        there = set(context)
        for hold in tuple(known.holds):
            if there.issuperset(hold.blocks):
                self._drop(known, hold)

    def _add(self, known: _Program, context: tuple[int, ...], until: float) -> None:
        self._made += 1
        known.holds.append(_Hold(context, until, self._made))
        for block in context:
            self._holders[block] = self._holders.get(block, 0) + 1
        while len(self._holders) > self._budget_blocks:
            self.give_back()

    def _drop(self, known: _Program, hold: _Hold) -> None:
        known.holds.remove(hold)
        for block in hold.blocks:
            left = self._holders[block] - 1
            if left:
                self._holders[block] = left
            else:
                del self._holders[block]

    def _note_users(self, program: str, context: tuple[int, ...]) -> None:
        for block in context:
            if self._users.setdefault(block, program) != program:
                self._users[block] = None

    def _needless(self, program: str, context: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(
            block
            for block in context
            if self._users.get(block) == program and block not in self._holders
        )

    def _forget_if_idle(self, program: str, known: _Program) -> None:
        if not known.holds and known.waiting == 0:
            self._programs.pop(program, None)


def seconds(value: Any) -> float | None:
    """Seconds from 0 on, whatever a client sends; None: no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        given = float(value)
    except OverflowError:  # a number of hundreds of digits
        return math.inf if value > 0 else 0.0
    return None if math.isnan(given) else max(0.0, given)
