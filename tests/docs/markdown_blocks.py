"""Fenced code blocks of the documentation, with the line they start at."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
NO_RUN = "no-run:"
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<info>.*)$")
_ASSIGNMENT = re.compile(r"^[A-Z_][A-Z0-9_]*=")


@dataclass(frozen=True, slots=True)
class Block:
    """`info` is what stands behind the language: `run`, or `no-run: why`."""

    page: Path
    line: int
    language: str
    info: str
    code: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def reason_not_to_run(self) -> str | None:
        if not self.info.startswith(NO_RUN):
            return None
        return self.info.removeprefix(NO_RUN).strip()

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """Shell commands as words, without assignments before them and pipes after them."""
        lines = self.code.replace("\\\n", " ").splitlines()
        if self.language == "console":  # what does not follow a prompt is output
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        split = (tuple(_words(line)) for line in lines)
        return tuple(words for words in split if words)


def _words(line: str) -> Iterator[str]:
    is_assignment = True
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
    lexer.commenters = "#"
    lexer.whitespace_split = True
    for word in lexer:
        if set(word) <= set("|;&<>"):
            return
        is_assignment = is_assignment and bool(_ASSIGNMENT.match(word))
        if not is_assignment:
            yield word


def blocks_of(page: Path) -> list[Block]:
    """In the order they stand.

    Raises:
        ValueError: a block is never closed.
    """
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        at += 1
        if opening is None:
            continue
        start = at
        while at < len(lines) and lines[at].strip() != opening["ticks"]:
            at += 1
        if at == len(lines):
            raise ValueError(f"{page}:{start}: this block is never closed")
        cut = len(opening["indent"])
        code = "\n".join(line[cut:] for line in lines[start:at]) + "\n"
        language, _, info = opening["info"].strip().partition(" ")
        found.append(Block(page, start + 1, language, info.strip(), code))
        at += 1
    return found


BLOCKS = tuple(block for page in PAGES for block in blocks_of(page))
