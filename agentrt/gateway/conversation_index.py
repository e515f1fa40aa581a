"""All conversations that are remembered, found by digest. Pure.

Where each was asked and answered, and which programs have a message, a tool call or a line.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from agentrt.gateway.conversation_ends import NO_REST, End, Remembered, Rest
from agentrt.gateway.conversation_postings import Postings

_MOST_MESSAGES = 2_048
_MOST_LINES = 96
_MOST_ENDS = 16
_MOST_ALIKE = 128


class ConversationIndex:
    """All conversations, with what is kept of each program bounded.

    Attributes:
        size: Digests that are kept, of all programs.
        ends_kept: Those of them that are ends.
    """

    def __init__(self) -> None:
        self.messages = Postings()
        self.lines = Postings()
        self.size = 0
        self.ends_kept = 0
        self._ends: dict[int, End | list[End]] = {}  # mostly one
        self._rests: dict[int, dict[int, int]] = {}

    def ends(self, key: int, rest: Rest = NO_REST) -> list[End]:
        """Oldest first."""
        found = self._ends.get(_slot(key, rest), _NOTHING)
        return found if isinstance(found, list) else [found]

    def rests(self, key: int) -> Iterable[int]:
        """How long the rests are that some ends have here."""
        return self._rests.get(key, ())

    def add_end(self, end: End) -> End:
        slot = _slot(end.key, end.rest)
        here = self._ends.get(slot)
        if here is None:
            self._ends[slot] = end
        elif isinstance(here, list):
            here.append(end)
            if len(here) > _MOST_ALIKE:
                del here[0]
        else:
            self._ends[slot] = [here, end]
        if length := end.rest[0]:
            rests = self._rests.setdefault(end.key, {})
            rests[length] = rests.get(length, 0) + 1
        ends = end.program.ends
        if ends and ends[-1].system == end.system:
            end.system = ends[-1].system  # one number in memory, not two
        ends.append(end)
        self.size += 1
        self.ends_kept += 1
        if len(ends) > _MOST_ENDS:
            # How a program began is what edited histories still begin with.
            at = 1 if ends[0].is_first else 0
            self._drop_end(ends[at])
            del ends[at]
        return end

    def add_messages(self, keys: Iterable[int], program: Remembered) -> None:
        self._add(keys, program, program.messages, _MOST_MESSAGES)

    def add_lines(self, keys: Iterable[int], program: Remembered) -> None:
        self._add(keys, program, program.lines, _MOST_LINES)

    def restore(self, program: Remembered) -> None:
        """Have a program that was remembered elsewhere, with all that it has."""
        messages, lines, ends = list(program.messages), list(program.lines), list(program.ends)
        _clear(program)
        self.add_messages(messages, program)
        self.add_lines(lines, program)
        for end in ends:
            self.add_end(end)

    def forget(self, program: Remembered) -> None:
        """Nothing is known of it any more."""
        self.size -= program.size
        self.ends_kept -= len(program.ends)
        for key in program.messages:
            self.messages.drop(key, program)
        for key in program.lines:
            self.lines.drop(key, program)
        for end in program.ends:
            self._drop_end(end, is_counted=False)
        _clear(program)
        del program.given[:]

    def _add(self, keys: Iterable[int], program: Remembered, kept: array[int], most: int) -> None:
        postings = self.messages if kept is program.messages else self.lines
        for key in keys:
            if postings.add(key, program):
                kept.append(key)
                self.size += 1
                if len(kept) > most:
                    postings.drop(kept.pop(0), program)
                    self.size -= 1

    def _drop_end(self, end: End, *, is_counted: bool = True) -> None:
        slot = _slot(end.key, end.rest)
        here = self._ends.get(slot)
        if here is end:
            del self._ends[slot]
        elif isinstance(here, list) and end in here:
            here.remove(end)
            if not here:
                del self._ends[slot]
        if length := end.rest[0]:
            rests = self._rests[end.key]
            rests[length] -= 1
            if not rests[length]:
                del rests[length]
            if not rests:
                del self._rests[end.key]
        if is_counted:
            self.size -= 1
            self.ends_kept -= 1


_NOTHING: list[End] = []


def _clear(program: Remembered) -> None:
    del program.messages[:]
    del program.lines[:]
    program.ends.clear()


def _slot(key: int, rest: Rest) -> int:
    return key if not rest[0] else hash((key, rest))


def distinct(programs: Iterable[End]) -> Iterator[Remembered]:
    """The programs of some ends, each once."""
    return iter(dict.fromkeys(end.program for end in programs))
