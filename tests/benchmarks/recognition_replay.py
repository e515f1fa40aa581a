"""Programs as lists of turns, replayed side by side through a `Recogniser`, and how many it gets right."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agentrt.gateway.asked import Asked, Claim, Endpoint
from agentrt.gateway.recognition import Recognised, Recogniser
from agentrt.ir.request import Completion, Message, Request

THINKS_S = 5.0
ANSWERS_S = 3.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One request and its answer; None: there is none, and the client asks once more.

    Attributes:
        is_retry: The client says that it has asked the same before.
    """

    messages: tuple[Message, ...]
    completion: Completion | None
    endpoint: Endpoint = "chat/completions"
    is_retry: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What came of a replay. `programs_found` counts those that the recogniser made."""

    turns: int
    right: int
    programs: int
    programs_found: int
    us_per_turn: float

    @property
    def right_share(self) -> float:
        return self.right / self.turns if self.turns else 1.0


def asked(turn: Turn) -> Asked:
    return Asked(
        endpoint=turn.endpoint,
        body={},
        model="m",
        request=Request(messages=turn.messages),
        claim=Claim(is_retry=turn.is_retry),
    )


def replay(
    programs: Sequence[Program], *, at_once: int, seed: int, recogniser: Recogniser | None = None
) -> list[tuple[str, Recognised, float]]:
    """The true program, what was recognised, and the CPU seconds it took, of each turn in order.

    `at_once` programs run at a time, each beginning where another ends; all begin within seconds of
    one another at first. Thinking and answering take exponential times.
    """
    rng = random.Random(seed)
    recogniser = recogniser or Recogniser()
    made: list[tuple[str, Recognised, float]] = []
    waiting = list(range(len(programs)))
    rng.shuffle(waiting)
    events: list[tuple[float, int, int, int, Recognised | None]] = []
    count = 0

    def add(at: float, program: int, turn: int, answered: Recognised | None) -> None:
        nonlocal count
        count += 1
        heapq.heappush(events, (at, count, program, turn, answered))

    def begin(at: float) -> None:
        if waiting:
            add(at + rng.expovariate(1 / THINKS_S), waiting.pop(), 0, None)

    for _ in range(at_once):
        begin(0.0)
    while events:
        now, _, number, position, recognised = heapq.heappop(events)
        program = programs[number]
        turn = program.turns[position]
        if recognised is None:
            request = asked(turn)
            began = time.thread_time()
            recognised = recogniser.recognise(request, tenant="t", now=now)
            took = time.thread_time() - began
            made.append((program.name, recognised, took))
            add(now + rng.expovariate(1 / ANSWERS_S), number, position, recognised)
            continue
        if turn.completion is None:
            recogniser.failed(recognised)
        else:
            recogniser.answered(recognised, turn.completion)
        if position + 1 < len(program.turns):
            add(now + rng.expovariate(1 / THINKS_S), number, position + 1, None)
        else:
            begin(now)
    return made


def score(made: Sequence[tuple[str, Recognised, float]]) -> Score:
    """A turn is right where its program and the one it was put into are each other's most frequent."""
    pairs = Counter((true, recognised.program_id) for true, recognised, _ in made)
    of_true: dict[str, tuple[int, str]] = {}
    of_found: dict[str, tuple[int, str]] = {}
    for (true, found), turns in pairs.items():
        of_true[true] = max(of_true.get(true, (0, "")), (turns, found))
        of_found[found] = max(of_found.get(found, (0, "")), (turns, true))
    right = sum(
        turns
        for (true, found), turns in pairs.items()
        if of_true[true][1] == found and of_found[found][1] == true
    )
    return Score(
        turns=len(made),
        right=right,
        programs=len(of_true),
        programs_found=len(of_found),
        us_per_turn=1e6 * sum(took for *_, took in made) / max(1, len(made)),
    )
