"""What an event costs the scheduler, by the number of live programs.

    python -m tests.benchmarks.scheduler_cost [--json FILE] [--replicas N]

Every program makes a few calls with tools between them, all programs at once, and a driver tells all
that there is to tell of calls and tools; CPU time of `handle` alone. Prints a table and, last, one JSON object. It does not show what a driver costs, nor how good
the decisions are.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import random
import sys
import time
from pathlib import Path

from agentrt.ir.prefix import Chain, Run, block_count, chained
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import Prewarm, SchedulerAction, SendCall, SetTimer
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallFinished,
    CallReady,
    CallStarted,
    FirstToken,
    ProgramArrived,
    ProgramFinished,
    ReplicaUp,
    SchedulerEvent,
    TimerFired,
    ToolFinished,
    ToolStarted,
)
from agentrt.scheduler.policies.occupancy import ByOccupancy

TURNS = 4
TOOLS = ("bash", "read", "edit", "search")
BLOCK_TOKENS = 16
SIZES = (100, 1_000, 10_000, 100_000)
TARGET_US = 30.0


class Load:
    """Programs on `replicas` replicas, four times as many as their caches have room for."""

    def __init__(self, programs: int, replicas: int) -> None:
        self._random = random.Random(0)
        self._pushed = 0
        self.prewarms = 0
        self._queue: list[tuple[float, int, SchedulerEvent]] = []
        self._left = dict.fromkeys((f"p{i}" for i in range(programs)), TURNS)
        self._chains: dict[str, Chain] = {
            name: chained([Run(0, 30), Run((i + 1) << 32, 50)]) for i, name in enumerate(self._left)
        }
        kv_blocks = max(400, programs * 120 // (4 * replicas))
        for index in range(replicas):
            self._push(0.0, ReplicaUp(replica_id=f"r{index}", kv_blocks=kv_blocks, max_running=64))
        for name in self._left:
            self._push(self._random.uniform(0.0, 1.0), ProgramArrived(program_id=name))

    def run(self) -> tuple[int, float]:
        """How many events there were, and the CPU seconds they took."""
        scheduler, events, cpu_s = Scheduler(ByOccupancy()), 0, 0.0
        while self._queue:
            now, _, event = heapq.heappop(self._queue)
            started = time.process_time_ns()
            actions = scheduler.handle(event, now)
            cpu_s += (time.process_time_ns() - started) / 1e9
            events += 1
            self._follow(event, actions, now)
        if any(self._left.values()):
            raise AssertionError("some programs never ended")
        return events, cpu_s

    def _push(self, at: float, event: SchedulerEvent) -> None:
        self._pushed += 1
        heapq.heappush(self._queue, (at, self._pushed, event))

    def _follow(self, event: SchedulerEvent, actions: list[SchedulerAction], now: float) -> None:
        match event:
            case ProgramArrived():
                self._ready(event.program_id, now)
            case CallFinished(call_id, _, context):
                name = call_id.partition(".")[0]
                self._left[name] -= 1
                grown = Run(context[-1].first + context[-1].count, self._random.randint(1, 30))
                self._chains[name] = chained([*context, grown])
                if self._left[name]:
                    tool_id = f"{name}.t{self._left[name]}"
                    tool = self._random.choice(TOOLS)
                    self._push(now, ToolStarted(name, tool_id, tool, "", call_id))
                    back_at = now + self._random.expovariate(0.2)
                    self._push(back_at, ToolFinished(name, tool_id))
                    self._ready(name, back_at)
                else:
                    self._push(now, ProgramFinished(name))
            case _:
                pass
        for action in actions:
            match action:
                case SendCall(call_id, _):
                    self._answer(call_id, now)
                case SetTimer(timer_id, at):
                    self._push(at, TimerFired(timer_id))
                case Prewarm():
                    self.prewarms += 1
                case _:
                    raise AssertionError(action)

    def _ready(self, name: str, at: float) -> None:
        call_id = f"{name}.{self._left[name]}"
        chain = self._chains[name]
        tokens = BLOCK_TOKENS * block_count(chain)
        ready = CallReady(call_id=call_id, program_id=name, chain=chain, prompt_tokens=tokens)
        self._push(at, ready)

    def _answer(self, call_id: str, now: float) -> None:
        chain = self._chains[call_id.partition(".")[0]]
        last = chain[-1]
        context = chained([*chain, Run(last.first + last.count, 5)])
        tokens = BLOCK_TOKENS * block_count(chain)
        usage = Usage(tokens, tokens, BLOCK_TOKENS * 5)
        takes_s = self._random.uniform(0.5, 3.0)
        self._push(now + takes_s / 8, CallStarted(call_id))
        self._push(now + takes_s / 4, FirstToken(call_id))
        self._push(now + takes_s, CallFinished(call_id, usage, context))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--replicas", type=int, default=64)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    rows: list[dict[str, float]] = []
    sys.stdout.write(f"{'programs':>9} {'events':>9} {'us per event':>13}\n")
    for size in options.sizes:
        load = Load(size, options.replicas)
        gc.collect()
        events, cpu_s = load.run()
        rows.append({"programs": size, "events": events, "us_per_event": cpu_s / events * 1e6})
        sys.stdout.write(f"{size:>9,} {events:>9,} {cpu_s / events * 1e6:>13.1f}\n")
    report = {"replicas": options.replicas, "target_us": TARGET_US, "rows": rows}
    text = json.dumps(report)
    if options.json is not None:
        options.json.write_text(text)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
