"""How fast the engine model is: calls per second over programs of 20 turns.

python -m tests.benchmarks.engine_model [--programs N] [--turns N]

Each row is one replica with so many programs at once: a program sends its next turn half a second
to ten seconds after the last one ended. CPU time is all of it, the loop that drives the engine
included. The table goes to stderr, one JSON object to stdout.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
from dataclasses import asdict, dataclass

from agentrt.ir.prefix import Run
from agentrt.simulator.clockwork import EventHeap
from agentrt.simulator.engine import Engine
from agentrt.simulator.engine_model import EngineSettings
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.engine_request import EngineRequest, Finished, Preempted

MODEL = PRESETS["llama-3-8b-h100"]
SYSTEM = Run(0, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One line of the table."""

    live_programs: int
    calls: int
    cpu_us_per_call: float
    calls_per_s: float
    simulated_s: float
    hit_ratio: float
    preemptions: int


class _Load:
    """Programs that each send a call, wait, and send the next one, which begins with the last."""

    def __init__(self, programs: int, turns: int) -> None:
        self._rng = random.Random(1)
        self._turns = turns
        self._left = programs
        self._programs = 0
        self._turn: dict[str, tuple[int, int, int]] = {}
        self.heap = EventHeap[EngineRequest]()

    def start_program(self, now: float) -> None:
        if self._left:
            self._left -= 1
            self._programs += 1
            self._send(now, self._programs, 1, 20)

    def finished(self, call_id: str, now: float) -> None:
        program, turn, blocks = self._turn.pop(call_id)
        if turn == self._turns:
            self.start_program(now)
        else:
            self._send(now, program, turn + 1, blocks)

    def _send(self, now: float, program: int, turn: int, blocks: int) -> None:
        blocks += self._rng.randrange(10, 60)
        answer = self._rng.randrange(60, 500)
        prompt = (SYSTEM, Run(1_000_000 * program, blocks))
        total = blocks + answer // 16
        call_id = f"{program}.{turn}"
        self._turn[call_id] = (program, turn, total)
        request = EngineRequest(
            call_id=call_id,
            prompt=prompt,
            prompt_tokens=(SYSTEM.count + blocks) * 16 + 5,
            completion_tokens=answer,
            context=(SYSTEM, Run(1_000_000 * program, total)),
        )
        self.heap.push(now + self._rng.uniform(0.5, 10.0), 0, request)


def measure(live_programs: int, *, programs: int, turns: int) -> Measured:
    """Run `programs` programs, `live_programs` at once."""
    engine, load = Engine(MODEL, EngineSettings(block_tokens=16)), _Load(programs, turns)
    for _ in range(live_programs):
        load.start_program(0.0)
    calls = prompt_tokens = cached_tokens = preemptions = 0
    now, started = 0.0, time.process_time()
    while True:
        asked_at, engine_at = load.heap.next_at(), engine.next_event_at()
        if engine_at is not None and (asked_at is None or engine_at <= asked_at):
            now = engine_at
            for event in engine.advance(now):
                if isinstance(event, Finished):
                    calls += 1
                    prompt_tokens += event.usage.prompt_tokens
                    cached_tokens += event.usage.cached_tokens
                    load.finished(event.call_id, now)
                elif isinstance(event, Preempted):
                    preemptions += 1
        elif asked_at is not None:
            now, request = load.heap.pop()
            engine.submit(request, now)
        else:
            break
    cpu_s = time.process_time() - started
    return Measured(
        live_programs=live_programs,
        calls=calls,
        cpu_us_per_call=round(cpu_s / calls * 1e6, 1),
        calls_per_s=round(calls / cpu_s, 1),
        simulated_s=round(now, 1),
        hit_ratio=round(cached_tokens / prompt_tokens, 4),
        preemptions=preemptions,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=20)
    options = parser.parse_args()
    rows = [
        measure(live, programs=options.programs, turns=options.turns) for live in (1, 16, 64, 256)
    ]
    fields = list(asdict(rows[0]))
    sys.stderr.write(" | ".join(fields) + "\n")
    for row in rows:
        sys.stderr.write(" | ".join(f"{value:,}" for value in asdict(row).values()) + "\n")
    figures = {
        "engine": MODEL.name,
        "programs": options.programs,
        "turns": options.turns,
        "python": platform.python_version(),
        "rows": [asdict(row) for row in rows],
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
