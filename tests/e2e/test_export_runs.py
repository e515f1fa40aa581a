"""`agentrt runs export`: what ran, as a workload that can be simulated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agentrt.backends.recording import RecordingBackend
from agentrt.backends.scripted import ScriptedBackend
from agentrt.cli.target import load_workflow
from agentrt.ir.prefix import block_count, shared_blocks
from agentrt.ir.request import Completion, Request, ToolCall
from agentrt.ir.workload import CallStep, ToolStep, Workload
from agentrt.runtime import Runtime
from agentrt.simulator.workloads import read
from tests.e2e.conftest import Shell

Flow = Callable[[str], str]
TURNS = 5


def act(request: Request) -> Completion:
    turn = sum(message.role == "assistant" for message in request.messages)
    if turn == TURNS:
        return Completion(text="It works.")
    return Completion(tool_calls=(ToolCall(f"c{turn}", "bash", '{"command": "make test"}'),))


@pytest.fixture
def backend(agentrt: Shell, flow: Flow) -> str:
    """A model that works through the task as it was recorded."""
    recording = agentrt.folder / "recording.jsonl"
    main = load_workflow(flow("fix_flow")).workflow

    async def record() -> None:
        made = RecordingBackend(ScriptedBackend(act), recording)
        async with Runtime(made) as runtime:
            await runtime.run(main)
        await made.aclose()

    asyncio.run(record())
    return f"replay:{recording}"


@pytest.fixture
def runs(agentrt: Shell, flow: Flow, backend: str) -> list[str]:
    """Ids of two runs in the store, the older one first."""
    words = ("run", flow("fix_flow"), "--backend", backend, "--json", "--quiet")
    return [agentrt(*words).json["run_id"] for _ in range(2)]


def workload_in(path: Path) -> Workload:
    with path.open(encoding="utf-8") as lines:
        return read(lines)


def test_what_ran_can_be_simulated(agentrt: Shell, runs: list[str]) -> None:
    done = agentrt("runs", "export", runs[0][:10], "-o", "fix.jsonl")
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr.splitlines()[:2] == ["wrote fix.jsonl", "modelled:"]
    [program] = workload_in(agentrt.folder / "fix.jsonl").programs
    assert (program.program_id, program.workflow, program.arrival_s) == (runs[0], "main", 0.0)
    calls = [step for step in program.steps if isinstance(step, CallStep)]
    tools = [step for step in program.steps if isinstance(step, ToolStep)]
    assert [(tool.tool, tool.argument_class) for tool in tools] == [("bash", "make")] * TURNS
    assert all(tool.duration_s >= 0.05 for tool in tools)
    assert [step.after for step in program.steps] == [(), *((at,) for at in range(2 * TURNS))]
    for before, after in pairwise(calls):
        assert shared_blocks(before.context, after.prompt) == block_count(before.context)
        assert block_count(before.context) < block_count(after.prompt)

    figures = agentrt("simulate", "fix.jsonl", "--policy", "occupancy", "--json").json
    [result] = figures["results"]
    assert figures["settings"]["programs"] == 1
    assert result["prompt_tokens"] == sum(call.prompt_tokens for call in calls)
    # Each turn finds what the one before has left.
    assert result["hit_ratio"] == pytest.approx(result["belady_hit_ratio"], abs=0.02)
    assert result["hit_ratio"] > 0.5
    assert result["mean_completion_s"] > sum(tool.duration_s for tool in tools)


def test_all_runs_are_one_workload_oldest_first(agentrt: Shell, runs: list[str]) -> None:
    done = agentrt("runs", "export", "--all", "-o", "all.jsonl", "--json")
    workload = workload_in(agentrt.folder / "all.jsonl")
    assert done.json == {
        "file": "all.jsonl",
        "programs": 2,
        "calls": 2 * (TURNS + 1),
        "tools": 2 * TURNS,
        "block_tokens": workload.block_tokens,
        "modelled": list(workload.modelled),
    }
    assert [program.program_id for program in workload.programs] == runs
    first, second = (program.arrival_s or 0.0 for program in workload.programs)
    assert first == 0.0 < second
    assert any("different processes" in sentence for sentence in workload.modelled)
    simulated = agentrt("simulate", "all.jsonl", "--compare", "fcfs,occupancy", "--json")
    assert simulated.json["settings"]["programs"] == 2


def test_without_a_file_the_workload_is_the_answer(agentrt: Shell, runs: list[str]) -> None:
    done = agentrt("runs", "export", runs[1], runs[1][:8])
    assert done.code == 0
    [program] = read(done.stdout.splitlines()).programs
    assert program.program_id == runs[1]
    assert done.stderr.startswith("modelled:\n")


def test_the_list_of_runs_is_what_it_was(agentrt: Shell, runs: list[str]) -> None:
    listed = agentrt("runs", "--limit", "1", "--json").json["runs"]
    assert [run["run_id"] for run in listed] == [runs[1]]


def test_what_is_said_before_export_holds_for_it(agentrt: Shell, runs: list[str]) -> None:
    done = agentrt("runs", "--store", "other.db", "--json", "export", runs[0], "-o", "x.jsonl")
    assert (done.code, done.json["error"]["type"]) == (2, "UsageError")
    assert "other.db" in done.json["error"]["message"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "error: say which runs: their ids, or --all"),
        (("--all", "r"), 2, "error: say which runs: their ids, or --all"),
        (("--all",), 2, "error: there are no runs in the store"),
        (("--all", "--json"), 2, "error: with --json, stdout has one object"),
        (("3f9c2a",), 1, "error: "),
    ],
)
def test_what_cannot_be_exported_is_told(
    agentrt: Shell, words: tuple[str, ...], code: int, told: str
) -> None:
    done = agentrt("runs", "export", *words)
    assert done.code == code
    assert done.stderr.startswith(told)
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_written_is_told(agentrt: Shell, runs: list[str]) -> None:
    done = agentrt("runs", "export", "--all", "-o", "no/such/folder/w.jsonl")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no/such/folder/w.jsonl cannot be written: ")


def test_an_export_has_no_text_of_the_run(agentrt: Shell, runs: list[str]) -> None:
    done = agentrt("runs", "export", runs[0])
    for line in done.stdout.splitlines():
        assert "broken" not in json.dumps(json.loads(line))


def test_figures_of_an_unknown_run_are_one_object(agentrt: Shell) -> None:
    done: Any = agentrt("runs", "export", "3f9c2a", "-o", "x.jsonl", "--json")
    assert (done.code, done.json["error"]["type"]) == (1, "StoreError")
