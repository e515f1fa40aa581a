"""Programs that a `Recogniser` remembers, as JSON and back: digests, and no text. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agentrt.errors import InputError
from agentrt.gateway.asked import JsonObject
from agentrt.gateway.conversation_ends import End, EndState, Place, Remembered

VERSION = 1


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
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"state of programs: {error!r}") from error


def _written_end(end: End, answer: int) -> JsonObject:
    return {
        "key": end.place.key,
        "state": end.state.value,
        "is_prompt": end.is_prompt,
        "is_first": end.is_first,
        "rest": list(end.place.rest),
        "system": end.place.system,
        "units": end.place.units,
        "said": end.said,
        "answer": answer,
    }


def _read_program(told: JsonObject, now: float) -> Remembered:
    program = Remembered(str(told["id"]), int(told["namespace"]), now - float(told["age_s"]))
    program.has_asked = bool(told["has_asked"])
    program.names.extend(map(int, told["names"]))
    program.given.extend(map(int, told["given"]))
    program.task = tuple(map(int, told["task"]))
    program.messages.extend(map(int, told["messages"]))
    program.lines.extend(map(int, told["lines"]))
    program.ends.extend(_read_ends(told["ends"], program))
    return program


def _read_ends(told: Iterable[JsonObject], program: Remembered) -> Iterable[End]:
    found: list[tuple[End, int]] = []
    for one in told:
        state = EndState(one["state"])
        length, digest = map(int, one["rest"])
        end = End(
            program,
            Place(
                int(one["key"]),
                int(one["units"]),
                rest=(length, digest),
                system=int(one["system"]),
            ),
            # Whoever waits for an answer across a restart has lost its connection, and asks again.
            EndState.FAILED if state is EndState.ASKED else state,
            is_first=bool(one["is_first"]),
        )
        end.said = int(one["said"])
        end.is_prompt = bool(one["is_prompt"])
        found.append((end, int(one["answer"])))
    for end, answer in found:
        if answer >= 0:
            end.answer = found[answer][0]
    return [end for end, _ in found]
