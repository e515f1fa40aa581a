"""What comes of it when the scheduler is told of more cache than there is.

    python -m tests.benchmarks.cache_told [--seeds N] [--json FILE]

Programs of `made:swe` and `made:browser` on one replica of 6,000 KV blocks, as many at once as need twice
that. The scheduler is told that there are 1, 1.5, 2 and 3 times as many blocks; once it hears what of each
prompt was cached, and once it hears that all of it was, so that it learns nothing. Mean completion times:
medians over the seeds (least..most).

What it does not show: traffic of others that comes and goes, and a real server.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agentrt.ir.request import Usage
from agentrt.ir.workload import Workload
from agentrt.scheduler.actions import SchedulerAction
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import CallFinished, ReplicaUp, SchedulerEvent
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.fleet import FleetSettings
from agentrt.simulator.report import report
from agentrt.simulator.simulation import simulate_with
from agentrt.simulator.workloads.generator import generate
from agentrt.simulator.workloads.presets import preset
from agentrt.simulator.workloads.pressure import programs_at_once

KV_BLOCKS, PROGRAMS, OVERSUBSCRIPTION = 6000, 80, 2.0
TOLD = (1.0, 1.5, 2.0, 3.0)
KINDS = ("swe", "browser")


class Told:
    """A scheduler that is told `times` the cache, and maybe that everything was found in it."""

    def __init__(self, times: float, *, is_deaf: bool, block_tokens: int) -> None:
        self._scheduler = Scheduler(ByOccupancy(), block_tokens=block_tokens)
        self._times = times
        self._is_deaf = is_deaf

    def handle(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
        if isinstance(event, ReplicaUp) and event.kv_blocks is not None:
            event = replace(event, kv_blocks=int(event.kv_blocks * self._times))
        if isinstance(event, CallFinished) and self._is_deaf:
            prompt, answer = event.usage.prompt_tokens, event.usage.completion_tokens
            event = replace(event, usage=Usage(prompt, prompt, answer))
        return self._scheduler.handle(event, now)


def mean_completion_s(workload: Workload, times: float, *, is_deaf: bool) -> float:
    """Of all programs, in a closed loop."""
    at_once = programs_at_once(
        workload, capacity_blocks=KV_BLOCKS, oversubscription=OVERSUBSCRIPTION
    )
    fleet = FleetSettings(model=PRESETS["llama-3-8b-a100"], kv_blocks=KV_BLOCKS, replicas=1)
    told = Told(times, is_deaf=is_deaf, block_tokens=workload.block_tokens)
    return report(simulate_with(told, workload, fleet, programs_at_once=at_once)).mean_completion_s


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--programs", type=int, default=PROGRAMS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    rows: list[dict[str, object]] = []
    sys.stdout.write(
        "| workload | told | it learns, s | it does not, s |\n| --- | --- | --- | --- |\n"
    )
    for kind in KINDS:
        workloads = [
            generate(preset(kind, programs=options.programs), seed=seed)
            for seed in range(options.seeds)
        ]
        for times in TOLD:
            means = [
                [mean_completion_s(workload, times, is_deaf=is_deaf) for workload in workloads]
                for is_deaf in (False, True)
            ]
            cells = [
                f"{statistics.median(found):.1f} ({min(found):.1f}..{max(found):.1f})"
                for found in means
            ]
            rows.append({"kind": kind, "told": times, "learns_s": means[0], "deaf_s": means[1]})
            sys.stdout.write(f"| {kind} | {times:g} x | {cells[0]} | {cells[1]} |\n")
            sys.stdout.flush()
    text = json.dumps({"kv_blocks": KV_BLOCKS, "seeds": options.seeds, "rows": rows})
    if options.json is not None:
        options.json.write_text(text)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
