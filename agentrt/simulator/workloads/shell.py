"""Commands as models write them."""

from __future__ import annotations

import re

_BLOCK = re.compile(r"```(?:bash|sh)?[ \t]*\n(.*?)```", re.DOTALL)


def fenced_command(answer: str) -> str:
    """The first code block of a model's answer; empty if it has none."""
    found = _BLOCK.search(answer)
    return str(found[1]) if found else ""
