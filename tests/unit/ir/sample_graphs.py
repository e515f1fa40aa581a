"""Graphs that the tests of `ir` and `compiler` share."""

from __future__ import annotations

from agentrt.ir.expression import Const, Expression, Fields, Items, Slot, Template, Text, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import (
    AgentNode,
    BranchNode,
    InputNode,
    LLMNode,
    LLMOptions,
    LoopNode,
    MapNode,
    Node,
    ToolNode,
)
from agentrt.ir.prompt import PromptTemplate
from agentrt.ir.tool import Effects, ToolSpec

TEXT = {"type": "string"}


def tool(name: str, effects: Effects = "read", **parameters: str) -> ToolSpec:
    """A tool whose parameters are given by type; all required."""
    return ToolSpec(
        name=name,
        effects=effects,
        parameters={
            "type": "object",
            "properties": {each: {"type": kind} for each, kind in parameters.items()},
            "required": list(parameters),
        },
        output=TEXT,
    )


SEARCH = tool("search", query="string")
SAVE = tool("save", "write", text="string")


def parameter(node_id: str) -> InputNode:
    return InputNode(id=node_id, schema=TEXT)


def search(node_id: str, query: Expression) -> ToolNode:
    return ToolNode(id=node_id, tool="search", inputs=(("query", query),))


def save(node_id: str, text: Expression) -> ToolNode:
    return ToolNode(id=node_id, tool="save", inputs=(("text", text),))


def template(*parts: str | Expression) -> Template:
    return Template(tuple(Text(p) if isinstance(p, str) else Slot(p) for p in parts))


def llm(node_id: str, *parts: str | Expression, system: str | None = None) -> LLMNode:
    return LLMNode(
        id=node_id,
        function=node_id,
        prompt=PromptTemplate(
            template(*parts), system=None if system is None else template(system)
        ),
        output=TEXT,
    )


def graph(*nodes: Node, output: Expression | None = None, name: str = "sample") -> Graph:
    """Returns the last node's value unless told otherwise; has both tools."""
    value = output or (Use(nodes[-1].id) if nodes else Const(None))
    return Graph(name, nodes, value, {"search": SEARCH, "save": SAVE})


def body(*nodes: Node, output: Expression | None = None, name: str = "inner") -> Graph:
    return Graph(name, nodes, output or Use(nodes[-1].id))


def every_kind() -> Graph:
    """One of each: node kinds, expressions, options."""
    return graph(
        parameter("question"),
        InputNode(id="limit", schema={"type": "integer"}, is_required=False, default=3),
        LLMNode(
            id="plan",
            function="plan",
            prompt=PromptTemplate(
                user=template("Plan: ", Use("question")),
                system=template("Be brief."),
                context=(template("Limit ", Use("limit")),),
            ),
            output={"type": "array", "items": TEXT},
            options=LLMOptions(tier="small", max_tokens=100, stop=("\n",), temperature=0.5),
        ),
        MapNode(
            id="found",
            mapped=("query",),
            inputs=(("query", Use("plan")),),
            body=body(parameter("query"), search("search", Use("query"))),
        ),
        search("first", Use("plan", (0,))),
        BranchNode(
            id="checked",
            condition=Const(True),
            inputs=(("found", Use("found")),),
            then=body(parameter("found"), llm("check", "Check ", Use("found"))),
            otherwise=body(output=Const("unchecked")),
        ),
        LoopNode(
            id="refined",
            state="draft",
            initial=Use("checked"),
            step=body(parameter("draft"), llm("improve", "Improve ", Use("draft"))),
            until=body(parameter("draft"), llm("judge", "Good? ", Use("draft"))),
            max_steps=3,
        ),
        AgentNode(
            id="fix",
            function="fix",
            prompt=PromptTemplate(template("Fix ", Use("refined"))),
            output=TEXT,
            tools=("search", "save"),
            max_turns=5,
            timeout_s=60,
        ),
        save("kept", Use("fix")),
        output=Fields((("fix", Use("fix")), ("all", Items((Use("first"), Const({"a": [1]})))))),
    )
