"""Tables on stdout, and what is going on, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One in Markdown, with an empty line behind it."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    sys.stdout.write("\n".join(lines) + "\n\n")
    sys.stdout.flush()


def tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
