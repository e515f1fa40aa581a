"""Policies on recorded workloads, in simulation, one replica.

    python -m tests.benchmarks.recorded_workloads [--sets weka,tau_bench] [--quick] [--json FILE]

The sets are looked for in the folder AGENTRT_DATA_DIR, else in ../shared/data beside the repository; one
that is not there is left out, and named. Prints tables in Markdown.

Each set's KV cache is made to hold eight of its programs at a time (at 1x): real ones differ by a factor
of a hundred in context. Sets of fewer than 48 programs are repeated: copies share with one another what
different programs of the set share, and no more. Recorded arrivals are not kept: the loop is closed.
Waits of more than a minute are cut to that.

What it does not show: arrivals as recorded, other caches, more than one replica, spread over seeds (what
was recorded is the same in all of them), and how the times that a source does not have would have been.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from agentrt.cli.simulate_jobs import cores, workers
from agentrt.ir.prefix import Chain, Run, chained, first_blocks
from agentrt.ir.workload import CallStep, ProgramTrace, Step, Workload
from agentrt.scheduler.policies import named
from agentrt.simulator import workloads
from agentrt.simulator.comparison import Contender, compare, grouped
from agentrt.simulator.comparison_bench import Bench, Setup
from agentrt.simulator.comparison_work import Outcome
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.loads import Oversubscription
from agentrt.simulator.workloads.pressure import common_blocks, live_blocks
from tests.benchmarks.scheduling_tables import table, tell

SETS = {
    "weka": "claude_code_weka/traces.jsonl.gz",
    "lmcache_miniswe": "lmcache_agent_trace/miniswe.jsonl.gz",
    "lmcache_magagent": "lmcache_agent_trace/magagent.jsonl.gz",
    "mooncake": "mooncake_fast25/conversation_trace.jsonl.gz",
    "openhands": "openhands_multiswe/trajectories.jsonl.gz",
    "swe_agent": "swe_agent_trajs/trajectories.jsonl.gz",
    "tau_bench": "tau_bench_airline_gpt4o/trajectories.jsonl.gz",
    "azure": "azure_llm_2023/AzureLLMInferenceTrace_code.csv.gz",
}
ENGINE = "llama-3-8b-a100"
LOADS = (1.0, 2.0, 4.0)
AT_ONCE = 8
FEWEST, MOST = 48, 200
LONGEST_WAIT_S = 60.0
FIGURES = ("mean_completion_s", "p99_s", "max_program_wait_s", "hit_ratio", "programs_per_min")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A set as it is simulated.

    Attributes:
        times: How often it is repeated.
    """

    workload: Workload
    times: int
    kv_blocks: int


def data_folder() -> Path:
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    return Path(os.environ.get("AGENTRT_DATA_DIR") or beside)


