"""LLM-written plans against ReAct, provider-style parallel calls, and LLMCompiler as published.

    python -m tests.benchmarks.function_calling [--settings paper,hosted,local] [--quick] [--json FILE]

Real: HTTP, streams, `agentrt.planner` (reading, checking, dispatching), the published algorithm written
anew, tools that take their time. Replayed: what the model writes, by a server of its own process that
takes the time that a model of stated speeds would. Every contender has the same questions, tools, tool
latencies and speeds; they take turns on each question, in rotated order.

`--scale` divides every latency, of model, tools and the published algorithm's poll; figures are
multiplied by it again. What the machine itself takes is multiplied too, so a large scale makes all of
them slower than they are; the last line says by how much.

`--jump` skips the waits, with server and contenders in one process, and counts no time for what the
machine does: what the stated latencies alone come to. For machines too busy to measure on.

What it does not show: whether answers are right (nobody thinks here: a model's answer is the data's), how
well a model keeps to each format, and tools or models under load.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import aiohttp

from tests.benchmarks.function_calling_contenders import Contender, contenders
from tests.benchmarks.function_calling_jump import JumpingLoop
from tests.benchmarks.function_calling_questions import (
    SHAPES,
    Question,
    Shape,
    data_folder,
    sample,
)
from tests.benchmarks.function_calling_report import Row, rows, table, verdicts
from tests.benchmarks.function_calling_server import Speed, listening
from tests.benchmarks.function_calling_tools import WORLD
from tests.benchmarks.function_calling_world import Bench, Record, Setting, World

_ROOT = Path(__file__).parents[2]

# What the paper's own seconds and tokens imply, by least squares (docs/function-calling.md).
_GPT_35 = Speed(overhead_s=1.4, prefill_tokens_per_s=10_000, decode_tokens_per_s=170)
_GPT_4 = Speed(overhead_s=1.0, prefill_tokens_per_s=10_000, decode_tokens_per_s=38)
# A large model today, with the prefix cache that OpenAI documents.
_HOSTED = Speed(
    overhead_s=0.4,
    prefill_tokens_per_s=10_000,
    decode_tokens_per_s=80,
    cache_block=128,
    cache_least=1024,
)
# One stream on an A100: agentrt.simulator's llama-3-8b-a100; vLLM's prefix cache.
_LOCAL = Speed(overhead_s=0.03, prefill_tokens_per_s=11_600, decode_tokens_per_s=95, cache_block=16)
SETTINGS = {
    "paper": Setting("paper", {"movie": _GPT_35, "hotpotqa": _GPT_35, "parallelqa": _GPT_4}),
    "hosted": Setting("hosted", dict.fromkeys(SHAPES, _HOSTED)),
    "local": Setting("local", dict.fromkeys(SHAPES, _LOCAL)),
}


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    """The replaying server's port."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.benchmarks.function_calling_server",
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        yield json.loads(await child.stdout.readline())["port"]
    finally:
        child.terminate()
        await child.wait()


async def measure(bench: Bench, most: int, at_once: int) -> tuple[list[Record], list[Shape]]:
    """All contenders on questions of each shape, and the shapes that were made up."""
    everyone = contenders()
    found = {shape: sample(shape, data_folder(), most + 1, seed=bench.seed) for shape in SHAPES}
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(_measured(bench, questions, everyone, at_once))
            for questions, _ in found.values()
        ]
    records = [record for task in running for record in task.result()]
    return records, [shape for shape, (_, is_there) in found.items() if not is_there]


async def _measured(
    bench: Bench, questions: Sequence[Question], everyone: Sequence[Contender], at_once: int
) -> list[Record]:
    """One question more than is counted goes first: caches of prefixes and plans are not cold."""
    await _answered(bench, questions[0], everyone, 0)
    gate = asyncio.Semaphore(at_once)
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(_in_turn(gate, bench, question, everyone, turn))
            for turn, question in enumerate(questions[1:])
        ]
    return [record for task in running for record in task.result()]


async def _in_turn(
    gate: asyncio.Semaphore,
    bench: Bench,
    question: Question,
    everyone: Sequence[Contender],
    turn: int,
) -> list[Record]:
    async with gate:
        return await _answered(bench, question, everyone, turn)


async def _answered(
    bench: Bench, question: Question, everyone: Sequence[Contender], turn: int
) -> list[Record]:
    """One contender after the other, beginning with another one each turn."""
    first = turn % len(everyone)
    found: dict[str, Record] = {}
    for contender in (*everyone[first:], *everyone[:first]):
        world = World(bench, question, contender.name)
        await world.prepare(contender.writes(question))
        WORLD.set(world)
        found[contender.name] = world.finish(await contender.answer(world))
    return [found[contender.name] for contender in everyone]


async def run(options: argparse.Namespace) -> tuple[list[Row], list[Shape]]:
    found: list[Row] = []
    made_up: list[Shape] = []
    connector = aiohttp.TCPConnector(limit=0)
    start = listening if options.jump else server
    async with start() as port, aiohttp.ClientSession(connector=connector) as http:
        for name in options.settings:
            bench = Bench(http, port, SETTINGS[name], options.scale, options.seed)
            records, made_up = await measure(bench, options.questions, options.at_once)
            found += rows(name, records)
            sys.stderr.write(f"{name}: done\n")
    return found, made_up


def told(found: Sequence[Row], made_up: Sequence[Shape], options: argparse.Namespace) -> str:
    source = f"made up: {', '.join(made_up)}" if made_up else "of LLMCompiler's data sets"
    lines = [
        f"{options.questions} questions a shape ({source}), seed {options.seed}, "
        f"{options.at_once} of each at once, every latency "
        f"{'skipped' if options.jump else f'divided by {options.scale:g}'}; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    ]
    for name in options.settings:
        speeds = SETTINGS[name].speeds
        for shape in SHAPES:
            speed = speeds[shape]
            here = [row for row in found if (row.setting, row.shape) == (name, shape)]
            lines += [
                f"\n{name}, {shape}: {speed.overhead_s:g} s a call, prefill "
                f"{speed.prefill_tokens_per_s:,.0f}, decode {speed.decode_tokens_per_s:g} tokens/s, "
                f"{'prefixes cached' if speed.cache_block else 'no prefix cache'}\n",
                table(here),
            ]
    lines += ["", *verdicts(found)]
    late_s = sum(row.late_s for row in found) / len(found)
    lines.append(
        f"a call of a model took {late_s:.3f} s more than its speeds say "
        f"({late_s / options.scale * 1e3:.1f} ms before the scale)"
    )
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settings", type=_settings, default=list(SETTINGS))
    parser.add_argument("--questions", type=int, default=20, help="of each shape")
    parser.add_argument("--scale", type=float, default=4.0)
    parser.add_argument("--at-once", type=int, default=4, help="of each shape")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few questions, scale 20; no evidence")
    parser.add_argument(
        "--jump", action="store_true", help="skip waits; the machine's own time is 0"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(sys.argv[1:] if words is None else words)
    if options.quick:
        options.questions, options.scale = 4, 20.0
    with asyncio.Runner(loop_factory=JumpingLoop if options.jump else None) as runner:
        found, made_up = runner.run(run(options))
    sys.stdout.write(told(found, made_up, options) + "\n")
    if options.json is not None:
        options.json.write_text(
            json.dumps([asdict(row) for row in found], indent=1) + "\n", "utf-8"
        )


def _settings(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in SETTINGS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{unknown} of {', '.join(SETTINGS)}")
    return names


if __name__ == "__main__":
    main()
