"""`Programs`: those that a `Recogniser` remembers, by the names they are known under. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agentrt.gateway.conversation_digests import digest
from agentrt.gateway.conversation_ends import Remembered, size_bytes
from agentrt.gateway.conversation_index import ConversationIndex

_MOST_NAMES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is remembered; what was used longest ago goes first.

    Attributes:
        bytes: Of all programs together.
        quiet_bytes: Of those that have gone quiet, together.
        idle_s: How long a program is remembered after its last request.
    """

    programs: int
    bytes: int
    quiet_bytes: int
    idle_s: float


class Programs:
    """Programs in the order of their last use, within bounds."""

    def __init__(self, index: ConversationIndex, bounds: Bounds, ids: Callable[[], str]) -> None:
        self._index = index
        self._bounds = bounds
        self._ids = ids
        self._programs: OrderedDict[str, Remembered] = OrderedDict()
        self._names: dict[int, Remembered] = {}
        self._quiet: OrderedDict[str, int] = OrderedDict()
        self._quiet_bytes = 0

    def __len__(self) -> int:
        return len(self._programs)

    def __contains__(self, program: Remembered) -> bool:
        return self._programs.get(program.program_id) is program

    def latest(self, most: int) -> Sequence[Remembered]:
        """At most so many, those used last, oldest first."""
        return list(self._programs.values())[-most:] if most > 0 else ()

    def named(self, name: int) -> Remembered | None:
        """The one known under a name."""
        return self._names.get(name)

    def called(self, tenant: str, name: str, now: float) -> Remembered:
        """The tenant's program of that name; it is made if there is none."""
        key = digest("program", tenant, name)
        program = self._names.get(key)
        if program is None:
            program = self.add(namespace(tenant), now)
            self.name(program, key)
        return program

    def add(self, within: int, now: float) -> Remembered:
        """A new one, within a namespace."""
        program = Remembered(self._ids(), within, now)
        self._programs[program.program_id] = program
        return program

    def name(self, program: Remembered, name: int) -> None:
        """Have it known under one more name."""
        self._names[name] = program
        program.names.append(name)
        if len(program.names) > _MOST_NAMES:
            # The first is what the program is called; the others are of its answers.
            second = program.names[1]
            del program.names[1]
            if self._names.get(second) is program:
                del self._names[second]

    def use(self, program: Remembered, now: float) -> None:
        """It has made a request."""
        program.used_at = now
        program.has_asked = True
        self._programs.move_to_end(program.program_id)
        self._is_heard(program.program_id)

    def quiet(self, program_id: str) -> None:
        """Nothing is expected of it any more: it is forgotten before those that are not."""
        program = self._programs.get(program_id)
        if program is not None:
            self._is_heard(program_id)
            self._quiet[program_id] = program.size_bytes
            self._quiet_bytes += program.size_bytes

    def _is_heard(self, program_id: str) -> None:
        """It is not quiet, or not any more."""
        self._quiet_bytes -= self._quiet.pop(program_id, 0)

    def end(self, program_id: str) -> None:
        """Forget it."""
        program = self._programs.pop(program_id, None)
        if program is None:
            return
        self._is_heard(program_id)
        self._index.forget(program)
        for name in program.names:
            if self._names.get(name) is program:
                del self._names[name]

    def forget(self, now: float) -> None:
        """Come back within the bounds."""
        bounds = self._bounds
        while self._quiet_bytes > bounds.quiet_bytes or (self._quiet and self._is_much):
            self.end(next(iter(self._quiet)))
        while self._programs:
            program = next(iter(self._programs.values()))
            if program.used_at >= now - bounds.idle_s and not self._is_much:
                return
            self.end(program.program_id)

    @property
    def _is_much(self) -> bool:
        count, index = len(self._programs), self._index
        size = size_bytes(programs=count, digests=index.size, ends=index.ends_kept)
        return count > self._bounds.programs or size > self._bounds.bytes

    def restore(self, programs: Iterable[Remembered]) -> None:
        """Remember programs from elsewhere; of those that are here already, what is here stays."""
        for program in programs:
            if program.program_id in self._programs:
                continue
            self._programs[program.program_id] = program
            for name in program.names:
                self._names.setdefault(name, program)
            self._index.restore(program)


def namespace(tenant: str, shared_name: str = "") -> int:
    """Conversations of different namespaces never belong together."""
    return digest("namespace", tenant, shared_name)
