"""What is remembered of a program: where its conversations have got to, and digests of them. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple, TypeAlias

Rest: TypeAlias = tuple[int, int]
NO_REST: Rest = (0, 0)
_MOST_GIVEN = 192

# Bytes that each takes, measured: with its places in the tables that it is found by.
_DIGEST_BYTES = 100
_END_BYTES = 260
_PROGRAM_BYTES = 800


class EndState(Enum):
    """What became of a prompt, or of an answer."""

    ASKED = "asked"
    FAILED = "failed"
    ANSWERED = "answered"
    AWAITED = "awaited"
    GONE_ON = "gone on"


class Place(NamedTuple):
    """Where a conversation has got to.

    Attributes:
        key: The digest of its units, within its namespace.
        units: How many those are.
        rest: Length and digest of the text after them, of a prompt without messages.
        system: The digest of its system messages.
    """

    key: int
    units: int
    rest: Rest = NO_REST
    system: int = 0


class End:
    """Where a conversation was asked for an answer (`is_prompt`), or was given one.

    Attributes:
        key, units, rest, system: Its `Place`.
        is_first: The prompt is the first of its program: others may well begin with the same.
        answer: The end that a prompt was answered with.
        said: The digest of the answer that was given; 0, of a prompt.
    """

    __slots__ = (
        "answer",
        "is_first",
        "is_prompt",
        "key",
        "program",
        "rest",
        "said",
        "state",
        "system",
        "units",
    )

    def __init__(
        self, program: Remembered, place: Place, state: EndState, *, is_first: bool = False
    ) -> None:
        self.program = program
        self.key, self.units, self.rest, self.system = place
        self.state = state
        self.is_first = is_first
        self.is_prompt = state not in {EndState.AWAITED, EndState.GONE_ON}
        self.answer: End | None = None
        self.said = 0


class Remembered:
    """A program. Of thousands there are as few objects as can be: digests are in arrays.

    Attributes:
        namespace: The digest of its tenant, and of the name it shares with others, if it has one.
        names: Under which it is known: of sessions, and of answers.
        given: Messages that its conversations began with.
        has_asked: It has made a request; otherwise others have named it as theirs.
        task: Lines of what it began with.
    """

    __slots__ = (
        "ends",
        "given",
        "has_asked",
        "lines",
        "messages",
        "names",
        "namespace",
        "program_id",
        "task",
        "used_at",
    )

    def __init__(self, program_id: str, namespace: int, used_at: float) -> None:
        self.program_id = program_id
        self.namespace = namespace
        self.used_at = used_at
        self.has_asked = False
        self.names = array("Q")
        self.given = array("Q")
        self.task = array("Q")
        self.messages = array("Q")
        self.lines = array("Q")
        self.ends: list[End] = []

    def give(self, messages: Iterable[int]) -> None:
        """Its conversations have begun with these too; the latest are kept."""
        self.given.extend(messages)
        del self.given[:-_MOST_GIVEN]

    @property
    def size(self) -> int:
        """Digests kept for it."""
        return len(self.messages) + len(self.lines) + len(self.ends)

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return size_bytes(programs=1, digests=self.size, ends=len(self.ends))


def size_bytes(*, programs: int, digests: int, ends: int) -> int:
    """About what so many programs take in memory, with `digests` of which `ends` are ends."""
    return _PROGRAM_BYTES * programs + _DIGEST_BYTES * (digests - ends) + _END_BYTES * ends
