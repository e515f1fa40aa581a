"""Symbolic values: what they allow, and how they refuse the rest."""

from __future__ import annotations

import copy
import json
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, NewType

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from agentrt.dsl.decorators import tool, workflow
from agentrt.errors import TraceError
from agentrt.ir.expression import Slot, Template, Text, Use


class Step(BaseModel):
    title: str
    hours: float


class Plan(BaseModel):
    queries: list[str]
    steps: dict[str, Step]
    label: str = ""
    owner: Step | None = None

    @property
    def first(self) -> str:
        return self.queries[0]


RenamedPlan = NewType("RenamedPlan", Plan)


@dataclass
class Box:
    size: tuple[int, int]


class Pair(NamedTuple):
    left: str
    right: int


class Row(TypedDict):
    name: str
    tags: list[str]


@tool(effects="none")
def plan(question: str) -> Plan:
    raise NotImplementedError


@tool(effects="none")
def box(question: str) -> Box:
    raise NotImplementedError


@tool(effects="none")
def pair(question: str) -> Pair:
    raise NotImplementedError


@tool(effects="none")
def row(question: str) -> Row:
    raise NotImplementedError


@tool(effects="none")
def several(question: str) -> tuple[str, int] | list[str]:
    raise NotImplementedError


@tool(effects="none")
def many(question: str) -> tuple[float, ...]:
    raise NotImplementedError


@tool(effects="none")
def either_list(question: str) -> list[str] | list[int]:
    raise NotImplementedError


@tool(effects="none")
def anything(question: str) -> Any:
    raise NotImplementedError


@tool(effects="none")
def renamed(question: str) -> RenamedPlan:
    raise NotImplementedError


@tool(effects="none")
def either(question: str) -> Step | Plan:
    raise NotImplementedError


def output_of(body: Callable[[str], Any], returns: Any) -> Any:
    """What the graph of `body` gives."""

    def traced(question: str) -> Any:
        return body(question)

    traced.__annotations__["return"] = returns
    return workflow(traced).trace().graph.output


@pytest.mark.parametrize(
    ("body", "returns", "expected"),
    [
        (lambda q: plan(q).queries, list[str], Use("plan", ("queries",))),
        (lambda q: plan(q).queries[0], str, Use("plan", ("queries", 0))),
        (lambda q: plan(q).label, str, Use("plan", ("label",))),
        (lambda q: plan(q).steps["a b"].hours, float, Use("plan", ("steps", "a b", "hours"))),
        (lambda q: box(q).size[-1], int, Use("box", ("size", -1))),
        (lambda q: pair(q).right, int, Use("pair", ("right",))),
        (lambda q: pair(q)[0], str, Use("pair", (0,))),
        (lambda q: row(q)["tags"][2], str, Use("row", ("tags", 2))),
        (lambda q: several(q)[1], str | int, Use("several", (1,))),
        (lambda q: many(q)[7], float, Use("many", (7,))),
        (lambda q: either_list(q)[0], str | int, Use("either_list", (0,))),
        (lambda q: renamed(q).queries[0], str, Use("renamed", ("queries", 0))),
        (lambda q: anything(q).x["y"][3].z, int, Use("anything", ("x", "y", 3, "z"))),
    ],
)
def test_parts_of_structured_values_are_projections(
    body: Callable[[str], Any], returns: Any, expected: Use
) -> None:
    assert output_of(body, returns) == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            lambda q: plan(q).querys,  # type: ignore[attr-defined]
            r"plan \(Plan\) has no attribute 'querys'; it has: queries, steps, label, owner",
        ),
        (lambda q: plan(q).owner.title, r"plan.owner \(.*\) may be None"),  # type: ignore[union-attr]
        (lambda q: either(q).label, r"either \(Step\) has no attribute 'label'"),  # type: ignore[union-attr]
        (lambda q: box(q).size[2], r"box.size \(tuple\[int, int\]\) has no item 2"),  # type: ignore[misc]
        (lambda q: row(q)["age"], r"row \(Row\) has no key 'age'; it has: name, tags"),  # type: ignore[misc]
        (lambda q: row(q).name, r"row \(Row\) has keys, not attributes: write `\['name'\]`"),  # type: ignore[attr-defined]
        (lambda q: q.upper(), r"question \(str\).*its attribute 'upper' cannot be used.*`@tool`"),
        (lambda q: plan(q).model_dump(), r"plan \(Plan\) is known only.*'model_dump'.*`@tool`"),
        (lambda q: plan(q).first, r"plan \(Plan\) is known only.*its attribute 'first'.*`@tool`"),
        (lambda q: q[0], r"question \(str\) cannot be indexed with 0"),
        (lambda q: plan(q).queries["x"], r"plan.queries \(list\[str\]\) cannot be indexed"),  # type: ignore[call-overload]
        (lambda q: plan(q).queries[1:], "cannot be sliced"),
        (lambda q: plan(q).steps[3], "has no key 3"),  # type: ignore[index]
        (lambda q: plan(q).queries[q], "cannot be indexed with question, which is symbolic too"),
        (lambda q: plan(q).queries[True], "only a constant int or str can be an index"),
        (lambda q: plan(q).queries[1.5], "only a constant int or str can be an index"),  # type: ignore[call-overload]
    ],
)
def test_a_part_that_is_not_there_is_refused(body: Callable[[str], Any], message: str) -> None:
    with pytest.raises(TraceError, match=message):
        output_of(body, Any)


