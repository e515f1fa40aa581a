"""One workflow leaves one graph, whatever the process, and whatever was traced before."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, Literal

import pytest

from agentrt.dsl.decorators import tool, workflow
from agentrt.dsl.value_type import value_type
from agentrt.ir.expression import Const, Items, Use

PROGRAM = """
import dataclasses, enum
from typing import Any, Literal
from pydantic import BaseModel
from agentrt.dsl.control import branch, loop
from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.ir.prompt import Prompt

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

class Item(BaseModel):
    labels: set[str] = {"a", "b", "c", "d", "e"}
    colours: frozenset[Colour] = frozenset(Colour)

@dataclasses.dataclass
class Row:
    names: set[str]

@tool(effects="none")
def tag(text: str, labels: set[str] = {"v", "w", "x", "y", "z"}, row: Any = None) -> Item:
    raise NotImplementedError

@tool(effects="none")
def is_done(text: str) -> bool:
    raise NotImplementedError

@llm
def write(item: Item | None, kind: Literal["x", "y"] | int | None) -> Prompt[str | int]:
    return Prompt(f"{item} {kind}")

@agent(tools=[tag, is_done])
def fix(text: str) -> Prompt[str]:
    return Prompt(text)

@workflow
def whole(text: str, wanted: set[str] = {"p", "q", "r", "s"}) -> list[Any]:
    names = {"one", "two", "three", "four"}
    items = tag.map([text, "b"], labels=names, row={"in": [Row(names=names), {1, 2, "x"}]})
    rows = [Row(names=names), {"k": names, "text": text}]
    last = loop(fix, text, until=is_done, max_steps=2)
    return [items, tag(last, row=rows), write(None, "x"), frozenset(names), wanted]

print(whole.trace().graph.hash)
"""


@pytest.mark.parametrize("seed", ["1", "2", "31337"])
def test_a_graph_has_one_hash_in_every_process(seed: str) -> None:
    assert hash_under(seed) == hash_under("0")


def hash_under(seed: str) -> str:
    done = subprocess.run(  # noqa: S603  this interpreter, our own text
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_type_keeps_its_author_s_order_whatever_equal_type_was_seen_before() -> None:
    """Python says that they are equal; their schemas are not, and so neither are the hashes."""
    assert value_type(Literal["yes", "no"]).schema["enum"] == ["yes", "no"]
    assert value_type(Literal["no", "yes"]).schema["enum"] == ["no", "yes"]
    assert value_type(list[int | str]).schema["items"]["anyOf"][0] == {"type": "integer"}
    assert value_type(list[str | int]).schema["items"]["anyOf"][0] == {"type": "string"}


def test_what_is_in_a_set_is_in_order_wherever_the_set_is() -> None:
    @tool(effects="none")
    def keep(value: Any) -> str:
        return ""

    @workflow
    def whole(text: str) -> Any:
        keep([{"e", "d", "c", "b", "a"}, {"k": (frozenset({"3", "1", "2"}), ["z", "y"])}])
        return [text, {"d", "c", "b", "a"}]

    graph = whole.trace().graph
    assert graph.nodes[-1].inputs == (  # type: ignore[union-attr]
        ("value", Const([list("abcde"), {"k": [["1", "2", "3"], ["z", "y"]]}])),
    )
    assert graph.output == Items((Use("text"), Const(list("abcd"))))
