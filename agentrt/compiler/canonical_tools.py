"""Tools written in one way, whoever made them: what precedes a prompt must not differ by accident."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode
from agentrt.ir.schema import Json, is_list, is_object
from agentrt.ir.tool import ToolSpec


def canonical_tools(graph: Graph) -> Mapping[str, ToolSpec]:
    """The graph's tools by name, with their keys sorted; the same object if they are already.

    `properties` keep their order: models write arguments in it. Tools that no agent shows stay as they
    are, and those of an agent that allows no other bytes (S0).
    """
    agents = [node for _, node in graph.walk() if isinstance(node, AgentNode)]
    shown = {name for node in agents for name in node.tools}
    kept = {name for node in agents if node.layout == "S0" for name in node.tools}
    made: dict[str, ToolSpec] = {}
    for name, spec in sorted(graph.tools.items()):
        parameters = canonical_schema(spec.parameters) if name in shown - kept else spec.parameters
        is_same = _keys(parameters) == _keys(spec.parameters)
        made[name] = spec if is_same else replace(spec, parameters=parameters)
    return graph.tools if all(made[name] is graph.tools[name] for name in made) else made


def canonical_schema(schema: Json) -> Any:
    """`schema` with the keys of its objects sorted, but not those of `properties`."""
    if is_list(schema):
        return [canonical_schema(item) for item in schema]
    if not is_object(schema):
        return schema
    return {
        key: _properties(schema[key]) if key == "properties" else canonical_schema(schema[key])
        for key in sorted(schema)
    }


def shown_to_all(graph: Graph) -> tuple[str, ...]:
    """The tools that the S3 agents of the graph have between them, sorted."""
    return tuple(
        sorted(
            {
                tool
                for _, node in graph.walk()
                if isinstance(node, AgentNode) and node.layout == "S3"
                for tool in node.tools
            }
        )
    )


def _properties(properties: Json) -> Any:
    if not is_object(properties):
        return canonical_schema(properties)
    return {name: canonical_schema(each) for name, each in properties.items()}


def _keys(schema: Json) -> Any:
    """What `==` on dicts does not see: the order of keys."""
    if is_list(schema):
        return [_keys(item) for item in schema]
    return [(k, _keys(v)) for k, v in schema.items()] if is_object(schema) else None
