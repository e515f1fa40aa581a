"""swe_agent_trajs: runs of SWE-agent, with the text of each step and how long its command took."""

from __future__ import annotations

import random
from collections.abc import Iterable

from agentrt.errors import InputError
from agentrt.estimates.command_class import command_class
from agentrt.ir.schema import is_list, is_object
from agentrt.ir.workload import ProgramTrace, Workload
from agentrt.simulator.workloads.quantiles import log_normal
from agentrt.simulator.workloads.record import Record, records
from agentrt.simulator.workloads.text_blocks import MODELLED, TextBlocks
from agentrt.simulator.workloads.transcript import Transcript

_COMMAND_S = log_normal(0.155, 0.98, 3.2)
_OWN_COMMANDS = frozenset(
    {
        "create",
        "edit",
        "find_file",
        "goto",
        "insert",
        "open",
        "scroll_down",
        "scroll_up",
        "search_dir",
        "search_file",
        "str_replace_editor",
        "submit",
    }
)


def read(lines: Iterable[str], *, block_tokens: int = 16, seed: int = 0) -> Workload:
    """The runs on `lines`, one program each, in closed loop.

    Raises:
        InputError: a line is not of this format; the message names the line and the field.
    """
    blocks = TextBlocks(block_tokens)
    rng = random.Random(seed)
    programs = tuple(
        _program(record, f"{record.text('path')}#{at}", Transcript(blocks), rng)
        for at, record in enumerate(records(lines))
    )
    if not programs:
        raise InputError("line 1: expected a run, got nothing")
    return Workload(
        name="swe_agent_trajs",
        block_tokens=block_tokens,
        programs=programs,
        modelled=(
            MODELLED,
            "Prompts are the first messages and all steps before, in order.",
            "Commands whose time was not recorded take a log-normal time, p50 0.155 s, p90 0.98 s,"
            f" at most 3.2 s, as those that were (seed {seed}).",
        ),
    )


def _program(
    record: Record, program_id: str, transcript: Transcript, rng: random.Random
) -> ProgramTrace:
    for message in record.records("prompt_messages"):
        if message.text("role") == "assistant":
            break  # the first step's answer, which comes again below
        transcript.add(message.text("role"), _content(message))
    for step in record.records("steps"):
        transcript.call(step.text("response") or step.text("action"))
        tool, argument_class = _tool(step.text("action"))
        recorded = step.has("execution_time")
        duration_s = step.seconds("execution_time") if recorded else _COMMAND_S.draw(rng)
        transcript.tool(tool, duration_s, argument_class)
        transcript.add("user", step.text("observation"))
    return ProgramTrace(program_id=program_id, workflow="swe_agent", steps=tuple(transcript.steps))


def _tool(action: str) -> tuple[str, str]:
    """SWE-agent's own commands are tools; all else is the shell's."""
    words = action.split(maxsplit=2)
    if words and words[0] in _OWN_COMMANDS:
        is_editor = words[0] == "str_replace_editor" and len(words) > 1
        return words[0], words[1][:32] if is_editor else ""
    return "bash", command_class(action)


def _content(message: Record) -> str:
    """Plain text, or a list of parts that have text."""
    content = message.data.get("content")
    if not is_list(content):
        return message.text("content", "")
    texts = (part.get("text") for part in content if is_object(part))
    return "\n".join(text for text in texts if isinstance(text, str))
