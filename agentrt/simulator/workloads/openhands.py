"""openhands_multiswe: runs of OpenHands, with token counts of each call and times of each event."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentrt.errors import InputError
from agentrt.estimates.command_class import command_class
from agentrt.ir.prefix import Chain, first_blocks
from agentrt.ir.workload import CallStep, ProgramTrace, Step, StepId, ToolStep, Workload
from agentrt.simulator.workloads.blocks import BlockIds
from agentrt.simulator.workloads.record import Record, records
from agentrt.simulator.workloads.text_blocks import TextBlocks

MODELLED = (
    "Each prompt is taken to extend the one before by its answer and what the tool returned, as far"
    " as the token counts allow.",
    "The system prompt's share of a prompt is counted from its text, by cutting it where"
    " byte-pair encodings do.",
)


@dataclass(frozen=True, slots=True)
class _Action:
    """What an agent did after a call, with what it led to."""

    tool: str
    argument_class: str
    at_s: float
    duration_s: float


def read(lines: Iterable[str], *, block_tokens: int = 16) -> Workload:
    """The runs on `lines`, one program each, in closed loop.

    Raises:
        InputError: a line is not of this format; the message names the line and the field.
    """
    runs = list(records(lines))
    reader = _Reader(runs, block_tokens)
    programs = tuple(reader.program(record) for record in runs)
    if not programs:
        raise InputError("line 1: expected a run, got nothing")
    return Workload(
        name="openhands_multiswe", block_tokens=block_tokens, programs=programs, modelled=MODELLED
    )


class _Reader:
    """Blocks of system prompts come from their text, all others are new in each program."""

    def __init__(self, runs: Sequence[Record], block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._texts = TextBlocks(block_tokens)
        for run in runs:
            self._system(run.records("events"))
        self._ids = BlockIds(self._texts.next_id)

    def program(self, record: Record) -> ProgramTrace:
        events = record.records("events")
        actions = _actions(events)
        waits = _gaps(actions, record)
        system = self._system(events)
        held, before = system, 0
        steps: list[Step] = []
        for at, usage in enumerate(record.records("token_usages")):
            tokens = usage.tokens("prompt_tokens", least=1)
            answer = usage.tokens("completion_tokens")
            count = tokens // self._block_tokens
            # A shorter prompt than before: the history was condensed, the system prompt stands.
            is_extended = tokens >= before
            prompt = self._ids.grown(first_blocks(held if is_extended else system, count), count)
            held, before = self._ids.grown(prompt, (tokens + answer) // self._block_tokens), tokens
            steps.append(
                CallStep(
                    after=(len(steps) - 1,) if steps else (),
                    prompt=prompt,
                    prompt_tokens=tokens,
                    completion_tokens=answer,
                    context=held,
                    gap_s=waits[at] if at < len(waits) else 0.0,
                )
            )
            if at < len(actions):
                steps.append(_tool(actions[at], len(steps) - 1))
        return ProgramTrace(
            program_id=record.text("instance_id"), workflow="openhands", steps=tuple(steps)
        )

    def _system(self, events: Sequence[Record]) -> Chain:
        for event in events:
            if event.has("action") and event.text("action") == "system":
                return self._texts.measured(json.dumps(event.record("args").data, sort_keys=True))[
                    0
                ]
        return ()


def _tool(action: _Action, after: StepId) -> ToolStep:
    return ToolStep(
        after=(after,),
        tool=action.tool,
        duration_s=action.duration_s,
        argument_class=action.argument_class,
    )


def _actions(events: Sequence[Record]) -> list[_Action]:
    """What the agent did, one action a call, in order."""
    took = {
        event.count("cause"): event.seconds("tool_s", 0.0)
        for event in events
        if event.has("observation") and event.has("cause")
    }
    return [
        _Action(
            tool=event.text("action"),
            argument_class=_argument_class(event),
            at_s=event.seconds("t"),
            duration_s=took.get(event.count("id"), 0.0),
        )
        for event in events
        if event.has("action")
        and event.text("action") != "system"
        and event.text("source", "") == "agent"
    ]


def _argument_class(event: Record) -> str:
    if event.text("action") != "run" or not event.has("args"):
        return ""
    return command_class(event.record("args").text("command", ""))


def _gaps(actions: Sequence[_Action], record: Record) -> list[float]:
    """The client's own time before each call; 0 where latencies do not match the actions."""
    latencies = record.all_seconds("response_latencies")
    if len(latencies) != len(actions):
        return []
    gaps = [0.0]
    for before, action, latency in zip(actions, actions[1:], latencies[1:], strict=False):
        gaps.append(max(0.0, action.at_s - before.at_s - before.duration_s - latency))
    return gaps
