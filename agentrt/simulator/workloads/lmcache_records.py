"""What the two sets of lmcache_agent_trace have in common: programs with the full text of each call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentrt.errors import InputError
from agentrt.simulator.workloads.record import Record, records


@dataclass(frozen=True, slots=True)
class Turn:
    """One call. `at_s` counts from the program's first call."""

    at_s: float
    prompt: str
    answer: str
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Session:
    """One program: its calls in the file's order."""

    session_id: str
    turns: tuple[Turn, ...]


def sessions(lines: Iterable[str]) -> list[Session]:
    """The programs on `lines`.

    Raises:
        InputError: a line is not of this format; the message names the line and the field.
    """
    found = [Session(record.text("session_id"), tuple(_turns(record))) for record in records(lines)]
    if not found:
        raise InputError("line 1: expected a program, got nothing")
    return found


def _turns(record: Record) -> Iterable[Turn]:
    prompt = ""
    first_us: int | None = None
    for turn in record.records("turns"):
        keep = turn.count("keep")
        if keep > len(prompt):
            turn.refuse("keep", f"at most {len(prompt)} characters", keep)
        prompt = prompt[:keep] + turn.text("tail")
        at_us = turn.count("ts_us")
        first_us = at_us if first_us is None else first_us
        yield Turn(
            at_s=max(0.0, (at_us - first_us) / 1e6),
            prompt=prompt,
            answer=turn.text("output"),
            completion_tokens=turn.tokens("out_tokens"),
        )
