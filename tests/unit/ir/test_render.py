"""Pictures of graphs: complete, sound, and deaf to what names and prompts say."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from agentrt.ir.expression import Const, Items, Use
from agentrt.ir.graph import Graph
from agentrt.ir.lint_value import MAX_DEPTH
from agentrt.ir.node import AgentNode, BranchNode, InputNode, LLMNode, LLMOptions, Node, ToolNode
from agentrt.ir.render_label import describe, explain, printable, show
from agentrt.ir.render_mermaid import to_mermaid
from agentrt.ir.render_svg import to_svg
from agentrt.ir.render_text import to_text
from tests.unit.ir.sample_graphs import (
    SEARCH,
    TEXT,
    body,
    every_kind,
    graph,
    llm,
    parameter,
    search,
    template,
)

HOSTILE = (
    '"]\n  evil --> n0\n  click n0 "javascript:alert(1)"\r%% end --> ; #quot; <script>alert(1)'
    "</script> ]]> <!-- & &lt; `md` \x00\x1b[2J\u202e\u2028\ufffe {x} |y| '"
)


def hostile() -> Graph:
    """Everything that is free text says what it should not."""
    spec = replace(SEARCH, name=HOSTILE, description=HOSTILE)
    prompt = replace(llm("x", HOSTILE, Use("end"), system=HOSTILE).prompt, context=(template("c"),))
    nodes: tuple[Node, ...] = (
        InputNode(id="end", schema={"title": HOSTILE}, is_required=False, default=HOSTILE),
        ToolNode(id="click", tool=HOSTILE, inputs=(("query", Const(HOSTILE)),)),
        LLMNode(
            id="subgraph",
            function=HOSTILE,
            prompt=prompt,
            output=TEXT,
            options=LLMOptions(model=HOSTILE),
        ),
        AgentNode(id="style", function=HOSTILE, prompt=prompt, output=TEXT, tools=(HOSTILE,)),
        BranchNode(
            id="class",
            condition=Items((Use("click"), Const(HOSTILE))),
            then=body(output=Const(HOSTILE), name=HOSTILE),
            otherwise=body(output=Const({HOSTILE: HOSTILE})),
        ),
    )
    return Graph(HOSTILE, nodes, Const(HOSTILE), {HOSTILE: spec})


def test_a_graph_as_text() -> None:
    assert (
        to_text(every_kind())
        == """\
sample(question, limit)
  question  input
  limit     input, default 3
  plan      llm, small                               <- limit, question
  found     map over query                           <- plan
    query   input
    search  tool   <- query
    -> search
  first     tool search                              <- plan[0]
  checked   branch on true                           <- found
    then
      found  input
      check  llm    <- found
      -> check
    otherwise
      -> "unchecked"
  refined   loop, up to 3 steps                      <- checked
    step
      draft    input
      improve  llm    <- draft
      -> improve
    until
      draft  input
      judge  llm    <- draft
      -> judge
  fix       agent, up to 5 turns, tools search save  <- refined
  kept      tool save                                <- fix
  -> {"fix": fix, "all": [first, {"a": [1]}]}
"""
    )


def test_a_graph_in_another_order_is_told_in_the_order_it_can_run() -> None:
    mixed = graph(search("b", Use("a")), search("a", Use("q")), parameter("q"), output=Use("b"))
    assert (
        to_text(mixed)
        == """\
sample(q)
  q  input
  a  tool search  <- q
  b  tool search  <- a
  -> b
"""
    )


def test_a_hostile_graph_stays_on_its_lines() -> None:
    hostile().lint()
    lines = to_text(hostile()).split("\n")
    assert len(lines) == 12
    assert all(line.isprintable() for line in lines)


def test_a_graph_as_mermaid() -> None:
    assert (
        to_mermaid(graph(parameter("q"), search("s", Use("q")), llm("l", Use("s"))))
        == """\
flowchart LR
  n0(["q<br/>input"]):::input
  n1[["s<br/>tool search"]]:::tool
  n2("l<br/>llm"):::llm
  n0 --> n1
  n1 --> n2
  n3(["output"]):::input
  n2 --> n3
  classDef input fill:#e2e8f0,stroke:#64748b,color:#1e293b
  classDef llm fill:#dbeafe,stroke:#3b82f6,color:#1e3a8a
  classDef tool fill:#dcfce7,stroke:#22a35a,color:#14532d
  classDef region fill:#94a3b81a,stroke:#94a3b8