def refused(operation: Callable[[Any], Any]) -> str:
    """What the refusal of `operation` on a symbolic value says."""
    with pytest.raises(TraceError) as caught:
        output_of(operation, Any)
    return str(caught.value)


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "bool": lambda q: 1 if q else 2,
    "and": lambda q: q and 1,
    "not": lambda q: not q,
    "eq": lambda q: q == "a",
    "ne": lambda q: q != "a",
    "eq reflected": lambda q: "a" == q,  # noqa: SIM300
    "lt": lambda q: q < "a",
    "ge": lambda q: q >= "a",
    "in list": lambda q: q in ["a"],  # noqa: FURB171
    "contains": lambda q: "a" in q,
    "for": lambda q: [item for item in q],  # noqa: C416
    "unpack": lambda q: [*q],
    "len": len,
    "hash": hash,
    "dict key": lambda q: {q: 1},
    "set": lambda q: {q},
    "add": lambda q: q + "a",
    "radd": lambda q: "a" + q,
    "mul": lambda q: q * 2,
    "rmul": lambda q: 2 * q,
    "mod": lambda q: q % 2,
    "sub": lambda q: 1 - q,
    "neg": lambda q: -q,
    "int": int,
    "float": float,
    "index": lambda q: [1][q],
    "round": round,
    "floor": math.floor,
    "call": lambda q: q(),
    "setattr": lambda q: setattr(q, "x", 1),
    "setitem": lambda q: q.__setitem__(0, 1),
    "del": lambda q: delattr(q, "x"),
    "reversed": reversed,
    "next": next,
    "bytes": bytes,
    "await": lambda q: q.__await__(),
    "with": lambda q: q.__enter__(),
    "format spec": lambda q: f"{q:>10}",
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_needs_the_value_names_it_and_the_way_out(name: str) -> None:
    message = refused(OPERATIONS[name])
    assert message.startswith("question (str) is known only when the workflow runs")
    assert "`@tool`" in message


def test_control_flow_names_all_ways_out() -> None:
    message, _, where = refused(OPERATIONS["bool"]).partition("\n")
    assert message == (
        "question (str) is known only when the workflow runs, so it cannot be used as a condition "
        "(`if`, `and`, `not`, `while`) while the workflow is traced: use `.map(...)`, `branch(...)` "
        "or `loop(...)`, or put the logic in a `@tool`"
    )
    assert where.endswith(", in <lambda>")


def test_private_names_are_attribute_errors_so_that_python_s_protocols_work() -> None:
    def body(q: str) -> Any:
        assert not hasattr(q, "__array__")
        assert not hasattr(q, "_private")
        with pytest.raises(AttributeError, match=r"question \(str\).*'_private'.*`@tool`"):
            _ = q._private  # type: ignore[attr-defined]
        assert copy.deepcopy(q) is q
        assert copy.copy(q) is q
        return q

    assert output_of(body, str) == Use("question")


# --- f-strings ---

Q = Slot(Use("question"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (lambda q: f"{q}", (Q,)),
        (lambda q: f"a{q}b", (Text("a"), Q, Text("b"))),
        (lambda q: f"{q}{q}", (Q, Q)),
        (lambda q: f"{q!r} {q!s}", (Q, Text(" "), Q)),
        (lambda q: f"{[q, 'a']}", (Text("["), Q, Text(", 'a']"))),
        (lambda q: f"{ {'k': q} }", (Text("{'k': "), Q, Text("}"))),
        (lambda q: "a {} {}".format(q, 1), (Text("a "), Q, Text(" 1"))),  # noqa: UP032
        (lambda q: "%s!" % q, (Q, Text("!"))),  # noqa: UP031
        (lambda q: f"{f'<{q}>'}", (Text("<"), Q, Text(">"))),
        (lambda q: "; ".join([f"{q}", "b"]), (Q, Text("; b"))),
        (lambda q: textwrap.dedent(f"  a\n  {q}"), (Text("a\n"), Q)),
        (lambda q: json.dumps({"k": f"{q}"}), (Text('{"k": "'), Q, Text('"}'))),
        (
            lambda q: f"{plan(q).steps['a<>#:b'].title}.",
            (Slot(Use("plan", ("steps", "a<>#:b", "title"))), Text(".")),
        ),
    ],
)
def test_f_strings_become_templates(
    body: Callable[[str], Any], expected: tuple[Text | Slot, ...]
) -> None:
    assert output_of(body, str) == Template(expected)


def test_a_text_that_was_changed_after_formatting_is_refused() -> None:
    for change in (
        lambda q: f"{q}"[:-3],
        lambda q: f"{q}"[5:],
        lambda q: f"{q}".upper(),
        lambda q: f"{q}".replace(":", ";"),
    ):
        with pytest.raises(TraceError, match="was changed"):
            output_of(change, str)


def test_text_that_looks_like_a_mark_is_just_text() -> None:
    forged = "<<question#0123456789ab-0123456789ab:0>>"
    assert output_of(lambda q: f"{q} {forged}", str) == Template((Q, Text(" " + forged)))


def test_a_value_that_leaked_out_of_its_trace_is_refused() -> None:
    kept: list[Any] = []

    @workflow
    def first(question: str) -> str:
        kept.extend((question, f"<{question}>"))
        return question

    first.trace()
    for leaked in kept:
        with pytest.raises(TraceError, match="another trace"):
            output_of(lambda q: leaked, str)  # noqa: B023