def recorded(path: Path, most: int) -> Recorded:
    """The first `most` programs of a set, ready to be simulated."""
    name, lines = workloads.format_of_lines(_lines(path))
    workload = workloads.read_as(name, lines)
    workload = workloads.without_arrivals(workloads.with_waits_cut(workload, most_s=LONGEST_WAIT_S))
    workload = replace(workload, programs=workload.programs[:most])
    times = -(-min(FEWEST, most) // max(1, len(workload.programs)))
    repeated = with_copies(workload, times)
    return Recorded(repeated, times, fitting_blocks(repeated))


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from file


def fitting_blocks(workload: Workload) -> int:
    """Blocks that `AT_ONCE` programs need together, and each call alone."""
    counts = [count for program in workload.programs for count in live_blocks(program)]
    shared, of_each = common_blocks(workload)
    own = sum(counts) / len(counts) - of_each
    largest = max(
        -(-(step.prompt_tokens + step.completion_tokens) // workload.block_tokens)
        for program in workload.programs
        for step in program.steps
        if isinstance(step, CallStep)
    )
    return max(round(shared + AT_ONCE * own), largest + 1)


def with_copies(workload: Workload, times: int) -> Workload:
    """The programs `times` times. Copies have blocks of their own where programs share none."""
    if times <= 1:
        return workload
    seen: Counter[int] = Counter()
    for program in workload.programs:
        seen.update(_block_ids(program))
    last = max(seen, default=0)
    programs: list[ProgramTrace] = []
    for copy in range(times):
        shift = copy * (last + 2)
        programs.extend(
            replace(
                program,
                program_id=f"{program.program_id}#{copy}",
                steps=tuple(_shifted(step, seen, shift) for step in program.steps),
            )
            for program in workload.programs
        )
    return replace(workload, programs=tuple(programs))


def _block_ids(program: ProgramTrace) -> set[int]:
    return {
        block
        for step in program.steps
        if isinstance(step, CallStep)
        for chain in (step.prompt, step.context)
        for run in chain
        for block in range(run.first, run.first + run.count)
    }


def _shifted(step: Step, seen: Counter[int], shift: int) -> Step:
    if not isinstance(step, CallStep):
        return step

    def moved(chain: Chain) -> Chain:
        common = _common(chain, seen)
        own = tuple(Run(run.first + shift, run.count) for run in _after(chain, common))
        return chained((*first_blocks(chain, common), *own))

    return replace(step, prompt=moved(step.prompt), context=moved(step.context))


def _common(chain: Chain, seen: Counter[int]) -> int:
    """How many blocks at its start several programs have."""
    count = 0
    for run in chain:
        for block in range(run.first, run.first + run.count):
            if seen[block] < 2:
                return count
            count += 1
    return count


def _after(chain: Chain, count: int) -> Iterator[Run]:
    for run in chain:
        skipped = min(count, run.count)
        count -= skipped
        if run.count > skipped:
            yield Run(run.first + skipped, run.count - skipped)


def _workload(path: Path, most: int, seed: int) -> Workload:
    return recorded(path, most).workload


def simulated(
    path: Path, most: int, policies: Sequence[str], loads: Sequence[float], jobs: int
) -> tuple[Recorded, tuple[Outcome, ...]]:
    """A set under each policy and load."""
    found = recorded(path, most)
    setup = Setup(model=PRESETS[ENGINE], kv_blocks=found.kv_blocks)
    contenders = [
        Contender(name, None if name == "best-cap" else partial(named, name)) for name in policies
    ]
    outcomes = compare(
        Bench(partial(_workload, path, most), setup),
        contenders,
        loads=[Oversubscription(times) for times in loads],
        seeds=[0],
        on_run=tell,
        workers=workers(jobs),
    )
    return found, outcomes


def _rows(name: str, outcomes: Sequence[Outcome]) -> Iterator[list[str]]:
    for load, by_label in grouped(outcomes):
        times = load.times if isinstance(load, Oversubscription) else 0.0
        for label, (outcome,) in by_label.items():
            cap = "" if outcome.cap is None else f" ({outcome.cap})"
            figures = [_number(figure, getattr(outcome.report, figure)) for figure in FIGURES]
            yield [name, f"{times:g}", str(outcome.programs_at_once), f"{label}{cap}", *figures]


def _number(figure: str, value: float) -> str:
    return f"{value:.1f}" if figure.endswith("_s") else f"{value:.3f}"


def _records(name: str, found: Recorded, outcomes: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
    for outcome in outcomes:
        load = outcome.load.times if isinstance(outcome.load, Oversubscription) else None
        yield {
            "set": name,
            "times": found.times,
            "kv_blocks": found.kv_blocks,
            "load": load,
            "policy": outcome.label,
            "cap": outcome.cap,
            **outcome.report.to_json(),
        }


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=_listed, default=list(SETS), help=", ".join(SETS))
    parser.add_argument("--policies", type=_listed, default=["fcfs", "best-cap", "occupancy"])
    parser.add_argument("--programs", type=int, help="of each set, the first ones")
    parser.add_argument("--quick", action="store_true", help="few programs, at 2x only")
    parser.add_argument("--jobs", type=int, default=cores())
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(sys.argv[1:] if words is None else words)
    most = asked.programs or (24 if asked.quick else MOST)
    began = time.monotonic()
    about: list[list[str]] = []
    rows: list[list[str]] = []
    records: list[dict[str, Any]] = []
    for name in asked.sets:
        path = data_folder() / SETS[name]
        if not path.is_file():
            about.append([name, f"not here: {SETS[name]}", "-", "-", "-", "-"])
            continue
        loads = (2.0,) if asked.quick else LOADS
        found, outcomes = simulated(path, most, asked.policies, loads, asked.jobs)
        calls = outcomes[0].report.calls
        blocks = f"{found.kv_blocks} of {found.workload.block_tokens}"
        programs = len(found.workload.programs)
        modelled = " ".join(found.workload.modelled)
        about.append([name, str(programs), str(found.times), str(calls), blocks, modelled])
        rows.extend(_rows(name, outcomes))
        records.extend(_records(name, found, outcomes))
    table(["set", "programs", "times", "calls", "KV blocks of tokens", "modelled"], about)
    if rows:
        table(["set", "X", "at once", "policy", *FIGURES], rows)
    if asked.json is not None:
        asked.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    tell(f"took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