"""
    )


def test_regions_are_subgraphs_in_mermaid() -> None:
    drawn = to_mermaid(every_kind())
    titles = re.findall(r'subgraph n\d+\["(.*)"\]', drawn)
    assert titles == [
        "found<br/>map over query",
        "checked<br/>branch on true",
        "then",
        "otherwise",
        "refined<br/>loop, up to 3 steps",
        "step",
        "until",
        "fix<br/>agent, up to 5 turns, tools search save",
    ]
    assert drawn.count(" end\n") == len(titles)


# What a line of Mermaid may be; a label holds only harmless characters and #code; escapes.
_LABEL = r'"(?:[0-9A-Za-z\ _.,-]|\#\d+;|<br/>)*"'
_LINE = re.compile(
    rf"""flowchart\ LR
    | \s+n\d+(?:\(\[{_LABEL}\]\)|\[\[{_LABEL}\]\]|\({_LABEL}\)):::(?:input|tool|llm)
    | \s+subgraph\ n\d+\[{_LABEL}\]
    | \s+end
    | \s+class\ n\d+\ region
    | \s+n\d+\ (?:-->|<-->|-\.\ not\ yet\ \.->)\ n\d+
    | \s+classDef\ [a-z]+\ [a-z:,\#0-9]+
    """,
    re.VERBOSE,
)


@pytest.mark.parametrize("drawn", [to_mermaid(hostile()), to_mermaid(every_kind())])
def test_no_name_can_break_out_of_its_mermaid_label(drawn: str) -> None:
    for line in drawn.removesuffix("\n").split("\n"):
        assert _LINE.fullmatch(line), line


def _texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)  # noqa: S314  our own
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_an_svg_names_every_node_in_every_body() -> None:
    names = {node.id for _, node in every_kind().walk()}
    assert names <= set(_texts(to_svg(every_kind())))


def test_an_svg_tells_the_prompt_when_hovered_over() -> None:
    root = ElementTree.fromstring(to_svg(every_kind()))  # noqa: S314  our own
    titles = [e.text for e in root.iter("{http://www.w3.org/2000/svg}title")]
    assert (
        "plan: llm, small\nsystem: Be brief.\ncontext: Limit {limit}\nuser: Plan: {question}"
        in titles
    )


def test_a_hostile_graph_is_a_sound_svg_with_nothing_active_in_it() -> None:
    root = ElementTree.fromstring(to_svg(hostile()))  # noqa: S314  our own
    tags = {element.tag.removeprefix("{http://www.w3.org/2000/svg}") for element in root.iter()}
    assert tags == {*("svg", "title", "style", "defs", "marker", "path", "g", "rect", "text")}
    names = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in names if name.startswith(("on", "href", "xlink", "{"))}


def test_an_svg_needs_nothing_from_elsewhere() -> None:
    assert re.findall(r"https?://[^\"]*", to_svg(every_kind())) == ["http://www.w3.org/2000/svg"]


def test_many_siblings_with_the_same_edges_share_them() -> None:
    siblings = [search(f"s{i}", Use("q")) for i in range(200)]
    join = llm("join", Items(tuple(Use(node.id) for node in siblings)))
    svg = to_svg(graph(parameter("q"), *siblings, join))
    assert {f"s{i}" for i in range(200)} <= set(_texts(svg))
    edges = re.findall(r"<title>([^<]* → [^<]*)</title>", svg)
    assert edges == ["q → s0", "s0 → join", "join → the output"]


def test_an_agent_without_tools_is_drawn_as_its_model() -> None:
    alone = AgentNode(id="a", function="a", prompt=llm("x", "Do").prompt, output=TEXT)
    assert _texts(to_svg(graph(alone))) == [
        "a",
        "agent, up to 50 turns",
        "llm",
        "until it answers",
        "output",
    ]


def test_few_siblings_have_edges_of_their_own() -> None:
    siblings = [search(f"s{i}", Use("q")) for i in range(10)]
    join = llm("join", Items(tuple(Use(node.id) for node in siblings)))
    assert to_svg(graph(parameter("q"), *siblings, join)).count(" → ") == 21


@pytest.mark.parametrize("draw", [to_text, to_mermaid, to_svg])
def test_graphs_at_the_limits_can_be_drawn(draw: Any) -> None:
    empty = inner = body(output=Const(0))
    for _ in range(MAX_DEPTH):
        inner = body(BranchNode(id="b", condition=Const(True), then=inner, otherwise=empty))
    deepest = graph(*inner.nodes)
    deepest.lint()
    assert draw(deepest).count("then") == MAX_DEPTH
    assert draw(graph(output=Const(None)))


def test_printable_cuts_and_escapes() -> None:
    assert printable("a\x1b[2J\n\u202eb\ud800", None) == "a\\x1b[2J\\n\\u202eb\\ud800"
    assert printable("abcdef", 4) == "abc…"
    assert printable("größe 漢字", 8) == "größe 漢字"


def test_expressions_are_shown_as_an_author_would_write_them() -> None:
    assert show(every_kind().output) == '{"fix": fix, "all": [first, {"a": [1]}]}'
    assert show(template("Say ", Use("plan", ("queries", 0)), "!")) == "Say {plan.queries[0]}!"


def test_what_an_instance_is_asked_is_explained() -> None:
    told = {node.id: (describe(node), explain(node)) for node in every_kind().nodes}
    assert told["limit"] == (
        "input, default 3",
        'limit: input, default 3\nschema: {"type": "integer"}',
    )
    assert told["found"] == ("map over query", "found: map over query\nquery = plan")
    assert told["refined"] == (
        "loop, up to 3 steps",
        "refined: loop, up to 3 steps\ndraft = checked",
    )
