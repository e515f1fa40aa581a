"""How regions unroll: a step of a region in, fresh node instances out.

A region is asked twice: `begin()` when its inputs are there, and `advance()` each time everything it
unrolled so far has settled. Both answer with more instances, a value, or an error. Regions do no I/O
and hold no clock: with the same values they unroll the same way, which is what makes a resumed run
retrace a stored one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from agentrt.errors import InvariantError, LimitExceeded, RunError
from agentrt.ir.expression import NodeId
from agentrt.runtime.evaluate import Evaluate, Values
from agentrt.runtime.executable import AgentStep, BranchStep, Executable, LLMStep, LoopStep, MapStep
from agentrt.runtime.instance import Instance, Scope
from agentrt.runtime.map_order import alike_together
from agentrt.scheduler.progress import Child


@dataclass(frozen=True, slots=True)
class Expand:
    """Add these instances to the run graph."""

    children: list[tuple[Instance, Child]]


@dataclass(frozen=True, slots=True)
class Done:
    """The region has its value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Broken:
    """The region failed; `partial` is what there is of its value."""

    error: RunError
    partial: Any = None


Outcome: TypeAlias = Expand | Done | Broken


class Region(Protocol):
    """One instance of a region node, unrolling."""

    def begin(self) -> Outcome: ...

    def advance(self) -> Outcome: ...


def activate(
    executable: Executable, prefix: str, inputs: tuple[tuple[str, Evaluate], ...], outer: Values
) -> Scope:
    """A scope of a region's body, its inputs evaluated in the scope around it."""
    # A step of this body may be called as an input that only the other body of the region has.
    wanted = executable.input_ids
    return Scope(
        executable,
        prefix,
        {name: evaluate(outer) for name, evaluate in inputs if name in wanted},
    )


class MapRegion:
    """One scope per item, all at once; the value is the list of their outputs, in item order."""

    def __init__(self, instance: Instance, step: MapStep, scope: Scope) -> None:
        self._instance = instance
        self._step = step
        self._outer = scope
        self.scopes: list[Scope] = []

    def begin(self) -> Outcome:
        step = self._step
        by_item = dict(step.item_sources)
        fixed: Values = {}
        lists: dict[str, Sequence[Any]] = {}
        for name, evaluate in step.inputs:
            if name in by_item:
                continue
            value = evaluate(self._outer.values)
            if name in step.node.mapped:
                lists[name] = value
            else:
                fixed[name] = value
        sources = {name: self._source(node_id) for name, node_id in by_item.items()}
        lengths = {name: len(items) for name, items in lists.items()}
        lengths |= {name: len(region.scopes) for name, region in sources.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            return Broken(
                RunError(
                    f"the lists of a map must be of one length: {told}", node_id=self._instance.id
                )
            )
        count = next(iter(lengths.values()), 0)
        for index in range(count):
            values = fixed | {name: items[index] for name, items in lists.items()}
            scope = Scope(step.body, f"{self._instance.id}[{index}].", values)
            for name, region in sources.items():
                scope.deferred[name] = region.scopes[index]
            self.scopes.append(scope)
        children: list[tuple[Instance, Child]] = []
        for scope in self._in_order():
            children.extend(scope.instances(self._instance))
        return Expand(children)

    def _in_order(self) -> list[Scope]:
        """The scopes in the order they are to start, as far as their prompts are known."""
        by = self._instance.plan.ordered_by
        step = next((step for step in self._step.body.steps if step.node.id == by), None)
        is_known = not any(scope.deferred for scope in self.scopes)
        if not isinstance(step, (LLMStep, AgentStep)) or not is_known:
            return self.scopes
        try:
            prompts = [step.prompt(scope.values) for scope in self.scopes]
        except Exception:  # noqa: BLE001  the node whose prompt it is will say what is wrong
            return self.scopes
        texts = [f"{system or ''}\0{user}" for system, user in prompts]
        return [self.scopes[place] for place in alike_together(texts)]

    def advance(self) -> Outcome:
        outputs = [scope.output() if scope.has_output() else None for scope in self.scopes]
        missing = sum(not scope.has_output() for scope in self.scopes)
        if missing:
            message = f"{missing} of {len(self.scopes)} items failed"
            return Broken(RunError(message, node_id=self._instance.id), partial=outputs)
        return Done(outputs)

    def _source(self, node_id: NodeId) -> MapRegion:
        """The region of another map of the same scope; it has unrolled before this one begins."""
        region = self._outer.maps[node_id]
        if not isinstance(region, MapRegion):
            raise InvariantError(f"{node_id!r} is no map that has unrolled")
        return region


class BranchRegion:
    """The side that the condition chose; its output is the value."""

    def __init__(self, instance: Instance, step: BranchStep, scope: Scope) -> None:
        self._instance = instance
        self._step = step
        self._outer = scope
        self._side: Scope | None = None

    def begin(self) -> Outcome:
        step = self._step
        is_true = bool(step.condition(self._outer.values))
        name, body = ("then", step.then) if is_true else ("otherwise", step.otherwise)
        prefix = f"{self._instance.id}.{name}."
        self._side = activate(body, prefix, step.inputs, self._outer.values)
        return Expand(self._side.instances(self._instance))

    def advance(self) -> Outcome:
        return _output(self._instance, self._side)


class LoopRegion:
    """A step, then the question whether that was it, until it was or `max_steps` are over."""

    def __init__(self, instance: Instance, step: LoopStep, scope: Scope) -> None:
        self._instance = instance
        self._step = step
        self._outer = scope
        self._index = 0
        self._state: Any = None
        self._current: Scope | None = None
        self._is_asking = False

    def begin(self) -> Outcome:
        self._state = self._step.initial(self._outer.values)
        return self._activate(self._step.step, "step")

    def advance(self) -> Outcome:
        outcome = _output(self._instance, self._current)
        if not isinstance(outcome, Done):
            return outcome
        if not self._is_asking:
            self._state = outcome.value
            self._is_asking = True
            return self._activate(self._step.until, "until")
        if outcome.value:
            return Done(self._state)
        self._is_asking = False
        self._index += 1
        if self._index >= self._step.node.max_steps:
            message = f"still not done after {self._step.node.max_steps} steps"
            error = LimitExceeded(message, limit="max_steps", node_id=self._instance.id)
            return Broken(error, partial=self._state)
        return self._activate(self._step.step, "step")

    def _activate(self, body: Executable, name: str) -> Outcome:
        prefix = f"{self._instance.id}[{self._index}].{name}."
        scope = activate(body, prefix, self._step.inputs, self._outer.values)
        if self._step.node.state in body.input_ids:
            scope.values[self._step.node.state] = self._state
        self._current = scope
        return Expand(scope.instances(self._instance))


def _output(instance: Instance, scope: Scope | None) -> Done | Broken:
    if scope is None or not scope.has_output():
        return Broken(RunError("a node inside it failed", node_id=instance.id))
    return Done(scope.output())
