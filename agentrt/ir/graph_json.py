"""A graph as JSON, and back: the form that is stored, hashed and shown by `agentrt graph --json`.

A document has a `format`; a reader refuses formats it does not know. A field that has its default
is left out.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from agentrt.errors import GraphError
from agentrt.ir.codec import (
    Codec,
    Misfit,
    Named,
    OneOf,
    Optional,
    Plain,
    Record,
    Several,
    Table,
    Tagged,
    load_at,
)
from agentrt.ir.expression import Const, Expression, Fields, Items, Slot, Template, Text, Use
from agentrt.ir.graph import Graph
from agentrt.ir.lint import lint
from agentrt.ir.node import (
    LAYOUTS,
    AgentNode,
    BranchNode,
    InputNode,
    LLMNode,
    LLMOptions,
    LoopNode,
    MapNode,
    Node,
    PlanNode,
    ToolNode,
)
from agentrt.ir.prompt import PromptTemplate
from agentrt.ir.schema import Json, is_object
from agentrt.ir.stability import STABILITIES
from agentrt.ir.tool import ToolSpec

FORMAT = 1


def graph_to_json(graph: Graph, *, is_ordered: bool = True) -> dict[str, Json]:
    """A JSON object that `graph_from_json` reads back to an equal graph.

    With `is_ordered=False`, nodes come by id, in bodies too: one form for any order. The object
    shares schemas and constants with the graph: do not change it.
    """
    codec = _codec(is_ordered)
    return {"format": FORMAT, **codec.dump(graph), "tools": _TOOLS.dump(graph.tools)}


def graph_from_json(data: Any) -> Graph:
    """The graph that `data` describes, linted. Nothing in it is shared with `data`.

    Raises:
        GraphError: `data` is nothing that `graph_to_json` can have written of a sound graph.
    """
    try:
        # Plain data and nothing else from here on: no NaN, no tuples, no lone surrogates.
        text = json.dumps(data, allow_nan=False, ensure_ascii=False)
        text.encode()
        plain = json.loads(text)
        graph = _load(plain)
        lint(graph)
    except (TypeError, ValueError) as error:
        raise GraphError(f"this is no graph: not JSON: {error}") from error
    except RecursionError as error:
        raise GraphError("this is no graph: it nests too deeply") from error
    except Misfit as misfit:
        raise GraphError(f"this is no graph: {misfit}") from misfit
    return graph


def _load(data: Json) -> Graph:
    if not is_object(data):
        raise Misfit(f"expected an object, got a {type(data).__name__}")
    if type(data.get("format")) is not int or data["format"] != FORMAT:
        raise Misfit(f"its format is not {FORMAT}, the one this version of agentrt reads")
    content = {key: value for key, value in data.items() if key not in ("format", "tools")}
    body = _codec(True).load(content)
    tools = load_at(_TOOLS, data.get("tools"), "tools")
    return Graph(body.name, body.nodes, body.output, tools)


class _BodyCodec:
    """A graph without its tools, as bodies are."""

    def __init__(self, *, is_ordered: bool) -> None:
        self._is_ordered = is_ordered
        self._nodes: Codec[tuple[Node, ...]] = Several(_node_codec(self))

    def dump(self, graph: Graph, /) -> dict[str, Json]:
        nodes = graph.nodes
        if not self._is_ordered:
            nodes = tuple(sorted(nodes, key=lambda node: node.id))
        return {
            "name": graph.name,
            "nodes": self._nodes.dump(nodes),
            "output": _EXPRESSION.dump(graph.output),
        }

    def load(self, data: Json, /) -> Graph:
        if not is_object(data) or data.keys() != {"name", "nodes", "output"}:
            raise Misfit("expected an object with name, nodes and output")
        return Graph(
            load_at(_TEXT, data["name"], "name"),
            load_at(self._nodes, data["nodes"], "nodes"),
            load_at(_EXPRESSION, data["output"], "output"),
        )


@cache
def _codec(is_ordered: bool) -> _BodyCodec:
    return _BodyCodec(is_ordered=is_ordered)


_TEXT = Plain("a text", (str,))
_WHOLE = Plain("a whole number", (int,))
_NUMBER = Plain("a number", (int, float))
_FLAG = Plain("true or false", (bool,))
_OBJECT = Plain("an object", (dict,))
_JSON = Plain("JSON")


class _ExpressionCodec:
    """Refers to itself, so it is looked up late."""

    def dump(self, value: Expression, /) -> Json:
        return _EXPRESSIONS.dump(value)

    def load(self, data: Json, /) -> Expression:
        return _EXPRESSIONS.load(data)


_EXPRESSION = _ExpressionCodec()
_PARTS: Tagged[Text | Slot] = Tagged(
    text=Record(Text, text=_TEXT),
    slot=Record(Slot, expression=_EXPRESSION, stability=OneOf((None, *STABILITIES))),
)
_TEMPLATE = Record(Template, parts=Several(_PARTS))
_EXPRESSIONS: Tagged[Expression] = Tagged(
    const=Record(Const, value=_JSON),
    use=Record(Use, node=_TEXT, path=Several(Plain("a name or an index", (str, int)))),
    items=Record(Items, items=Several(_EXPRESSION)),
    fields=Record(Fields, fields=Named(_EXPRESSION)),
    template=_TEMPLATE,
)
_INPUTS = Named(_EXPRESSION)
_PROMPT = Record(
    PromptTemplate, user=_TEMPLATE, system=Optional(_TEMPLATE), context=Several(_TEMPLATE)
)
_OPTIONS = Record(
    LLMOptions,
    tier=OneOf((None, "small", "large")),
    model=Optional(_TEXT),
    max_tokens=Optional(_WHOLE),
    temperature=Optional(_NUMBER),
    stop=Several(_TEXT),
    seed=Optional(_WHOLE),
    output_retries=_WHOLE,
    retries=_WHOLE,
    timeout_s=Optional(_NUMBER),
)
_TOOLS = Table(
    Record(
        ToolSpec,
        name=_TEXT,
        description=_TEXT,
        parameters=_OBJECT,
        output=_OBJECT,
        effects=OneOf(("none", "read", "write")),
        is_idempotent=_FLAG,
        timeout_s=Optional(_NUMBER),
        retries=_WHOLE,
        concurrency=Optional(_WHOLE),
        max_output_bytes=_WHOLE,
        is_deterministic=_FLAG,
        single_flight=_FLAG,
    )
)


def _node_codec(body: Codec[Graph]) -> Tagged[Node]:
    asked: dict[str, Codec[Any]] = {
        "id": _TEXT,
        "function": _TEXT,
        "prompt": _PROMPT,
        "output": _OBJECT,
        "options": _OPTIONS,
    }
    layout = OneOf(LAYOUTS)
    return Tagged(
        input=Record(InputNode, id=_TEXT, schema=_OBJECT, is_required=_FLAG, default=_JSON),
        tool=Record(ToolNode, id=_TEXT, tool=_TEXT, inputs=_INPUTS),
        llm=Record(LLMNode, **asked, layout=layout),
        agent=Record(
            AgentNode,
            **asked,
            layout=layout,
            tools=Several(_TEXT),
            shown_tools=Several(_TEXT),
            max_turns=_WHOLE,
            timeout_s=Optional(_NUMBER),
            max_total_tokens=Optional(_WHOLE),
        ),
        plan=Record(
            PlanNode,
            **asked,
            tools=Several(_TEXT),
            max_replans=_WHOLE,
            max_repairs=_WHOLE,
            max_tasks=_WHOLE,
            timeout_s=Optional(_NUMBER),
            max_total_tokens=Optional(_WHOLE),
            reuses_plans=_FLAG,
            guesses_reads=_FLAG,
        ),
        map=Record(MapNode, id=_TEXT, body=body, mapped=Several(_TEXT), inputs=_INPUTS),
        branch=Record(
            BranchNode, id=_TEXT, condition=_EXPRESSION, then=body, otherwise=body, inputs=_INPUTS
        ),
        loop=Record(
            LoopNode,
            id=_TEXT,
            state=_TEXT,
            initial=_EXPRESSION,
            step=body,
            until=body,
            max_steps=_WHOLE,
            inputs=_INPUTS,
        ),
    )
