"""`Plan`: a compiled graph, with what the compiler found out about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentrt.ir.expression import NodeId
from agentrt.ir.graph import Graph


@dataclass(frozen=True, slots=True)
class PassReport:
    """What one pass did: one line of `agentrt plan`.

    Attributes:
        has_changed: The graph, or what is noted of its nodes.
    """

    name: str
    has_changed: bool
    summary: str


@dataclass(frozen=True, slots=True)
class FanOut:
    """Calls that begin alike and become ready together: one goes first, the rest at its first token.

    Attributes:
        leader: The node that goes first, as it is named in the graph of this one. A map's instances of
            one node lead themselves: the first of them goes first.
        prefix_chars: Characters that all of them begin with, as far as they are known.
        has_values: Values that are the same for all of them are among what they begin with. Whether that
            is long enough to be waited for is seen when it runs.
    """

    leader: NodeId
    prefix_chars: int
    has_values: bool = False


@dataclass(frozen=True, slots=True)
class Retention:
    """What is known beforehand of what a call leaves in the KV cache.

    Attributes:
        reused_chars: Characters at its start that a later call of the run begins with too; 0: none.
        next_use: The first node that does, by its full id; in a loop it may be the node itself, in the
            next step. Empty: none.
        next_use_s: Seconds until then, where durations are known.
        is_shared: Calls that may come at any moment begin as it does (siblings, other instances of a
            map), or later ones do with a value in it, whose length is known when it runs.
        ends_run: When it is made no other call to a model is under way, and none comes after it.
    """

    reused_chars: int = 0
    next_use: NodeId = ""
    next_use_s: float | None = None
    is_shared: bool = False
    ends_run: bool = False

    @property
    def is_last(self) -> bool:
        """Whether nothing of the run is known to go on from there, or from its beginning."""
        return not self.reused_chars


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """What is known of a node before anything runs.

    Attributes:
        depth: Nodes on the longest way here from an input (0 for those that read nothing).
        height: Nodes on the longest way from here to an end, this one included: what a scheduler
            orders ready nodes by when it knows no durations.
        static_prefix_chars: Characters of the prompt, from its start, that are the same in every
            run of this node; 0 for nodes without a prompt.
        precedence: Of ready nodes of a run the one with the most goes first, where not all can go:
            the time expected from its start to the end of the longest chain that waits for it. In
            seconds where durations are known, else in nodes.
        remaining_s: The same in seconds; None: no durations are known.
        fan_out: The calls that it is one of.
        early_tools: Tools of an agent that start before the message that calls them is whole.
        single_flight: Tools it may call whose equal calls at one time are made once.
        retention: None where there is no prompt.
        ordered_by: The node of a map's body whose prompts say in which order the instances start.
    """

    depth: int
    height: int
    static_prefix_chars: int = 0
    precedence: float = 0.0
    remaining_s: float | None = None
    fan_out: FanOut | None = None
    early_tools: tuple[str, ...] = ()
    single_flight: tuple[str, ...] = ()
    retention: Retention | None = None
    ordered_by: NodeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the runtime executes.

    Attributes:
        source: The graph as traced; its hash identifies the workflow in the store.
        graph: The graph after all passes. Node ids are those of `source`.
        nodes: Facts by full id, bodies included, as `graph.walk` names them. Depths and heights are
            within the node's own graph.
        passes: In the order they ran.
    """

    source: Graph
    graph: Graph
    nodes: Mapping[NodeId, NodePlan] = field(default_factory=dict[NodeId, NodePlan])
    passes: tuple[PassReport, ...] = ()
