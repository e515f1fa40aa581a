"""What kind of command a shell is given: enough to tell durations apart."""

from __future__ import annotations

import re

_WORD = re.compile(r"[\w./+-]+")
_SETUP = frozenset({"cd", "export", "source", "set", "env", "sudo", "time", "timeout"})
_PYTHON = re.compile(r"python[\d.]*$")
_MOST = 32


def command_class(command: str) -> str:
    """The program a command line runs: `pytest` of `cd x && python -m pytest y`."""
    for part in re.split(r"&&|\|\||;|\n", command[:1000]):
        words: list[str] = _WORD.findall(part)
        if not words or words[0] in _SETUP:
            continue
        name = words[0].rsplit("/", 1)[-1]
        if _PYTHON.match(name):
            is_module = len(words) > 2 and words[1] == "-m"  # noqa: PLR2004  python -m module
            return words[2][:_MOST] if is_module else "python"
        return name[:_MOST]
    return ""
