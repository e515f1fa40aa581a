"""agentrt's own workload format: JSON lines, a header and then one program a line.

`docs/workloads.md` states it. Reading what was written gives an equal workload.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, assert_never

from agentrt.errors import InputError
from agentrt.ir.prefix import Chain, Run, block_count, chained, shared_blocks
from agentrt.ir.workload import CallStep, ProgramTrace, Step, StepId, ToolStep, Workload
from agentrt.simulator.workloads.record import Record, records

VERSION = 1
MARK = "agentrt_workload"
"""The header's field that says what the file is, and in which version."""


def write(workload: Workload) -> Iterator[str]:
    """The lines of a workload, each with its newline."""
    yield _line(
        {
            MARK: VERSION,
            "name": workload.name,
            "block_tokens": workload.block_tokens,
            "programs": len(workload.programs),
            "modelled": list(workload.modelled),
        }
    )
    for program in workload.programs:
        yield _line(_program_data(program))


def read(lines: Iterable[str]) -> Workload:
    """The workload on `lines`.

    Raises:
        InputError: the lines are no workload; the message names the line and the field.
    """
    found = records(lines)
    header = next(found, None)
    if header is None:
        raise InputError(f"line 1: expected a header with {MARK!r}, got nothing")
    if header.data.get(MARK) != VERSION:
        header.refuse(MARK, f"version {VERSION}", header.data.get(MARK))
    block_tokens = header.tokens("block_tokens", least=1)
    programs: dict[str, ProgramTrace] = {}
    for record in found:
        program = _program(record, block_tokens)
        if program.program_id in programs:
            record.refuse("id", "an id not used before", program.program_id)
        programs[program.program_id] = program
    if header.count("programs") != len(programs):
        header.refuse("programs", f"{len(programs)}, as many as follow", header.data["programs"])
    modelled = _texts(header, "modelled")
    return Workload(
        name=header.text("name"),
        block_tokens=block_tokens,
        programs=tuple(programs.values()),
        modelled=modelled,
    )


def _line(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n"


def _texts(record: Record, field: str) -> tuple[str, ...]:
    for at, item in enumerate(record.items(field)):
        if not isinstance(item, str):
            record.refuse(f"{field}[{at}]", "a text", item)
    return tuple(record.items(field))


def _program_data(program: ProgramTrace) -> dict[str, Any]:
    data: dict[str, Any] = {"id": program.program_id}
    if program.workflow:
        data["workflow"] = program.workflow
    if program.tenant:
        data["tenant"] = program.tenant
    if program.arrival_s is not None:
        data["arrival_s"] = program.arrival_s
    if program.deadline_s is not None:
        data["deadline_s"] = program.deadline_s
    return data | {"steps": [_step_data(step) for step in program.steps]}


def _step_data(step: Step) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": step.kind, "after": list(step.after)}
    match step:
        case CallStep():
            data["prompt"] = _chain_data(step.prompt)
            data["prompt_tokens"] = step.prompt_tokens
            data["completion_tokens"] = step.completion_tokens
            data["context"] = _chain_data(step.context)
            if step.gap_s:
                data["gap_s"] = step.gap_s
        case ToolStep():
            data["tool"] = step.tool
            data["duration_s"] = step.duration_s
            if step.argument_class:
                data["argument_class"] = step.argument_class
        case _:
            assert_never(step)
    return data


def _chain_data(chain: Chain) -> list[list[int]]:
    return [[run.first, run.count] for run in chain]


def _program(record: Record, block_tokens: int) -> ProgramTrace:
    return ProgramTrace(
        program_id=record.text("id"),
        workflow=record.text("workflow", ""),
        tenant=record.text("tenant", ""),
        arrival_s=record.seconds("arrival_s") if record.has("arrival_s") else None,
        deadline_s=record.seconds("deadline_s") if record.has("deadline_s") else None,
        steps=tuple(
            _step(step, at, block_tokens) for at, step in enumerate(record.records("steps"))
        ),
    )


def _step(record: Record, at: StepId, block_tokens: int) -> Step:
    match record.text("kind"):
        case "call":
            return _call(record, at, block_tokens)
        case "tool":
            return ToolStep(
                after=_after(record, at),
                tool=record.text("tool"),
                duration_s=record.seconds("duration_s"),
                argument_class=record.text("argument_class", ""),
            )
        case other:
            return record.refuse("kind", "'call' or 'tool'", other)


def _call(record: Record, at: StepId, block_tokens: int) -> CallStep:
    step = CallStep(
        after=_after(record, at),
        prompt=_chain(record, "prompt"),
        prompt_tokens=record.tokens("prompt_tokens"),
        completion_tokens=record.tokens("completion_tokens"),
        context=_chain(record, "context"),
        gap_s=record.seconds("gap_s", 0.0),
    )
    blocks = block_count(step.prompt)
    if blocks * block_tokens > step.prompt_tokens:
        record.refuse("prompt", f"at most {step.prompt_tokens // block_tokens} blocks", blocks)
    if shared_blocks(step.prompt, step.context) != blocks:
        record.refuse("context", "blocks that begin with the prompt's", "others")
    tokens = step.prompt_tokens + step.completion_tokens
    if block_count(step.context) * block_tokens > tokens:
        record.refuse(
            "context", f"at most {tokens // block_tokens} blocks", block_count(step.context)
        )
    return step


def _after(record: Record, at: StepId) -> tuple[StepId, ...]:
    after = tuple(record.counts("after"))
    for step in after:
        if step >= at:
            record.refuse("after", f"steps before this one, which is {at}", step)
    return after


def _chain(record: Record, field: str) -> Chain:
    """A chain must be in its one form, or equal prompts would not compare equal."""
    chain = tuple(Run(first, count) for first, count in record.pairs(field))
    if chain != chained(chain):
        record.refuse(
            field, "runs of at least one block that do not continue one another", "others"
        )
    return chain
