"""`Plan`: a compiled graph, with what the compiler found out about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentrt.ir.expression import NodeId
from agentrt.ir.graph import Graph


@dataclass(frozen=True, slots=True)
class PassReport:
    """What one pass did: one line of `agentrt plan`."""

    name: str
    has_changed: bool
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """What is known of a node before anything runs.

    Attributes:
        depth: Nodes on the longest way here from an input (0 for those that read nothing).
        height: Nodes on the longest way from here to an end, this one included: what a scheduler
            orders ready nodes by when it knows no durations.
        static_prefix_chars: Characters of the prompt, from its start, that are the same in every
            run of this node; 0 for nodes without a prompt.
    """

    depth: int
    height: int
    static_prefix_chars: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the runtime executes.

    Attributes:
        source: The graph as traced; its hash identifies the workflow in the store.
        graph: The graph after all passes. Node ids are those of `source`.
        nodes: Facts by node id, for the top level of `graph`.
        passes: In the order they ran.
    """

    source: Graph
    graph: Graph
    nodes: Mapping[NodeId, NodePlan] = field(default_factory=dict[NodeId, NodePlan])
    passes: tuple[PassReport, ...] = ()
