"""The values of a stored run's nodes, those of its bodies too: put together from what the store keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

from agentrt.ir.expression import Expression, NodeId, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import BranchNode, InputNode, LoopNode, MapNode
from agentrt.ir.tool import ToolSpec
from agentrt.runtime.evaluate import evaluator
from agentrt.store.base import NodeRecord

UNKNOWN = (LookupError, AttributeError, TypeError, ValueError)
"""What looking for a value raises that the run never had."""


_MISSING: Final = object()
"""In place of an item that another map has failed to give: what does not need it has run."""


@dataclass
class StoredScope:
    """One activation of a graph or a body, of which the store has the results.

    Attributes:
        prefix: What its instances' ids begin with.
        records: What has finished, and calls of which it is not known whether they did.
    """

    graph: Graph
    prefix: str
    given: Mapping[NodeId, Any]
    records: Mapping[str, NodeRecord]
    tools: Mapping[str, ToolSpec]
    found: dict[NodeId, Any] = field(default_factory=dict[NodeId, Any])

    def __getitem__(self, node_id: NodeId) -> Any:
        """Raises `LookupError` (or what a projection raises) where the run has no such value."""
        if node_id not in self.found:
            self.found[node_id] = self._value(node_id)
        return self.found[node_id]

    def instance_id(self, node_id: NodeId) -> str:
        steps = sum(not isinstance(node, InputNode) for node in self.graph.nodes)
        if self.prefix.endswith("].") and steps == 1:
            return self.prefix[:-1]
        return self.prefix + node_id

    def output(self) -> Any:
        return evaluator(self.graph.output)(self)  # type: ignore[arg-type]  # read only

    def _value(self, node_id: NodeId) -> Any:
        node = self.graph.by_id[node_id]
        match node:
            case InputNode():
                value = self.given.get(node_id, node.default)
                if value is _MISSING:
                    raise LookupError(node_id)
                return value
            case MapNode():
                return [scope.output() for scope in self._inside(node)]
            case BranchNode():
                (side,) = self._inside(node)
                return side.output()
            case LoopNode():
                *_, until = self._inside(node)
                if not until.output():
                    raise LookupError(node_id)  # it came to its limit
                return until.given[node.state]
            case _:
                record = self.records[self.instance_id(node_id)]
                if record.status != "finished":
                    raise LookupError(node_id)
                return record.value

    def scopes(self, node: MapNode | BranchNode | LoopNode) -> Iterator[StoredScope]:
        """Those inside `node` that can be told: up to where a value is missing."""
        try:
            yield from self._inside(node)
        except UNKNOWN:
            return

    def _inside(self, node: MapNode | BranchNode | LoopNode) -> Iterator[StoredScope]:
        """Raises as `__getitem__` does where a value is missing."""
        mapped = node.mapped if isinstance(node, MapNode) else ()
        inputs = {
            name: self._items(value) if name in mapped else self._evaluated(value)
            for name, value in node.inputs
        }
        instance = self.instance_id(node.id)
        match node:
            case MapNode():
                count = min((len(inputs[name]) for name in mapped), default=0)
                for index in range(count):
                    items = {name: inputs[name][index] for name in mapped}
                    yield self._body(node.body, f"{instance}[{index}].", inputs | items)
            case BranchNode():
                is_then = bool(self._evaluated(node.condition))
                name, body = ("then", node.then) if is_then else ("otherwise", node.otherwise)
                yield self._body(body, f"{instance}.{name}.", inputs)
            case LoopNode():
                yield from self._steps(node, instance, inputs)
            case _:
                assert_never(node)

    def _steps(
        self, node: LoopNode, instance: str, inputs: Mapping[NodeId, Any]
    ) -> Iterator[StoredScope]:
        state = self._evaluated(node.initial)
        for index in range(node.max_steps):
            step = self._body(
                node.step, f"{instance}[{index}].step.", {**inputs, node.state: state}
            )
            yield step
            state = step.output()
            until = self._body(
                node.until, f"{instance}[{index}].until.", {**inputs, node.state: state}
            )
            yield until
            if until.output():
                return

    def _items(self, expression: Expression) -> Sequence[Any]:
        """What a map goes over; of another map, which may have failed, each item that there is."""
        try:
            items: Sequence[Any] = self._evaluated(expression)
        except UNKNOWN:
            if not isinstance(expression, Use) or expression.path:
                raise
            source = self.graph.by_id[expression.node]
            if not isinstance(source, MapNode):
                raise
            items = list(map(_output, self._inside(source)))
        return items

    def _body(self, body: Graph, prefix: str, given: Mapping[NodeId, Any]) -> StoredScope:
        return StoredScope(body, prefix, given, self.records, self.tools)

    def _evaluated(self, expression: Any) -> Any:
        return evaluator(expression)(self)  # type: ignore[arg-type]  # read only


def _output(scope: StoredScope) -> Any:
    try:
        return scope.output()
    except UNKNOWN:
        return _MISSING
