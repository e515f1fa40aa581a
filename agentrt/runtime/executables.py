"""`Executables`: the workflows of one runtime, each compiled once, and planned anew as more is known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from agentrt.compiler.base import NodePass
from agentrt.compiler.pipeline import compile_graph
from agentrt.dsl.binding import Traced
from agentrt.errors import DefinitionError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.plan import Plan
from agentrt.runtime.executable import Executable


@dataclass(slots=True)
class _Compiled:
    """A workflow, ready to run. It is kept as traced too, so that its id stays its own."""

    traced: Traced
    executable: Executable
    runs: int = 0


class Executables:
    """By the workflow as traced."""

    def __init__(
        self, *, node_passes: Sequence[NodePass], without: Collection[str], work: WorkEstimates
    ) -> None:
        """Compiled with all passes but those named in `without`, and with what `work` knows."""
        self._node_passes = node_passes
        self._without = tuple(without)
        self._work = work
        self._compiled: dict[int, _Compiled] = {}

    def of(self, traced: Traced) -> Executable:
        """Ready to run, for one more run.

        Raises:
            DefinitionError: a pass to be left out is none.
        """
        known = self._compiled.get(id(traced))
        if known is None:
            plan = self._plan(traced)
            executable = Executable(plan.graph, traced.bindings, nodes=plan.nodes)
            known = self._compiled[id(traced)] = _Compiled(traced, executable)
        elif self._work.is_known and known.runs & (known.runs - 1) == 0:
            # So far it was run a power of two times: durations are known better than at the last.
            known.executable.replan(self._plan(traced).nodes)
        known.runs += 1
        return known.executable

    def _plan(self, traced: Traced) -> Plan:
        try:
            return compile_graph(
                traced.graph,
                node_passes=self._node_passes,
                without=self._without,
                estimates=self._work,
            )
        except ValueError as error:
            raise DefinitionError(str(error)) from error
