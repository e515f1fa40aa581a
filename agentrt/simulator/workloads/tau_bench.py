"""tau_bench: chats of an airline's agent with tools, as OpenAI messages without times."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable

from agentrt.errors import InputError
from agentrt.ir.workload import ProgramTrace, Workload
from agentrt.simulator.workloads.quantiles import log_normal
from agentrt.simulator.workloads.record import Record, records
from agentrt.simulator.workloads.text_blocks import MODELLED, TextBlocks
from agentrt.simulator.workloads.transcript import Transcript

_TOOL_S = log_normal(0.12, 0.45, 3.5)
_PERSON_S = log_normal(20.0, 60.0, 600.0)


def read(lines: Iterable[str], *, block_tokens: int = 16, seed: int = 0) -> Workload:
    """The chats on `lines`, one program each, in closed loop.

    Raises:
        InputError: a line is not of this format; the message names the line and the field.
    """
    blocks = TextBlocks(block_tokens)
    rng = random.Random(seed)
    programs = tuple(
        _program(record, f"chat-{at}", Transcript(blocks), rng)
        for at, record in enumerate(records(lines))
    )
    if not programs:
        raise InputError("line 1: expected a chat, got nothing")
    return Workload(
        name="tau_bench",
        block_tokens=block_tokens,
        programs=programs,
        modelled=(
            MODELLED,
            "The tools' descriptions are not in the source, and not counted in prompts.",
            "Tools take a log-normal time, p50 0.12 s, p90 0.45 s, at most 3.5 s, as databases do"
            f" (seed {seed}).",
            "The customer answers after a log-normal time, p50 20 s, p90 60 s, at most 600 s"
            f" (seed {seed}).",
        ),
    )


def _program(
    record: Record, program_id: str, transcript: Transcript, rng: random.Random
) -> ProgramTrace:
    for message in record.records("traj"):
        role = message.text("role")
        match role:
            case "assistant":
                transcript.call(_answer(message))
            case "tool":
                transcript.tool(message.text("name", "tool"), _TOOL_S.draw(rng))
                transcript.add(role, _content(message))
            case "user" | "system":
                if role == "user":
                    transcript.pause(_PERSON_S.draw(rng))
                transcript.add(role, _content(message))
            case other:
                message.refuse("role", "system, user, assistant or tool", other)
    return ProgramTrace(program_id=program_id, workflow="airline", steps=tuple(transcript.steps))


def _content(message: Record) -> str:
    return message.text("content") if message.has("content") else ""


def _answer(message: Record) -> str:
    """What the model wrote: text, and its tool calls as JSON."""
    content = _content(message)
    if not message.has("tool_calls"):
        return content
    return content + json.dumps([call.data for call in message.records("tool_calls")])
