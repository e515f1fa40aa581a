"""Recorded sets as they are simulated: repeated without sharing more, and left out where absent."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from agentrt.ir.prefix import shared_blocks
from agentrt.ir.workload import CallStep, ProgramTrace, Workload
from agentrt.simulator import workloads
from tests.benchmarks import recorded_workloads
from tests.benchmarks.recorded_workloads import SETS, fitting_blocks, with_copies

MADE = workloads.generate(workloads.preset("browser", programs=6), seed=0)
SYSTEM_BLOCKS = 2500 // 16


def calls(program: ProgramTrace) -> list[CallStep]:
    return [step for step in program.steps if isinstance(step, CallStep)]


def most_shared(one: ProgramTrace, other: ProgramTrace) -> int:
    return max(shared_blocks(a.context, b.context) for a in calls(one) for b in calls(other))


def test_copies_share_what_different_programs_share_and_no_more() -> None:
    copied = with_copies(MADE, 3)
    assert copied.programs[:6] == tuple(
        ProgramTrace(program_id=f"{p.program_id}#0", workflow=p.workflow, steps=p.steps)
        for p in MADE.programs
    )
    assert len({program.program_id for program in copied.programs}) == 18
    assert most_shared(MADE.programs[0], MADE.programs[1]) == SYSTEM_BLOCKS
    for at in range(6):
        for one, other in ((at, at + 6), (at, at + 12), (at + 6, at + 12)):
            assert most_shared(copied.programs[one], copied.programs[other]) == SYSTEM_BLOCKS
    # Within a copy, turns go on from one another as in the original.
    for original, copy in zip(MADE.programs, copied.programs[12:], strict=True):
        assert most_shared(original, original) == most_shared(copy, copy)
        assert [call.prompt_tokens for call in calls(copy)] == [
            call.prompt_tokens for call in calls(original)
        ]
    assert with_copies(MADE, 1) == MADE
    assert list(workloads.write(copied)), "a workload that its own format takes"


def test_the_cache_holds_eight_programs_and_any_call() -> None:
    blocks = fitting_blocks(MADE)
    at_once = workloads.programs_at_once(MADE, capacity_blocks=blocks, oversubscription=1.0)
    assert at_once == recorded_workloads.AT_ONCE
    one_large = Workload(name="one", block_tokens=16, programs=(_single(100_000),) * 50)
    assert fitting_blocks(one_large) > 100_000 // 16


def _single(tokens: int) -> ProgramTrace:
    call = CallStep(after=(), prompt=(), prompt_tokens=tokens, completion_tokens=1, context=())
    return ProgramTrace(program_id="p", steps=(call,))


def test_a_set_that_is_there_is_simulated_and_one_that_is_not_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTRT_DATA_DIR", str(tmp_path))
    file = tmp_path / SETS["weka"]
    file.parent.mkdir()
    file.write_bytes(gzip.compress("".join(workloads.write(MADE)).encode()))
    found = tmp_path / "found.json"
    words = ("--sets", "weka,azure", "--programs", "12", "--quick", "--jobs", "1")
    recorded_workloads.main([*words, "--policies", "fcfs,cap-4", "--json", str(found)])
    told = capsys.readouterr().out
    assert f"| azure | not here: {SETS['azure']} |" in told
    records = json.loads(found.read_text(encoding="utf-8"))
    assert [(r["set"], r["policy"], r["load"], r["programs"], r["times"]) for r in records] == [
        ("weka", "fcfs", 2.0, 12, 2),
        ("weka", "cap-4", 2.0, 12, 2),
    ]
    assert all(record["unfinished"] == 0 for record in records)


@pytest.mark.parametrize("name", SETS)
def test_every_recorded_set_can_be_simulated(name: str, tmp_path: Path) -> None:
    path = recorded_workloads.data_folder() / SETS[name]
    if not path.is_file():
        pytest.skip(f"the recorded set is not here: set AGENTRT_DATA_DIR ({SETS[name]})")
    _, (outcome,) = recorded_workloads.simulated(path, 3, ["fcfs"], [2.0], 1)
    assert outcome.report.unfinished == 0
    assert outcome.report.programs >= 3
