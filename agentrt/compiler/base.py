"""The seam between the pipeline and its passes."""

from __future__ import annotations

from typing import Protocol

from agentrt.ir.graph import Graph


class Pass(Protocol):
    """One change to a graph. It keeps node ids: nodes may go, none come, none are renamed.

    `run` returns the very graph it was given when there is nothing to change, and running a pass on
    its own result changes nothing.
    """

    @property
    def name(self) -> str:
        """One word: what `agentrt plan` shows and `without` takes."""
        ...

    def requires(self, graph: Graph) -> None:
        """Raises `GraphError` if the pass cannot work on `graph`."""
        ...

    def run(self, graph: Graph) -> Graph: ...

    def ensures(self, before: Graph, after: Graph) -> None:
        """Raises `GraphError` if the pass has not kept what it promises."""
        ...

    def summarise(self, before: Graph, after: Graph) -> str:
        """What it did, as a line for people."""
        ...
