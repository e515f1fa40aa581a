"""What tracing leaves besides the graph: the Python behind the names in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentrt.dsl.functions import ToolFunction
from agentrt.dsl.value_type import ValueType
from agentrt.ir.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """How names in a graph resolve to Python.

    Attributes:
        tools: By `ToolSpec.name`; every tool of the graph, its agents' and bodies' included.
        answers: By the `function` of `LLMNode`s and `AgentNode`s: the type of the answer.
        inputs: By workflow parameter.
        output: The type of what the workflow returns.
    """

    tools: Mapping[str, ToolFunction[..., Any]]
    answers: Mapping[str, ValueType[Any]]
    inputs: Mapping[str, ValueType[Any]]
    output: ValueType[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A traced workflow: the graph, linted, and its bindings."""

    graph: Graph
    bindings: Bindings
