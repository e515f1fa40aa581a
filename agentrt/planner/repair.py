"""What a planner is told when lines of its plan cannot be used, or the end is missing."""

from __future__ import annotations

from collections.abc import Sequence

from agentrt.ir.request import Message
from agentrt.planner.line import read_head
from agentrt.planner.reader import BadLine


def repair_message(bad: Sequence[BadLine]) -> Message:
    """Asks for these lines again, and for nothing else. Each has a number."""
    told = "\n".join(f"{line.text.strip()}\n  {line.why}{_renumbered(line)}" for line in bad)
    wanted = ", ".join(str(line.id) for line in bad)
    lines = f"task {wanted}" if len(bad) == 1 else f"tasks {wanted}"
    return Message(
        "user",
        f"These lines of the plan cannot be used:\n{told}\nWrite only {lines} again, one line each.",
    )


def _renumbered(line: BadLine) -> str:
    return "" if read_head(line.text).id == line.id else f"; write it as task {line.id}"


def continue_message(next_id: int) -> Message:
    """Asks for the rest of a plan that stops before its end."""
    return Message(
        "user",
        f"The plan has no end yet. Go on with task {next_id}, or write only join if it is complete.",
    )
