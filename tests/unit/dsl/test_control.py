"""`branch` and `loop`: bodies, captured values, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from agentrt.dsl.control import branch, loop
from agentrt.dsl.decorators import llm, tool, workflow
from agentrt.errors import DefinitionError, SchemaError, TraceError
from agentrt.ir.expression import Const, Fields, Items, Slot, Template, Text, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import BranchNode, InputNode, LoopNode, MapNode, Node, ToolNode, bodies
from agentrt.ir.prompt import Prompt

TEXT = {"type": "string"}


class Draft(BaseModel):
    text: str
    score: float = 0


@tool(effects="none")
def is_hard(question: str) -> bool:
    return True


@tool(effects="none")
def big(question: str) -> str:
    return question


@tool(effects="none")
def small(question: str) -> str:
    return question


@tool(effects="none")
def score(text: str) -> int:
    return 1


@tool(effects="none")
def write(topic: str) -> Draft:
    return Draft(text=topic)


@tool(effects="none")
def improve(draft: Draft, note: str = "") -> Draft:
    return draft


@tool(effects="none")
def passes(draft: Draft) -> bool:
    return True


@llm
def refine(text: str) -> Prompt[str]:
    return Prompt(f"Refine: {text}")


async def slow() -> str:
    return ""


def last(function: Any) -> Node:
    return workflow(function).trace().graph.nodes[-1]


def tool_node(name: str, source: str) -> ToolNode:
    return ToolNode(id=name, tool=name, inputs=(("question", Use(source)),))


def test_a_branch_holds_both_bodies_and_the_values_they_use() -> None:
    def body(question: str, other: str) -> str:
        return branch(
            is_hard(question), then=lambda: big(question), otherwise=lambda: f"{small(other)}!"
        )

    assert last(body) == BranchNode(
        id="branch",
        condition=Use("is_hard"),
        then=Graph(
            "then",
            (InputNode(id="question", schema=TEXT), tool_node("big", "question")),
            Use("big"),
        ),
        otherwise=Graph(
            "otherwise",
            (InputNode(id="other", schema=TEXT), tool_node("small", "other")),
            Template((Slot(Use("small")), Text("!"))),
        ),
        inputs=(("question", Use("question")), ("other", Use("other"))),
    )


def test_a_captured_part_is_named_after_the_part_and_typed_like_it() -> None:
    def body(topic: str) -> float:
        draft = write(topic)
        return branch(
            is_hard(draft.text), then=lambda: draft.score, otherwise=lambda: score(draft.text)
        )

    node = last(body)
    assert isinstance(node, BranchNode)
    assert node.inputs == (
        ("text", Use("write", ("text",))),
        ("score", Use("write", ("score",))),
    )
    assert node.then.nodes == (InputNode(id="score", schema={"type": "number"}),)
    assert node.then.output == Use("score")


def test_names_of_captured_values_and_of_nodes_do_not_meet() -> None:
    def body(question: str) -> str:
        first = big(question)
        return branch(
            is_hard(question),
            then=lambda: f"{first} {big('x')}",
            otherwise=lambda: f"{big('y')} {first} {big(first)}",
        )

    node = last(body)
    assert isinstance(node, BranchNode)
    assert node.inputs == (("big_3", Use("big")),)
    assert [each.id for each in node.then.nodes] == ["big_3", "big"]
    assert [each.id for each in node.otherwise.nodes] == ["big_3", "big", "big_2"]

    def reverse(question: str) -> str:
        first = big(question)
        return branch(
            is_hard(question),
            then=lambda: big(first),
            otherwise=lambda: f"{big('y')} {first}",
        )

    node = last(reverse)
    assert isinstance(node, BranchNode)
    assert node.inputs == (("big_2", Use("big")),)
    assert [each.id for each in node.then.nodes] == ["big_2", "big"]
    assert [each.id for each in node.otherwise.nodes] == ["big_2", "big"]


def test_a_condition_known_while_tracing_is_decided_then() -> None:
    def body(question: str) -> list[str]:
        return [
            branch(True, then=lambda: big(question), otherwise=lambda: small(question)),
            branch(False, then=lambda: big(question), otherwise=lambda: small(question)),
        ]

    assert workflow(body).trace().graph.nodes[1:] == (
        tool_node("big", "question"),
        tool_node("small", "question"),
    )


def test_bodies_may_give_constants_and_containers() -> None:
    def body(question: str) -> dict[str, list[str]]:
        return branch(
            is_hard(question), then=lambda: {"a": [big(question)]}, otherwise=lambda: {"b": []}
        )

    node = last(body)
    assert isinstance(node, BranchNode)
    assert node.then.output == Fields((("a", Items((Use("big"),))),))
    assert node.otherwise.output == Const({"b": []})


def test_a_body_that_gives_none_makes_the_value_optional() -> None:
    def body(question: str) -> str | None:
        return branch(is_hard(question), then=lambda: big(question), otherwise=lambda: None)

    node = last(body)
    assert isinstance(node, BranchNode)
    assert node.otherwise.output == Const(None)

    def wrong(question: str) -> str:
        return branch(is_hard(question), then=lambda: big(question), otherwise=lambda: None)  # type: ignore[return-value]

    with pytest.raises(TraceError, match=r"wrong: the return value must be str, got branch"):
        last(wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda q: branch(is_hard(q), then=lambda: big(q), otherwise=lambda: [q]),
            r"branch: `then` gives str and `otherwise` gives list\[str\]",
        ),
        (
            lambda q: branch(is_hard(q), then=lambda: big(q), otherwise=lambda: 3),
            "`then` gives str and `otherwise` gives int",
        ),
        (
            lambda q: branch(q, then=lambda: q, otherwise=lambda: q),
            r"branch: the condition must be bool, got question \(str\)",
        ),
        (
            lambda q: branch(is_hard(q), then=lambda: big(1), otherwise=lambda: q),  # type: ignore[arg-type]
            "the argument 'question': expected str",
        ),
        (lambda q: branch("yes", then=lambda: q, otherwise=lambda: q), "expected bool"),  # type: ignore[arg-type]
        (
            lambda q: branch(is_hard(q), then=big(q), otherwise=lambda: q),  # type: ignore[arg-type]
            r"branch: `then` must be a function, .*write `lambda: ...`; got big \(str\)",
        ),
        (
            lambda q: branch(is_hard(q), then=lambda: q, otherwise="no", name="either"),  # type: ignore[arg-type]
            "either: `otherwise` must be a function, .*got 'no'",
        ),
        (
            lambda q: branch(is_hard(q), then=slow, otherwise=slow),
            "branch: `then` is async; a plain function is traced",
        ),
        (
            lambda q: branch(is_hard(q), then=lambda: q, otherwise=lambda: q, name="a.b"),
            "cannot be a name",
        ),
    ],
)
def test_a_wrong_branch_is_refused(call: Any, message: str) -> None:
    def body(question: str) -> Any:
        return call(question)

    with pytest.raises((TraceError, SchemaError, DefinitionError), match=message):
        last(body)


def test_a_value_from_inside_a_body_cannot_be_used_outside() -> None:
    kept: list[str] = []

    def keep(question: str) -> str:
        kept.append(big(question))
        return kept[0]

    def body(question: str) -> str:
        branch(is_hard(question), then=lambda: keep(question), otherwise=lambda: question)
        return kept[0]

    with pytest.raises(TraceError, match=r"big \(str\) is a value of the inside of 'then'"):
        last(body)


def test_a_loop_holds_its_step_and_its_question() -> None:
    def body(topic: str) -> Draft:
        return loop(improve, write(topic), until=passes, max_steps=5)

    schema = Draft.model_json_schema()
    assert last(body) == LoopNode(
        id="loop",
        state="state",
        initial=Use("write"),
        step=Graph(
            "step",
            (
                InputNode(id="state", schema=schema),
                ToolNode(id="improve", tool="improve", inputs=(("draft", Use("state")),)),
            ),
            Use("improve"),
        ),
        until=Graph(
            "until",
            (
                InputNode(id="state", schema=schema),
                ToolNode(id="passes", tool="passes", inputs=(("draft", Use("state")),)),
            ),
            Use("passes"),
        ),
        max_steps=5,
    )


def test_lambdas_and_functions_capture_outer_values_under_one_name_in_both_bodies() -> None:
    def body(topic: str, note: str) -> Draft:
        def step(draft: Draft) -> Draft:
            return improve(draft, note=f"{note} on {topic}")

        return loop(
            step,
            write(topic),
            until=lambda d: is_hard(f"{d.text} {note}"),
            max_steps=2,
            name="edit",
        )

    node = last(body)
    assert isinstance(node, LoopNode)
    assert node.id == "edit"
    assert node.inputs == (("note", Use("note")), ("topic", Use("topic")))
    assert [each.id for each in node.step.nodes] == ["state", "note", "topic", "improve"]
    assert [each.id for each in node.until.nodes] == ["state", "note", "is_hard"]
    asked = node.until.nodes[-1]
    assert isinstance(asked, ToolNode)
    assert asked.inputs == (
        ("question", Template((Slot(Use("state", ("text",))), Text(" "), Slot(Use("note"))))),
    )


def test_the_state_may_be_a_container_and_grow_from_an_empty_one() -> None:
    def body(question: str) -> list[str]:
        return loop(
            lambda found: [big(question), f"{found}"],
            [],
            until=lambda found: is_hard(found[0]),
            max_steps=3,
        )

    node = last(body)
    assert isinstance(node, LoopNode)
    assert node.initial == Const([])
    assert node.step.nodes[0] == InputNode(
        id="state", schema={"items": {"type": "string"}, "type": "array"}
    )


def test_the_state_may_start_as_none() -> None:
    def body(question: str) -> str | None:
        return loop(
            lambda found: branch(
                is_hard(f"{found}"), then=lambda: big(question), otherwise=lambda: None
            ),
            None,
            until=lambda found: is_hard(f"{found}"),
            max_steps=3,
        )

    node = last(body)
    assert isinstance(node, LoopNode)
    assert node.initial == Const(None)
    assert node.step.nodes[0] == InputNode(
        id="state", schema={"anyOf": [{"type": "string"}, {"type": "null"}]}
    )


def test_the_state_may_be_a_pair() -> None:
    def body(question: str) -> tuple[str, int]:
        return loop(
            lambda pair: (f"{pair[0]}!", score(pair[0])),
            (question, 0),
            until=lambda pair: is_hard(pair[0]),
            max_steps=3,
        )

    node = last(body)
    assert isinstance(node, LoopNode)
    assert node.initial == Items((Use("question"), Const(0)))
    assert node.step.output == Items(
        (Template((Slot(Use("state", (0,))), Text("!"))), Use("score"))
    )


def test_a_step_that_keeps_changing_its_type_is_refused() -> None:
    def body(question: str) -> Any:
        return loop(lambda s: [s], question, until=lambda s: True, max_steps=3)  # type: ignore[arg-type, return-value]

    with pytest.raises(
        TraceError, match=r"it takes str and gives a list|it takes str and gives list"
    ):
        last(body)

    def growing(question: str) -> Any:
        return loop(lambda s: [s], [], until=lambda s: True, max_steps=3)  # type: ignore[arg-type, return-value]

    with pytest.raises(TraceError, match="`step` must give what it takes"):
        last(growing)


def test_a_constant_captured_through_a_workflow_stays_a_constant() -> None:
    @workflow
    def inner(text: str, hard: bool) -> str:
        return branch(hard, then=lambda: big(text), otherwise=lambda: small(text))

    def body(question: str) -> list[str]:
        return [inner("fixed", is_hard(question)), inner("fixed", True)]

    nodes = workflow(body).trace().graph.nodes
    node = nodes[2]
    assert isinstance(node, BranchNode)
    assert node.inputs == ()
    assert node.then.nodes == (
        ToolNode(id="big", tool="big", inputs=(("question", Const("fixed")),)),
    )
    assert nodes[3] == ToolNode(
        id="inner_2.big", tool="big", inputs=(("question", Const("fixed")),)
    )


def test_a_workflow_is_a_step_too() -> None:
    @workflow
    def polish(text: str) -> str:
        return refine(big(text))

    def body(text: str) -> str:
        return loop(polish, text, until=is_hard, max_steps=3)

    node = last(body)
    assert isinstance(node, LoopNode)
    assert [each.id for each in node.step.nodes] == ["state", "polish.big", "polish.refine"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda q: loop(score, q, until=is_hard, max_steps=2),
            r"loop: `step` must give what it takes: it takes str and gives score \(int\)",
        ),
        (
            lambda q: loop(improve, q, until=passes, max_steps=2),
            r"loop: the initial state must be Draft, got question \(str\)",
        ),
        (
            lambda q: loop(big, q, until=score, max_steps=2),  # type: ignore[arg-type]
            r"loop: the value of `until` must be bool, got score \(int\)",
        ),
        (
            lambda q: loop(big, q, until=passes, max_steps=2),
            r"passes: the argument 'draft' must be Draft, got state \(str\)",
        ),
        (
            lambda q: loop(big(q), q, until=is_hard, max_steps=2),  # type: ignore[arg-type]
            r"loop: `step` must be a function, .*write `lambda state: ...`; got big \(str\)",
        ),
        (
            lambda q: loop(big, q, until=is_hard(q), max_steps=2),  # type: ignore[arg-type]
            r"loop: `until` must be a function, .*got is_hard \(bool\)",
        ),
        (lambda q: loop(None, q, until=is_hard, max_steps=2), "`step` must be a function.*None"),  # type: ignore[arg-type]
        (lambda q: loop(big, q, until=is_hard, max_steps=0), "max_steps must be a constant of 1"),
        (lambda q: loop(big, q, until=is_hard, max_steps=q), "max_steps must be a constant"),
        (lambda q: loop(big, q, until=is_hard, max_steps=True), "max_steps must be a constant"),
        (
            lambda q: loop(lambda s: s or q, q, until=is_hard, max_steps=2),
            r"state \(str\) is known only when the workflow runs",
        ),
    ],
)
def test_a_wrong_loop_is_refused(call: Any, message: str) -> None:
    def body(question: str) -> Any:
        return call(question)

    with pytest.raises(TraceError, match=message):
        last(body)


def test_captured_values_pass_through_every_level() -> None:
    @workflow
    def each(item: str, note: str) -> str:
        return branch(is_hard(item), then=lambda: f"{big(item)} {note}", otherwise=lambda: note)

    def body(items: list[str], note: str) -> str:
        return loop(
            lambda state: branch(
                is_hard(note),
                then=lambda: f"{each.map(items, note=note)} {state}",
                otherwise=lambda: state,
            ),
            note,
            until=is_hard,
            max_steps=2,
        )

    node = last(body)
    assert isinstance(node, LoopNode)
    assert node.inputs == (("note", Use("note")), ("items", Use("items")))
    inner = node.step.nodes[-1]
    assert isinstance(inner, BranchNode)
    assert inner.inputs == (
        ("items", Use("items")),
        ("note", Use("note")),
        ("state", Use("state")),
    )
    mapped = inner.then.nodes[-1]
    assert isinstance(mapped, MapNode)
    assert mapped.inputs == (("item", Use("items")), ("note", Use("note")))
    innermost = mapped.body.nodes[-1]
    assert isinstance(innermost, BranchNode)
    assert innermost.inputs == (("item", Use("item")), ("note", Use("note")))


def test_tools_of_every_body_are_the_graph_s() -> None:
    def body(question: str) -> str:
        return loop(
            lambda s: branch(is_hard(s), then=lambda: big(s), otherwise=lambda: s),
            question,
            until=lambda s: passes(write(s)),
            max_steps=2,
        )

    traced = workflow(body).trace()
    assert set(traced.graph.tools) == {"is_hard", "big", "passes", "write"}
    assert all(inner.tools == {} for _, node in traced.graph.walk() for _, inner in bodies(node))


def test_a_wrong_name_inside_a_body_is_found_too() -> None:
    def body(question: str) -> str:
        return branch(
            is_hard(question),
            then=lambda: big(question),
            otherwise=lambda: small.options(name="is_hard")(question),
        )

    with pytest.raises(DefinitionError, match="two different functions are called 'is_hard'"):
        last(body)


def test_outside_a_workflow_both_say_what_to_do() -> None:
    with pytest.raises(DefinitionError, match=r"branch can only be called inside a `@workflow`"):
        branch(True, then=lambda: 1, otherwise=lambda: 2)
    with pytest.raises(DefinitionError, match=r"loop can only be called inside a `@workflow`"):
        loop(lambda x: x, 1, until=lambda x: True, max_steps=2)


def test_a_value_put_together_outside_is_captured_whole_and_once() -> None:
    @workflow
    def inner(text: str) -> str:
        return branch(
            is_hard(text), then=lambda: f"{text} {big(text)}", otherwise=lambda: small(text)
        )

    def body(question: str) -> str:
        return inner(f"<{question}>")

    node = last(body)
    assert isinstance(node, BranchNode)
    angled = Template((Text("<"), Slot(Use("question")), Text(">")))
    assert node.inputs == (("value", angled),)
    assert node.then.output == Template((Slot(Use("value")), Text(" "), Slot(Use("big"))))
    assert [each.id for each in node.otherwise.nodes] == ["value", "small"]


def test_names_that_cannot_be_a_node_s_are_given_another_or_refused() -> None:
    class Room(BaseModel):
        größe: int  # noqa: PLC2401  the point of it
        text: str = ""

    @tool(effects="none")
    def measure(größe: int) -> Room:  # noqa: PLC2401
        raise NotImplementedError

    def body(topic: str) -> int:
        room = measure(3)
        return branch(is_hard(topic), then=lambda: room.größe, otherwise=lambda: score(room.text))

    node = last(body)
    assert isinstance(node, BranchNode)
    assert node.inputs == (
        ("text", Use("measure", ("text",))),
        ("measure", Use("measure", ("größe",))),
    )

    def mapped(topic: str) -> list[Room]:
        return measure.map([1, 2])

    def parameter(größe: int) -> Room:  # noqa: PLC2401
        return measure(größe)

    for wrong in (mapped, parameter):
        with pytest.raises(DefinitionError, match=r"the parameter 'größe' .*rename the parameter"):
            last(wrong)


def test_a_body_may_use_very_many_outer_values() -> None:
    """Each gets a name of its own; looking for it among all names each time takes minutes."""
    many = 30_000

    def body(topic: str) -> str:
        drafts = [write(topic) for _ in range(many)]
        return branch(
            is_hard(topic),
            then=lambda: "".join(f"{draft.text}" for draft in drafts),
            otherwise=lambda: "".join(f"{draft.text}" for draft in reversed(drafts)),
        )

    node = last(body)
    assert isinstance(node, BranchNode)
    assert [name for name, _ in node.inputs[:2]] == ["text", "text_2"]
    assert node.inputs[-1] == (f"text_{many}", Use(f"write_{many}", ("text",)))
