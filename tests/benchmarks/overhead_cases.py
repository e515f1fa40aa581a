"""The four cases: how many nodes, of what shape, and what an implementation must offer to run them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

Shape: TypeAlias = Literal["chain", "fan_out", "layers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A graph of no-op async nodes, and how many runs of it go on at once.

    Attributes:
        width: `chain`: nodes in a row; `fan_out`: siblings before one join; `layers`: siblings of
            a layer, each layer ending in a join that the next one reads.
        depth: Layers; 1 for the other shapes.
    """

    name: str
    shape: Shape
    width: int
    depth: int = 1
    runs: int = 1

    @property
    def title(self) -> str:
        if self.runs > 1:
            return f"{self.runs:,} runs of {self.width} at once"
        match self.shape:
            case "chain":
                return f"chain of {self.width:,}"
            case "fan_out":
                return f"fan-out of {self.width:,} and a join"
            case "layers":
                return f"{self.depth:,} layers of {self.width} and a join"

    @property
    def nodes_per_run(self) -> int:
        match self.shape:
            case "chain":
                return self.width
            case "fan_out":
                return self.width + 1
            case "layers":
                return (self.width + 1) * self.depth

    @property
    def nodes(self) -> int:
        return self.nodes_per_run * self.runs

    def shrunk(self, factor: int) -> Case:
        """A tenth, say, of the work in the same shape: for a fast look, not for comparing."""
        match self.shape:
            case "layers":
                return replace(self, depth=max(self.depth // factor, 1))
            case _ if self.runs > 1:
                return replace(self, runs=max(self.runs // factor, 1))
            case _:
                return replace(self, width=max(self.width // factor, 1))


CASES = (
    Case(name="chain", shape="chain", width=1000),
    Case(name="fan_out", shape="fan_out", width=1000),
    Case(name="layers", shape="layers", width=10, depth=100),
    Case(name="many", shape="chain", width=10, runs=1000),
)


class Executed:
    """Counts nodes that ran, so that an implementation that skips work cannot look fast."""

    def __init__(self) -> None:
        self.nodes = 0

    async def noop(self, value: int) -> int:
        self.nodes += 1
        return value


RunCase: TypeAlias = Callable[[int], Awaitable[None]]
"""Run the case's graph this many times at once, to its end."""


class Implementation(Protocol):
    """One way of running a case."""

    def opened(
        self, case: Case, executed: Executed, folder: Path
    ) -> AbstractAsyncContextManager[RunCase]:
        """Build the graph and open what it needs; none of that is measured."""
        ...

    def kept_nodes(self, folder: Path) -> int | None:
        """How many node results are on disk now; None where that cannot be told by counting."""
        ...
