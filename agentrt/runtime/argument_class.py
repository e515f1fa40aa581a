"""What tells the durations of one tool apart: the class of its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from agentrt.estimates.command_class import command_class

_COMMANDS = ("command", "cmd", "script")
"""Arguments by these names are command lines; anything else says too little about too much."""


def argument_class(arguments: Mapping[str, Any]) -> str:
    """The program that a command line runs (`pytest`); empty for tools that run none."""
    for name in _COMMANDS:
        command = arguments.get(name)
        if isinstance(command, str):
            return command_class(command)
        if isinstance(command, list) and command:
            words = cast("list[object]", command)
            return command_class(" ".join(word for word in words if isinstance(word, str)))
    return ""
