"""Programs that a `Recogniser` remembers, as JSON and back: digests, and no text. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentrt.errors import InputError
from agentrt.gateway.asked import JsonObject
from agentrt.gateway.conversation_ends import End, EndState, Place, Remembered

VERSION = 1

_STATES = {state: state.value for state in EndState}


def written_program(program: Remembered, now: float) -> JsonObject:
    """One program; times are how long ago it was."""
    ends = list(program.ends)
    places: dict[End | None, int] = {end: at for at, end in enumerate(ends)}
    return {
        "id": program.program_id,
        "namespace": program.namespace,
        "age_s": now - program.used_at,
        "has_asked": program.has_asked,
        "names": list(program.names),
        "given": list(program.given),
        "task": list(program.task),
        "messages": list(program.messages),
        "lines": list(program.lines),
        "ends": [_written_end(end, places.get(end.answer, -1)) for end in ends],
    }


def read_programs(state: JsonObject, now: float) -> list[Remembered]:
    """What was written, oldest first; nothing, of another version.

    Raises:
        InputError: it was not written by this.
    """
    try:
        if state["version"] != VERSION:
            return []
        return [_read_program(one, now) for one in state["programs"]]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"state of programs: {error!r}") from error


def _written_end(end: End, answer: int) -> list[Any]:
    """In a list, as there are many of them and the gateway waits meanwhile."""
    marks = (_STATES[end.state], end.is_prompt, end.is_first)
    return [end.key, end.units, end.rest, end.system, end.said, answer, *marks]


def _read_program(told: JsonObject, now: float) -> Remembered:
    program = Remembered(str(told["id"]), int(told["namespace"]), now - float(told["age_s"]))
    program.has_asked = bool(told["has_asked"])
    program.names.extend(map(int, told["names"]))
    program.give(map(int, told["given"]))
    program.task.extend(map(int, told["task"]))
    program.messages.extend(map(int, told["messages"]))
    program.lines.extend(map(int, told["lines"]))
    program.ends.extend(_read_ends(told["ends"], program))
    return program


def _read_ends(told: Iterable[list[Any]], program: Remembered) -> Iterable[End]:
    found: list[tuple[End, int]] = []
    for key, units, (length, digest), system, said, answer, state_name, is_prompt, is_first in told:
        state = EndState(state_name)
        place = Place(int(key), int(units), (int(length), int(digest)), int(system))
        # Whoever waits for an answer across a restart has lost its connection, and asks again.
        state = EndState.FAILED if state is EndState.ASKED else state
        end = End(program, place, state, is_first=bool(is_first))
        end.said = int(said)
        end.is_prompt = bool(is_prompt)
        found.append((end, int(answer)))
    for end, answer in found:
        if answer >= 0:
            end.answer = found[answer][0]
    return [end for end, _ in found]
