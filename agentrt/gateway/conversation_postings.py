"""Which programs have a message, a tool call or a line in their conversations, by digest. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agentrt.gateway.conversation_ends import Remembered

MOST_SHARED = 16
"""A message that as many programs have says nothing of which one a request belongs to."""


class Postings:
    """Which programs have a digest: the latest `MOST_SHARED` of them."""

    def __init__(self) -> None:
        self._programs: dict[int, Remembered | tuple[Remembered, ...]] = {}

    def __len__(self) -> int:
        return len(self._programs)

    def having(self, key: int) -> tuple[Remembered, ...]:
        """Oldest first; none: the digest is new."""
        held = self._programs.get(key)
        if held is None:
            return ()
        return held if isinstance(held, tuple) else (held,)

    def add(self, key: int, program: Remembered) -> bool:
        """Whether it was not there."""
        held = self._programs.get(key)
        if held is None:
            self._programs[key] = program
            return True
        if not isinstance(held, tuple):
            held = (held,)
        if program in held:
            return False
        self._programs[key] = (*held, program)[-MOST_SHARED:]
        return True

    def drop(self, key: int, program: Remembered) -> None:
        held = tuple(one for one in self.having(key) if one is not program)
        if len(held) > 1:
            self._programs[key] = held
        elif held:
            self._programs[key] = held[0]
        else:
            self._programs.pop(key, None)


class Votes:
    """How many of some digests each program has; those that many have count for nobody."""

    def __init__(self, postings: Postings, keys: Iterable[int], namespace: int) -> None:
        self.of: dict[Remembered, float] = {}
        self.counts: dict[Remembered, int] = {}
        self.unknown = 0
        self.known = 0
        for key in keys:
            programs = postings.having(key)
            if not programs:
                self.unknown += 1
            elif len(programs) < MOST_SHARED and programs[0].namespace == namespace:
                self.known += 1
                for program in programs:
                    self.of[program] = self.of.get(program, 0.0) + 1 / len(programs)
                    self.counts[program] = self.counts.get(program, 0) + 1

    def best(self, among: Iterable[Remembered] | None = None) -> Remembered | None:
        """Who has the most, the latest used of equals; None: nobody has any."""
        candidates = self.of.keys() if among is None else [one for one in among if one in self.of]
        return max(candidates, key=lambda one: (self.of[one], one.used_at), default=None)
