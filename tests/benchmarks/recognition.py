"""How many turns are put into the right program with no header, and what that costs.

    python -m tests.benchmarks.recognition [--sets "miniswe;tau_bench"] [--variants ...] [--seeds N] [--json FILE]

Recorded programs (tests/benchmarks/recognition_sets.py) and made-up ones are replayed side by side, 64 at
a time, with exponential times between requests, as they are and with what clients do to conversations
(recognition_variants.py). The sets are looked for in the folder AGENTRT_DATA_DIR, else in ../shared/data
beside the repository; one that is not there is left out, and named.

A turn is right where its true program and the one it was put into are each other's most frequent: of two
programs that are merged the smaller one is wrong, of one that is split all but the largest part.

The second table is what a request of 102 messages (800 characters each) costs beside 10,000 programs of
50 turns: one that goes on from its conversation, with all its text digested anew; the same with another
first message, digested before; and the first of a new program, of 2 messages.

What it does not show: clients that do several of these things at once; real times between requests;
requests of one program side by side; how often real clients do what the variants do.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from agentrt.gateway.recognition import Recogniser
from agentrt.ir.request import Completion, Message
from tests.benchmarks import recognition_sets, recognition_synthetic
from tests.benchmarks.recognition_replay import Program, Score, Turn, asked, replay, score
from tests.benchmarks.recognition_variants import VARIANTS
from tests.benchmarks.scheduling_tables import table, tell

AT_ONCE = 64
MADE_UP = "made-up agents"
SETS = (*recognition_sets.SETS, MADE_UP)
_UNCHANGED = tuple(VARIANTS)[:4]
# Where prompts are no growing list of messages with the agent's answers, most changes would make
# something of them that no client sends.
FEW_VARIANTS = {
    "miniswe, answers left out": _UNCHANGED,
    "miniswe, as text": _UNCHANGED,
    "magagent": (*_UNCHANGED, "time in the system prompt", "sub-agents", "forks"),
    "weka, blocks": ("as recorded",),
}


def programs_of(name: str) -> list[Program]:
    if name == MADE_UP:
        return recognition_synthetic.agents(120, 12, seed=0)
    return recognition_sets.recorded(name)


def scored(name: str, variant: str, seeds: int) -> Score:
    """All turns of all seeds together."""
    found: list[Score] = []
    for seed in range(seeds):
        programs = VARIANTS[variant](programs_of(name), random.Random(seed))
        found.append(score(replay(programs, at_once=AT_ONCE, seed=seed)))
    return Score(
        turns=sum(one.turns for one in found),
        right=sum(one.right for one in found),
        programs=sum(one.programs for one in found),
        programs_found=sum(one.programs_found for one in found),
        us_per_turn=statistics.mean(one.us_per_turn for one in found),
    )


def cost(programs: int, turns: int, requests: int, seed: int = 0) -> dict[str, Any]:
    """Microseconds and bytes, with `programs` of `turns` turns remembered."""
    recogniser = Recogniser(most_bytes=1 << 40)
    rng = random.Random(seed)
    system = Message("system", "You are an agent. " * 200)
    live: list[list[Message]] = []
    process = psutil.Process()
    base = process.memory_info().rss
    for number in range(programs):
        messages = [system, _text(rng, number, "task")]
        for turn in range(turns):
            recognised = recogniser.recognise(
                asked(Turn(tuple(messages), None)), tenant="t", now=0.0
            )
            says = _text(rng, number, f"answer {turn}", "assistant")
            recogniser.answered(recognised, Completion(text=says.content))
            messages += (says, _text(rng, number, f"output {turn}"))
        if number % max(1, programs // requests) == 0:
            live.append(messages)
        messages = []
    kept = sum(sys.getsizeof(one.content) + 200 for messages in live for one in messages)
    held_bytes = process.memory_info().rss - base - kept
    timed: dict[str, list[float]] = {"goes on": [], "edited": [], "new": []}
    for number, messages in enumerate(live):
        edited = [system, _text(rng, number, "other"), *messages[2:]]
        new = [system, _text(rng, number, "new")]
        for kind, sent in (("goes on", messages), ("edited", edited), ("new", new)):
            request = asked(Turn(tuple(sent), None))
            began = time.thread_time()
            recogniser.recognise(request, tenant="t", now=0.0)
            timed[kind].append(1e6 * (time.thread_time() - began))
    return {
        "programs": programs,
        "turns": turns,
        "messages": len(live[0]),
        "digests": recogniser.digests,
        "held_mb": held_bytes / 1e6,
        "us": {kind: statistics.median(times) for kind, times in timed.items()},
        "us_p99": {kind: sorted(times)[-1 - len(times) // 100] for kind, times in timed.items()},
    }


def _text(rng: random.Random, number: int, what: str, role: Any = "user") -> Message:
    return Message(role, "\n".join(f"{what} of {number}: {rng.random()} " * 4 for _ in range(6)))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Right programs, and what they cost.")
    parser.add_argument("--sets", default=";".join(SETS))
    parser.add_argument("--variants", default=";".join(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--programs", type=int, default=10_000, help="remembered, for the cost")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    sets, variants = options.sets.split(";"), options.variants.split(";")
    records: list[dict[str, Any]] = []
    rows: list[list[str]] = []
    for name in sets:
        if name != MADE_UP and not recognition_sets.path_of(name).is_file():
            rows.append([name, f"not here: {recognition_sets.path_of(name).name}", "", "", "", ""])
            continue
        for variant in variants:
            if variant not in FEW_VARIANTS.get(name, variants):
                continue
            found = scored(name, variant, options.seeds)
            records.append({"set": name, "variant": variant, **asdict(found)})
            rows.append(
                [
                    name,
                    variant,
                    f"{found.turns:,}",
                    f"{100 * found.right_share:.2f} %",
                    f"{found.programs_found:,} / {found.programs:,}",
                    f"{found.us_per_turn:.0f}",
                ]
            )
    head = ["set", "variant", "turns", "right", "programs found / real", "CPU µs a turn"]
    table(head, rows)
    if options.programs:
        figures = cost(options.programs, 50, min(500, options.programs))
        cells = [
            [kind, f"{us:.0f}", f"{figures['us_p99'][kind]:.0f}"]
            for kind, us in figures["us"].items()
        ]
        tell(
            f"{figures['programs']:,} programs, {figures['digests']:,} digests, {figures['held_mb']:.0f} MB"
        )
        table([f"a request of {figures['messages']} messages", "CPU µs p50", "p99"], cells)
        records.append({"cost": figures})
    if options.json is not None:
        options.json.write_text(json.dumps(records, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
