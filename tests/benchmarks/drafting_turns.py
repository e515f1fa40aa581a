"""The turns of the drafting benchmark: some whose answer stands in the prompt, some whose does not."""

from __future__ import annotations

from dataclasses import dataclass

COPY = "copy-heavy"
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Turn:
    name: str
    kind: str
    prompt: str


FILE = '''\
import json
from pathlib import Path


class Inventory:
    """Counts of parts, kept in a file."""

    def __init__(self, path):
        self.path = Path(path)
        self.parts = {}

    def load(self):
        if self.path.exists():
            self.parts = json.loads(self.path.read_text())
        return self

    def add(self, name, count):
        if count < 0:
            raise ValueError("count is negative")
        self.parts[name] = self.parts.get(name, 0) + count

    def save(self):
        self.path.write_text(json.dumps(self.parts))
'''
LOG = "\n".join(
    f"tests/test_{name}.py::test_{what} {'FAILED' if (i * 7) % 5 == 3 else 'PASSED'} in 0.{i * 37 % 97:02d}s"
    for i, (name, what) in enumerate(
        (name, what)
        for name in ("load", "save", "parse", "merge")
        for what in ("empty_input", "one_entry", "many_entries")
    )
)
TABLE = "\n".join(
    f"| {part} | {i * 37 % 101} | shelf {i % 7} | {i * 13 % 29}.{i % 10} kg |"
    for i, part in enumerate(
        (
            "bolts",
            "nuts",
            "washers",
            "screws",
            "nails",
            "rivets",
            "hooks",
            "hinges",
            "pins",
            "clips",
        )
    )
)

TURNS = (
    Turn(
        "edit a file",
        COPY,
        "Return this file with the class renamed to Stock. Change nothing else, and write only the"
        f" file.\n```python\n{FILE}```",
    ),
    Turn(
        "question of a sea", OTHER, "Why is the sea salty? Explain it to a child in one paragraph."
    ),
    Turn(
        "quote tool output",
        COPY,
        f"The tool printed:\n{LOG}\nQuote what the tool printed, line by line, exactly as it is.",
    ),
    Turn("a story", OTHER, "Tell a short story of a lighthouse keeper who finds a strange letter."),
    Turn(
        "copy a table",
        COPY,
        f"Here is a table:\n{TABLE}\nWrite the same table again, row by row, without any change.",
    ),
    Turn("a letter", OTHER, "Write a polite letter to a neighbour whose dog barks every night."),
    Turn(
        "add to a file",
        COPY,
        "Write this file again, whole and unchanged, and nothing else.\n```python\n" + FILE + "```",
    ),
    Turn(
        "compare",
        OTHER,
        "What speaks for, and what against, working from home? Weigh it in your own words.",
    ),
)
