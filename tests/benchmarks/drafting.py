"""What drafting by lookup does to decoding: copy-heavy turns and others, on the embedded engine.

    python -m tests.benchmarks.drafting [--model NAME] [--rounds N] [--turns N] [--tokens N] [--json FILE]

Three engines side by side: drafting off, always on, and by measurement, which has seen the same turns
once before it is timed. In every round each turn is asked of all three, one right after another, in an
order that is rotated; nothing else is asked meanwhile. The first turn of each pair only fills the slot's
cache; the second is timed from the first piece of the answer to the last. The speedup of a class of turns
is the median, over turns and rounds, of seconds a token without drafts over seconds a token with. `cpu`
is the same of processor time of the engine's process, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from agentrt.backends.base import OnChunk
from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.backends.embedded_settings import DraftingWish
from agentrt.clock import SystemClock
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Chunk, Completion, Message, Request
from tests.benchmarks.drafting_turns import COPY, OTHER, TURNS, Turn

WISHES: tuple[DraftingWish, ...] = ("off", "on", "measured")
MOST_LEARNING_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Timed:
    """One answer. `decoded_tokens` are those after the first piece."""

    turn: str
    kind: str
    wish: str
    decoded_tokens: int
    wall_s: float
    cpu_s: float
    drafted_tokens: int
    accepted_tokens: int
    text: str


class Engine:
    """An embedded engine, and the turns asked of it."""

    def __init__(self, model: str | None, wish: DraftingWish, *, max_tokens: int) -> None:
        settings = EmbeddedSettings(slots=1, context_tokens=4096, drafting=wish)
        self.wish = wish
        self.backend = EmbeddedBackend(model, settings=settings)
        self._max_tokens = max_tokens
        self._clock = SystemClock()

    async def timed(self, turn: Turn) -> Timed:
        await self._ask(turn, 1, None)
        process = psutil.Process((await self.backend._running()).engine.process_id)
        marks: list[tuple[float, float]] = []

        def mark() -> None:
            times = process.cpu_times()
            marks.append((self._clock.now(), times.user + times.system))

        def came(chunk: Chunk) -> None:
            if chunk.text and not marks:
                mark()

        completion = await self._ask(turn, self._max_tokens, came)
        mark()
        return Timed(
            turn=turn.name,
            kind=turn.kind,
            wish=self.wish,
            decoded_tokens=max(1, completion.usage.completion_tokens - 1),
            wall_s=marks[-1][0] - marks[0][0],
            cpu_s=marks[-1][1] - marks[0][1],
            drafted_tokens=completion.drafted_tokens,
            accepted_tokens=completion.accepted_tokens,
            text=completion.text,
        )

    async def learn(self, turns: Sequence[Turn]) -> None:
        """See the turns, as traffic would bring them, until nothing is to be decided any more."""
        for _ in range(MOST_LEARNING_ROUNDS):
            was_on = self.backend.drafting.is_on
            for turn in turns:
                await self._ask(turn, self._max_tokens, None)
                sys.stderr.write(f"learning: {turn.name}, {self.backend.drafting.is_on}\n")
            if self.backend.drafting.cost is not None and self.backend.drafting.is_on == was_on:
                return

    async def _ask(self, turn: Turn, max_tokens: int, on_chunk: OnChunk | None) -> Completion:
        request = Request(
            messages=(Message("user", turn.prompt),),
            options=LLMOptions(max_tokens=max_tokens, temperature=0.0),
            node_id=turn.kind,
        )
        return await self.backend.complete(
            request, on_chunk=on_chunk if callable(on_chunk) else None
        )


async def _run(
    model: str | None, turns: Sequence[Turn], *, rounds: int, max_tokens: int
) -> tuple[list[Timed], Engine]:
    engines = [Engine(model, wish, max_tokens=max_tokens) for wish in WISHES]
    found: list[Timed] = []
    try:
        await engines[-1].learn(turns)
        for number in range(rounds):
            for at, turn in enumerate(turns):
                first = (number + at) % len(engines)
                found += [await engine.timed(turn) for engine in engines[first:] + engines[:first]]
                sys.stderr.write(f"round {number + 1} of {rounds}: {turn.name}\n")
    finally:
        for engine in engines:
            await engine.backend.aclose()
    return found, engines[-1]


@dataclass(frozen=True, slots=True)
class Row:
    """A class of turns with one engine. Speedups are medians of pairs; `least_turn` is the median of
    the turn that gained least."""

    kind: str
    wish: str
    pairs: int
    tokens_per_s: float
    speedup: float
    least_turn: float
    cpu_speedup: float
    share_taken: float
    drafted_tokens: int
    identical: int


def rows(found: Sequence[Timed]) -> list[Row]:
    """What came of it, by class of turns and engine; answers are compared with those without drafts."""
    return [_row(found, kind, wish) for kind in (COPY, OTHER) for wish in WISHES]


def _row(found: Sequence[Timed], kind: str, wish: str) -> Row:
    plain = [one for one in found if one.kind == kind and one.wish == "off"]
    mine = [one for one in found if one.kind == kind and one.wish == wish]
    pairs = list(zip(plain, mine, strict=True))  # of the same turn, in the same round
    walls = [_per_token(a.wall_s, a) / _per_token(b.wall_s, b) for a, b in pairs]
    cpus = [_per_token(a.cpu_s, a) / _per_token(b.cpu_s, b) for a, b in pairs if b.cpu_s > 0]
    drafted = sum(one.drafted_tokens for one in mine)
    return Row(
        kind=kind,
        wish=wish,
        pairs=len(pairs),
        tokens_per_s=statistics.median(one.decoded_tokens / one.wall_s for one in mine),
        speedup=statistics.median(walls),
        least_turn=min(_by_turn(mine, walls)),
        cpu_speedup=statistics.median(cpus),
        share_taken=sum(one.accepted_tokens for one in mine) / drafted if drafted else 0.0,
        drafted_tokens=drafted,
        identical=sum(a.text == b.text for a, b in pairs),
    )


def _by_turn(found: Sequence[Timed], speedups: Sequence[float]) -> list[float]:
    turns: dict[str, list[float]] = {}
    for one, speedup in zip(found, speedups, strict=True):
        turns.setdefault(one.turn, []).append(speedup)
    return [statistics.median(of) for of in turns.values()]


def _per_token(seconds: float, timed: Timed) -> float:
    return seconds / timed.decoded_tokens


def table(found: Sequence[Row]) -> str:
    """The rows for people."""
    head = "turns       drafting  tokens/s  speedup  least turn   cpu  drafted  taken  same answers"
    return "\n".join(
        [
            head,
            *(
                f"{row.kind:10}  {row.wish:8}  {row.tokens_per_s:8.1f}  {row.speedup:6.2f}x"
                f"  {row.least_turn:9.2f}x {row.cpu_speedup:4.2f}x  {row.drafted_tokens:7,}"
                f"  {row.share_taken:5.0%}  {row.identical:4} of {row.pairs}"
                for row in found
            ),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", help="as `agentrt models` names it, or a GGUF file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--turns", type=int, default=len(TURNS), help="the first so many; 2 at least"
    )
    parser.add_argument("--tokens", type=int, default=160, help="of an answer at most")
    parser.add_argument("--json", type=Path, help="where the JSON goes; by default stdout's end")
    options = parser.parse_args()
    found, measured = asyncio.run(
        _run(
            options.model,
            TURNS[: max(2, options.turns)],  # copy-heavy and other ones alternate
            rounds=options.rounds,
            max_tokens=options.tokens,
        )
    )
    drafting = measured.backend.drafting
    cost = drafting.cost.points if drafting.cost is not None else ()
    sys.stdout.write(f"{table(rows(found))}\n")
    verifying = ", ".join(f"{tokens} tokens {ratio:.2f}" for tokens, ratio in cost)
    verdict = "on" if drafting.is_on else "off"
    sys.stdout.write(f"verifying, over one token: {verifying or 'not measured'}; ends {verdict}\n")
    sys.stdout.write(
        "Not shown: several requests at once, sampling, other processors and models; what starting the"
        " engine anew takes.\n"
    )
    result = {
        "rows": [asdict(row) for row in rows(found)],
        "verify_cost": cost,
        "draft_tokens": drafting.length,
        "ends": verdict,
        "kinds": [asdict(kind) for kind in drafting.kinds()],
        "answers": [asdict(one) for one in found],
    }
    text = json.dumps(result)
    if options.json is None:
        sys.stdout.write(f"{text}\n")
    else:
        options.json.write_text(text)


if __name__ == "__main__":
    main()
