"""Questions of the three shapes that LLMCompiler was published with, and the calls that answer them.

The shapes are those of its data sets (MIT; HotpotQA: CC BY-SA 4.0): films to choose from eight
searches, a comparison of two searches, and two to five searches with arithmetic on each. Where the data
are not there, questions like them are made up.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

Shape: TypeAlias = Literal["movie", "hotpotqa", "parallelqa"]
SHAPES: tuple[Shape, ...] = ("movie", "hotpotqa", "parallelqa")
FILES = {
    "movie": "movie_recommendations_formatted.json",
    "hotpotqa": "hotpotqa_comparison.json",
    "parallelqa": "parallelqa_dataset.json",
}
_WORD = r"[A-Z0-9][\w.'\u2019&-]*"
_NAME = re.compile(rf"{_WORD}(?: (?:(?:of|the|in|for|de|&) )?{_WORD})*")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_OPENING = frozenset(
    [
        "After",
        "Are",
        "As",
        "Assuming",
        "Between",
        "By",
        "Consider",
        "Considering",
        "Did",
        "Do",
        "Does",
        "Given",
        "Has",
        "Have",
        "How",
        "If",
        "In",
        "Is",
        "It",
        "Of",
        "On",
        "Taking",
        "The",
        "To",
        "Was",
        "Were",
        "What",
        "When",
        "Where",
        "Which",
        "Who",
        "With",
    ]
)


@dataclass(frozen=True, slots=True)
class Step:
    """A call of a tool.

    Attributes:
        text: What is searched for, or the problem.
        reads: The steps, from 1, whose results it needs.
    """

    tool: Literal["search", "math"]
    text: str
    reads: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """Attributes:
    steps: In the order in which the published examples write them.
    """

    shape: Shape
    id: str
    text: str
    answer: str
    steps: tuple[Step, ...]

    @property
    def searches(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.tool == "search")

    @property
    def rounds(self) -> tuple[tuple[int, ...], ...]:
        """The steps that can run at once, round by round."""
        found: dict[int, int] = {}
        for number, step in enumerate(self.steps, 1):
            found[number] = 1 + max((found[read] for read in step.reads), default=0)
        last = max(found.values())
        return tuple(tuple(n for n in found if found[n] == level) for level in range(1, last + 1))


def data_folder() -> Path:
    """Where the data sets are, if they are here."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    return Path(os.environ.get("AGENTRT_DATA_DIR") or beside) / "llmcompiler"


def sample(shape: Shape, folder: Path, most: int, *, seed: int) -> tuple[list[Question], bool]:
    """Questions of a shape, and whether they are the published ones."""
    path = folder / FILES[shape]
    is_there = path.is_file()
    rows = json.loads(path.read_text("utf-8")) if is_there else made_up(shape, 4 * most, seed)
    chosen = random.Random(f"{seed} {shape}").sample(rows, min(most, len(rows)))
    return [question_of(shape, row) for row in chosen], is_there


def question_of(shape: Shape, row: dict[str, Any]) -> Question:
    text = str(row["question"]).strip()
    steps: tuple[Step, ...]
    if shape == "movie":
        seeds, options = text.removeprefix("Find a movie similar to ").split("\nOptions:\n")
        titles = [*seeds.split(", "), *options.split("\n")]
        steps = tuple(Step("search", title.strip()) for title in titles)
    elif shape == "hotpotqa":
        steps = tuple(Step("search", name) for name in names(text, 2))
    else:
        steps = tuple(_with_math(text, int(row["branch"]), str(row["answer"])))
    return Question(shape, str(row["id"]), text, str(row["answer"]), steps)


def names(text: str, most: int) -> list[str]:
    """The first names in a text, by a rule; made-up ones where it has too few."""
    found: dict[str, None] = {}
    for match in _NAME.finditer(text):
        words = match[0].removesuffix("'s").rstrip(".,").split(" ")
        while words and words[0] in _OPENING:
            words = words[1:]
        if words and not words[0][0].isdigit():
            found[" ".join(words)] = None
    spare = (f"Subject {number}" for number in range(1, most + 1))
    return [*found, *spare][:most]


def _with_math(text: str, branch: int, answer: str) -> Sequence[Step]:
    """A search and a calculation for each subject; one over all of them where a number is asked."""
    steps: list[Step] = []
    for name in names(text, branch):
        search = len(steps) + 1
        problem = (
            f"What is the value for {name} in metric units, if it is changed from what the context "
            "gives in the way that the question says, by the given percentage or factor?"
        )
        steps += [Step("search", name), Step("math", problem, (search,))]
    if _NUMBER.fullmatch(answer):
        last = tuple(range(2, len(steps) + 1, 2))
        steps.append(Step("math", "difference between the largest and the smallest", last))
    return steps


# -- where the data are not there ---------------------------------------------------------------

_FIRST = [
    "Silent",
    "Crimson",
    "Golden",
    "Hidden",
    "Northern",
    "Broken",
    "Distant",
    "Electric",
    "Paper",
    "Velvet",
]
_SECOND = [
    "River",
    "Harbor",
    "Mountain",
    "Garden",
    "Station",
    "Empire",
    "Letter",
    "Winter",
    "Bridge",
    "Lantern",
]
_LAST = [
    "of Dreams",
    "at Midnight",
    "Rising",
    "in the Rain",
    "of the Valley",
    "Returns",
    "",
    "",
    "",
    "",
]
_CHANGES = ("reduced by 20%", "increased by 15%", "doubled", "shortened by 10%")


def made_up(shape: Shape, many: int, seed: int) -> list[dict[str, Any]]:
    """Rows as the data sets have them."""
    chance = random.Random(f"{seed} {shape} made up")
    return [{"id": f"made-{n}"} | _ROWS[shape](chance, n) for n in range(many)]


def _title(chance: random.Random) -> str:
    parts = (chance.choice(_FIRST), chance.choice(_SECOND), chance.choice(_LAST))
    return " ".join(filter(None, parts))


def _titles(chance: random.Random, many: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < many:
        found[_title(chance)] = None
    return list(found)


def _movie(chance: random.Random, _n: int) -> dict[str, Any]:
    titles = _titles(chance, 8)
    options = "\n".join(titles[4:])
    text = f"Find a movie similar to {', '.join(titles[:4])}\nOptions:\n{options}\n"
    return {"question": text, "answer": chance.choice(titles[4:])}


def _hotpotqa(chance: random.Random, n: int) -> dict[str, Any]:
    one, other = _titles(chance, 2)
    asked = ("Were {} and {} of the same length?", "Which was founded first, {} or {}?")[n % 2]
    return {"question": asked.format(one, other), "answer": one if n % 2 else "no"}


def _parallelqa(chance: random.Random, n: int) -> dict[str, Any]:
    branch = 2 + n % 4
    subjects = [f"{_title(chance).split(' ')[0]} Peak {number}" for number in range(branch)]
    parts = [f"the height of {subject} is {chance.choice(_CHANGES)}" for subject in subjects]
    asked = "how much higher is the highest than the lowest" if n % 3 else "which is the highest"
    answer = str(100 + n) if n % 3 else subjects[0]
    return {"question": f"If {', '.join(parts)}, {asked}?", "answer": answer, "branch": branch}


_ROWS: dict[Shape, Callable[[random.Random, int], dict[str, Any]]] = {
    "movie": _movie,
    "hotpotqa": _hotpotqa,
    "parallelqa": _parallelqa,
}
