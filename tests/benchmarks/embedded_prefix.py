"""What sharing prefixes between slots saves: programs with one long system prompt, on the embedded engine.

    python -m tests.benchmarks.embedded_prefix [--rounds N] [--json FILE]

Each case runs on a fresh engine: 1, 4 or 8 programs of one request each, one after another or all at
once, sharing off and on. Cases are run in an order that is rotated from round to round; the table
shows the median wall time. `computed` and `cached` are prompt tokens as the engine counts them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.clock import SystemClock
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Completion, Message, Request, Usage

SYSTEM = "You are a careful assistant. " + " ".join(
    f"Rule {i}: always consider point {i * 7 % 13} of the handbook." for i in range(120)
)
COMPLETION_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Case:
    programs: int
    is_concurrent: bool
    is_shared: bool


@dataclass(frozen=True, slots=True)
class Result:
    case: Case
    wall_s: float
    computed_tokens: int
    cached_tokens: int


CASES = [
    Case(programs, is_concurrent, is_shared)
    for programs in (1, 4, 8)
    for is_concurrent in (False, True)
    for is_shared in (False, True)
    if programs > 1 or not is_concurrent
]


async def _measure(case: Case) -> Result:
    clock = SystemClock()
    backend = EmbeddedBackend(
        settings=EmbeddedSettings(share_prefixes=case.is_shared, drafting="off")
    )
    await backend.capabilities()  # loading is not what is measured
    requests = [_request(number) for number in range(case.programs)]
    begun_s = clock.now()
    if case.is_concurrent:
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(backend.complete(request)) for request in requests]
        answers = [task.result() for task in started]
    else:
        answers = [await backend.complete(request) for request in requests]
    wall_s = clock.now() - begun_s
    await backend.aclose()
    usage = _total(answers)
    return Result(case, wall_s, usage.prompt_tokens - usage.cached_tokens, usage.cached_tokens)


def _request(number: int) -> Request:
    return Request(
        messages=(Message("system", SYSTEM), Message("user", f"Question {number}: what now?")),
        options=LLMOptions(max_tokens=COMPLETION_TOKENS),
    )


def _total(answers: list[Completion]) -> Usage:
    return sum((answer.usage for answer in answers), Usage())


async def _run(rounds: int) -> list[Result]:
    results: list[Result] = []
    for round_number in range(rounds):
        turn = round_number * (len(CASES) // max(1, rounds))
        for case in CASES[turn:] + CASES[:turn]:
            results.append(await _measure(case))
            sys.stderr.write(f"round {round_number + 1}: {results[-1]}\n")
    return results


def _table(results: list[Result]) -> str:
    lines = ["programs  order       sharing  computed  cached  wall (median)"]
    for case in CASES:
        mine = [result for result in results if result.case == case]
        wall_s = statistics.median(result.wall_s for result in mine)
        order = "at once" if case.is_concurrent else "in turn"
        lines.append(
            f"{case.programs:8}  {order:10}  {'on' if case.is_shared else 'off':7}"
            f"  {mine[-1].computed_tokens:8,}  {mine[-1].cached_tokens:6,}  {wall_s:8.2f} s"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--json", type=Path, help="where the JSON goes; by default stdout's last line"
    )
    options = parser.parse_args()
    results = asyncio.run(_run(options.rounds))
    sys.stdout.write(f"{_table(results)}\n")
    text = json.dumps({"results": [asdict(result) for result in results]})
    if options.json is None:
        sys.stdout.write(f"{text}\n")
    else:
        options.json.write_text(text)


if __name__ == "__main__":
    main()
