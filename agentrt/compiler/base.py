"""The seams between the pipeline and its passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from agentrt.estimates.work import WorkEstimates
from agentrt.ir.expression import NodeId
from agentrt.ir.graph import Graph
from agentrt.ir.plan import NodePlan

NodePlans: TypeAlias = Mapping[NodeId, NodePlan]
"""Facts by full id, as `Graph.walk` names nodes."""


class Pass(Protocol):
    """One change to a graph. It keeps node ids: nodes may go, none come, none are renamed.

    `run` returns the very graph it was given when there is nothing to change, and running a pass on
    its own result changes nothing.
    """

    @property
    def name(self) -> str:
        """A word: what `agentrt plan` shows and `without` takes."""
        ...

    def requires(self, graph: Graph) -> None:
        """Raises `GraphError` if the pass cannot work on `graph`."""
        ...

    def run(self, graph: Graph) -> Graph: ...

    def ensures(self, before: Graph, after: Graph) -> None:
        """Raises `GraphError` if the pass has not kept what it promises."""
        ...

    def summarise(self, before: Graph, after: Graph) -> str:
        """What it did and what that should save, as a line for people."""
        ...


class NodePass(Protocol):
    """A pass that leaves the graph as it is, and notes on its nodes what the runtime can do with them.

    These run after all that change the graph. Noting twice gives what noting once gives.
    """

    @property
    def name(self) -> str:
        """A word: what `agentrt plan` shows and `without` takes."""
        ...

    def requires(self, graph: Graph) -> None:
        """Raises `GraphError` if the pass cannot work on `graph`."""
        ...

    def note(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> NodePlans:
        """`nodes` with more known of them; of the same nodes, in the same order."""
        ...

    def ensures(self, graph: Graph, nodes: NodePlans) -> None:
        """Raises `GraphError` if what was noted cannot be."""
        ...

    def summarise(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> str:
        """What it found and what that should save, as a line for people."""
        ...
