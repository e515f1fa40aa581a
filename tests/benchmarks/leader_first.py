"""What leaders going first save: a fan-out of calls that begin alike, on a cold cache.

    python -m tests.benchmarks.leader_first [--items N] [--rounds N] [--vllm URL] [--json FILE]

One map of `--items` calls over one prefix of about 2,000 tokens. On the embedded engine (the default)
each contender has a fresh engine: the engine as it is with all sent at once; agentrt's two parts alone
(leaders first in the scheduler, prefixes shared between slots); and both, as it comes. With `--vllm`
a server that runs already is asked, with leaders first and without; each contender and round has a
prefix of its own, so that none finds anything in the cache. There `computed` needs a server that
reports cached tokens (`--enable-prompt-tokens-details`).

`computed` is `prompt_tokens - cached_tokens`, as the server counts them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from agentrt.backends.base import Backend
from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.backends.registry import connect
from agentrt.clock import SystemClock
from agentrt.dsl.decorators import llm, workflow
from agentrt.ir.prompt import Prompt
from agentrt.runtime import Runtime

RULES = 150
TARGET = 3.0


@llm(max_tokens=8, temperature=0)
def judge(claim: str, handbook: str) -> Prompt[str]:
    return Prompt(f"{handbook}\n\nIs it so, by the handbook? {claim}")


@workflow
def judged(claims: list[str], handbook: str) -> list[str]:
    return judge.map(claims, handbook=handbook)


@dataclass(frozen=True, slots=True)
class Contender:
    """`shares_slots` is for the embedded engine, which does not share between slots by itself."""

    name: str
    has_leaders: bool
    shares_slots: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    contender: str
    wall_s: float
    prompt_tokens: int
    cached_tokens: int
    answers: tuple[str, ...]

    @property
    def computed_tokens(self) -> int:
        return self.prompt_tokens - self.cached_tokens


EMBEDDED = (
    Contender("all at once, engine as it is", has_leaders=False, shares_slots=False),
    Contender("leaders first, engine as it is", has_leaders=True, shares_slots=False),
    Contender("all at once, slots share", has_leaders=False),
    Contender("leaders first, slots share", has_leaders=True),
)
VLLM = (
    Contender("all at once", has_leaders=False),
    Contender("leaders first", has_leaders=True),
)


def handbook(name: str) -> str:
    """About 2,000 tokens that begin with `name`."""
    rules = (f"Rule {i}: mind point {i * 7 % 13} of chapter {i % 5}." for i in range(RULES))
    return f"Handbook {name}. {' '.join(rules)}"


async def measure(contender: Contender, backend: Backend, name: str, items: int) -> Result:
    """One fan-out, from its start to its last answer."""
    clock = SystemClock()
    without = () if contender.has_leaders else ("leader-first",)
    await backend.capabilities()  # loading is not what is measured
    async with Runtime(backend, clock=clock, without=without) as runtime:
        begun_s = clock.now()
        claims = [f"Point {number} comes before point {number + 1}." for number in range(items)]
        result = await runtime.start(judged.bind(claims, handbook(name))).wait()
        wall_s = clock.now() - begun_s
    if result.status != "finished":
        raise RuntimeError(f"{contender.name}: {result.error}")
    usage = result.usage
    return Result(
        contender.name, wall_s, usage.prompt_tokens, usage.cached_tokens, tuple(result.output)
    )


async def on_embedded(contender: Contender, _round: int, items: int) -> Result:
    backend = EmbeddedBackend(
        settings=EmbeddedSettings(share_prefixes=contender.shares_slots, drafting="off")
    )
    try:
        return await measure(contender, backend, "A", items)
    finally:
        await backend.aclose()


async def run(
    contenders: tuple[Contender, ...],
    rounds: int,
    perform: Callable[[Contender, int], Awaitable[Result]],
) -> list[Result]:
    results: list[Result] = []
    for number in range(rounds):
        turn = number % len(contenders)
        for contender in contenders[turn:] + contenders[:turn]:
            results.append(await perform(contender, number))
            last = results[-1]
            sys.stderr.write(
                f"round {number + 1}, {last.contender}: {last.computed_tokens:,} computed, "
                f"{last.wall_s:.1f} s\n"
            )
    return results


def table(contenders: tuple[Contender, ...], results: list[Result]) -> str:
    """Medians, and the first contender's against each."""
    computed = {
        each.name: statistics.median(r.computed_tokens for r in results if r.contender == each.name)
        for each in contenders
    }
    first, last = computed[contenders[0].name], computed[contenders[-1].name]
    lines = [f"{'':32}  computed    cached  wall (median)  fewer"]
    for name, tokens in computed.items():
        mine = [result for result in results if result.contender == name]
        cached = statistics.median(result.cached_tokens for result in mine)
        wall_s = statistics.median(result.wall_s for result in mine)
        lines.append(
            f"{name:32}  {tokens:8,.0f}  {cached:8,.0f}  {wall_s:11.1f} s"
            f"  {first / max(tokens, 1):4.1f}x"
        )
    is_met = first / max(last, 1) >= TARGET
    lines.append(f"target: {TARGET:g}x fewer computed tokens: {'met' if is_met else 'missed'}")
    return "\n".join(lines)


async def _main(options: argparse.Namespace) -> tuple[tuple[Contender, ...], list[Result]]:
    if options.vllm is None:
        return EMBEDDED, await run(
            EMBEDDED, options.rounds, lambda c, number: on_embedded(c, number, options.items)
        )
    backend = connect(options.vllm)

    async def on_server(contender: Contender, number: int) -> Result:
        name = f"{secrets.token_hex(8)} {number}"
        return await measure(contender, backend, name, options.items)

    try:
        return VLLM, await run(VLLM, options.rounds, on_server)
    finally:
        await backend.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--items", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vllm", metavar="URL", help="such as vllm+http://127.0.0.1:8000")
    parser.add_argument(
        "--json", type=Path, help="where the JSON goes; by default stdout's last line"
    )
    options = parser.parse_args()
    contenders, results = asyncio.run(_main(options))
    sys.stdout.write(f"{table(contenders, results)}\n")
    text = json.dumps({"items": options.items, "results": [asdict(result) for result in results]})
    if options.json is None:
        sys.stdout.write(f"{text}\n")
    else:
        options.json.write_text(text)


if __name__ == "__main__":
    main()
