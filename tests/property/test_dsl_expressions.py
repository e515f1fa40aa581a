"""What authors write with symbolic values in it means what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, assert_never

from hypothesis import given
from hypothesis import strategies as st

from agentrt.dsl.control import branch, loop
from agentrt.dsl.decorators import llm, tool, workflow
from agentrt.ir.expression import Const, Expression, Fields, Items, Template, Text, Use, uses
from agentrt.ir.graph import Graph
from agentrt.ir.node import LLMNode
from agentrt.ir.prompt import Prompt, render_value

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["<<a#0123456789ab-0123456789ab:0>>", "{}", "%s", "\\", "'", '"', "<<", "#", ":0>>"]
)
NAMES: tuple[Literal["a", "b"], ...] = ("a", "b")
Piece = tuple[Literal["text", "name"], str]
PIECES = st.lists(
    st.tuples(st.just("text"), TEXTS) | st.tuples(st.just("name"), st.sampled_from(NAMES)),
    max_size=8,
)


def value_of(expression: Expression, values: dict[str, Any]) -> Any:
    match expression:
        case Const(value):
            return value
        case Use(node, ()):
            return values[node]
        case Use():
            raise AssertionError("no projections here")
        case Items(items):
            return [value_of(item, values) for item in items]
        case Fields(fields):
            return {name: value_of(item, values) for name, item in fields}
        case Template(parts):
            return "".join(
                part.text
                if isinstance(part, Text)
                else render_value(value_of(part.expression, values))
                for part in parts
            )
        case _:
            assert_never(expression)


def traced_output(make: Callable[[dict[str, Any]], Any]) -> Expression:
    def body(a: str, b: str) -> Any:
        return make({"a": a, "b": b})

    return workflow(body).trace().graph.output


def joined(pieces: list[Piece], values: dict[str, Any]) -> str:
    return "".join(each if kind == "text" else f"{values[each]}" for kind, each in pieces)


@given(pieces=PIECES, a=TEXTS, b=TEXTS)
def test_an_f_string_gives_what_it_would_with_the_values(
    pieces: list[Piece], a: str, b: str
) -> None:
    output = traced_output(lambda symbols: joined(pieces, symbols))
    assert value_of(output, {"a": a, "b": b}) == joined(pieces, {"a": a, "b": b})
    if isinstance(output, Template):
        texts = [part.text for part in output.parts if isinstance(part, Text)]
        assert all(texts)
        neighbours = zip(output.parts, output.parts[1:], strict=False)
        assert not any(isinstance(x, Text) and isinstance(y, Text) for x, y in neighbours)


Tree = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | PIECES.map(lambda pieces: ("pieces", pieces))
    | st.sampled_from(NAMES).map(lambda name: ("name", name)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def filled(tree: Any, values: dict[str, Any]) -> Any:
    match tree:
        case ("pieces", pieces):
            return joined(pieces, values)
        case ("name", name):
            return values[name]
        case list():
            return [filled(item, values) for item in tree]
        case dict():
            return {name: filled(item, values) for name, item in tree.items()}
        case _:
            return tree


@given(tree=Tree, a=TEXTS, b=TEXTS)
def test_a_container_gives_what_it_would_with_the_values(tree: Any, a: str, b: str) -> None:
    output = traced_output(lambda symbols: filled(tree, symbols))
    assert value_of(output, {"a": a, "b": b}) == filled(tree, {"a": a, "b": b})


@given(body=PIECES, first=PIECES, second=TEXTS, a=TEXTS, b=TEXTS)
def test_a_prompt_is_its_body_with_the_arguments_filled_in(
    body: list[Piece], first: list[Piece], second: str, a: str, b: str
) -> None:
    def prompt(a: str, b: str) -> Prompt[str]:
        return Prompt(joined(body, {"a": a, "b": b}))

    asked = llm(prompt)

    def ask(a: str, b: str) -> str:
        return asked(joined(first, {"a": a, "b": b}), second)

    node = workflow(ask).trace().graph.nodes[-1]
    assert isinstance(node, LLMNode)
    expected = joined(body, {"a": joined(first, {"a": a, "b": b}), "b": second})
    assert value_of(node.prompt.user, {"a": a, "b": b}) == expected


# --- whole programs ---


@tool(effects="none")
def one(text: str) -> str:
    return text


@tool(effects="none")
def two(left: str, right: str) -> str:
    return left + right


@tool(effects="none")
def is_done(text: str) -> bool:
    return True


@llm
def rewrite(text: str, style: str) -> Prompt[str]:
    return Prompt(text, system=f"Be {style}.")


@workflow
def inner(text: str) -> str:
    return two(one(text), text)


Make = Callable[[Callable[[], str], Callable[..., str]], str]

CALLS: list[Make] = [
    lambda pick, _: one(pick()),
    lambda pick, _: two(pick(), f"{pick()}!"),
    lambda pick, _: rewrite(pick(), style=pick()),
    lambda pick, _: f"{pick()} {pick()}",
    lambda pick, _: inner(pick()),
]
REGIONS: list[Make] = [
    lambda pick, body: branch(is_done(pick()), then=body, otherwise=body),
    lambda pick, body: loop(
        body, pick(), until=lambda state: is_done(f"{state}{pick()}"), max_steps=2
    ),
    lambda pick, _: f"{two.map([pick(), 'x'], right=pick())}",
    lambda pick, _: f"{two.map([pick()], right=f'<{pick()}>')}",
    lambda pick, _: f"{inner.map([pick(), pick()])}",
]


def grown(data: st.DataObject, known: list[str], depth: int) -> str:
    """A random program's next value, made of those known and some more."""
    make = data.draw(st.sampled_from(CALLS + REGIONS if depth < 3 else CALLS))

    def pick() -> str:
        return known[data.draw(st.integers(0, len(known) - 1))]

    return make(pick, lambda *more: grown(data, [*known, *more], depth + 1))


@given(data=st.data())
def test_a_random_program_leaves_a_sound_graph(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 6))

    def program(a: str, b: str) -> str:
        known = [a, b]
        for _ in range(size):
            known.append(grown(data, known, 0))
        return "\n".join(f"{value}" for value in known)

    graph = workflow(program).trace().graph
    graph.lint()
    assert Graph.from_json(graph.to_json()).hash == graph.hash
    assert_is_in_order(graph)
    for _, node in graph.walk():
        assert "#" not in repr(node), "a mark was left in the graph"


def assert_is_in_order(graph: Graph) -> None:
    seen: set[str] = set()
    for node in graph.nodes:
        assert set(graph.dependencies[node.id]) <= seen
        seen.add(node.id)
    assert {use.node for use in uses(graph.output)} <= seen
