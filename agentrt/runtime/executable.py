"""`Executable`: a graph made ready to run many times: expressions compiled, names resolved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from agentrt.compiler.analysis import body_prefix
from agentrt.dsl.binding import Bindings
from agentrt.dsl.functions import ToolFunction
from agentrt.dsl.value_type import ValueType
from agentrt.ir.expression import NodeId, Use, uses
from agentrt.ir.graph import Graph
from agentrt.ir.node import (
    AgentNode,
    BranchNode,
    InputNode,
    LLMNode,
    LoopNode,
    MapNode,
    Node,
    PlanNode,
    Tier,
    ToolNode,
)
from agentrt.ir.plan import NodePlan
from agentrt.ir.tool import ToolSpec
from agentrt.runtime.evaluate import (
    Evaluate,
    Values,
    arguments_evaluator,
    evaluator,
    prompt_evaluator,
)

UNPLANNED = NodePlan(depth=0, height=1)
"""Of nodes that no compiler has seen."""

RenderPrompt: TypeAlias = Callable[[Values], tuple[str | None, str]]


@dataclass(frozen=True, slots=True)
class ToolStep:
    """A tool call, ready to make."""

    node: ToolNode
    tool: ToolFunction[..., Any]
    arguments: Callable[[Values], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class LLMStep:
    """An LLM call, ready to make."""

    node: LLMNode
    answer: ValueType[Any]
    prompt: RenderPrompt


@dataclass(frozen=True, slots=True)
class AgentStep:
    """An agent, ready to unroll.

    Attributes:
        tools: What it may call.
        shown: What the model is shown, the same for every turn of every run of this plan.
    """

    node: AgentNode
    answer: ValueType[Any]
    prompt: RenderPrompt
    tools: tuple[ToolFunction[..., Any], ...]
    shown: tuple[ToolSpec, ...]


@dataclass(frozen=True, slots=True)
class PlanStep:
    """A question to plan for, ready to unroll."""

    node: PlanNode
    answer: ValueType[Any]
    prompt: RenderPrompt
    tools: tuple[ToolFunction[..., Any], ...]


@dataclass(frozen=True, slots=True)
class MapStep:
    """A map, ready to unroll.

    Attributes:
        item_sources: For each mapped input, the map of the same graph whose list it iterates over,
            if it is one: its items are then taken one by one, as they finish.
    """

    node: MapNode
    body: Executable
    inputs: tuple[tuple[str, Evaluate], ...]
    item_sources: tuple[tuple[str, NodeId], ...]


@dataclass(frozen=True, slots=True)
class BranchStep:
    """A branch, ready to unroll."""

    node: BranchNode
    condition: Evaluate
    then: Executable
    otherwise: Executable
    inputs: tuple[tuple[str, Evaluate], ...]


@dataclass(frozen=True, slots=True)
class LoopStep:
    """A loop, ready to unroll."""

    node: LoopNode
    initial: Evaluate
    step: Executable
    until: Executable
    inputs: tuple[tuple[str, Evaluate], ...]


Step: TypeAlias = ToolStep | LLMStep | AgentStep | PlanStep | MapStep | BranchStep | LoopStep


class Executable:
    """A graph and its bindings. Holds no state of any run.

    Attributes:
        steps: Every node but the inputs, in definition order.
        reads: For each step, the steps it waits for; maps it takes items from are left out.
        input_ids: The `InputNode`s.
        input_reads: For each step, the `InputNode`s it reads.
        output: The value of the graph as a function of the values there are.
        output_reads: The steps the output reads, and the inputs it reads, each once.
        tiers: The tiers of the LLM calls there may be, in bodies too.
        plans: What the compiler knows of its nodes, by their ids here.
    """

    def __init__(
        self,
        graph: Graph,
        bindings: Bindings,
        specs: Mapping[str, ToolSpec] | None = None,
        *,
        nodes: Mapping[NodeId, NodePlan] | None = None,
        prefix: str = "",
    ) -> None:
        """Bodies have no tools of their own: `specs` are those of the graph they are in.

        `nodes` is a plan's, by full ids: those of `graph` begin with `prefix`.
        """
        self._nodes = nodes or {}
        self._prefix = prefix
        self.graph = graph
        self.bindings = bindings
        self.specs: Mapping[str, ToolSpec] = graph.tools if specs is None else specs
        self.input_ids = {node.id for node in graph.inputs}
        self._map_ids = {node.id for node in graph.nodes if isinstance(node, MapNode)}
        self.steps: tuple[Step, ...] = tuple(
            self._compile(node) for node in graph.nodes if not isinstance(node, InputNode)
        )
        self.tiers: frozenset[Tier] = frozenset[Tier]().union(*map(_tiers, self.steps))
        self.reads: dict[NodeId, tuple[NodeId, ...]] = {}
        self.input_reads: dict[NodeId, tuple[NodeId, ...]] = {}
        for step in self.steps:
            node_id = step.node.id
            read = graph.dependencies[node_id]
            from_items = self._read_only_by_item(step)
            self.reads[node_id] = tuple(
                r for r in read if r not in self.input_ids and r not in from_items
            )
            self.input_reads[node_id] = tuple(r for r in read if r in self.input_ids)
        self.plans: Mapping[NodeId, NodePlan] = self._own_plans()
        self.output = evaluator(graph.output)
        self.output_steps = tuple(r for r in graph.output_uses if r not in self.input_ids)
        self.output_inputs = tuple(r for r in graph.output_uses if r in self.input_ids)

    def replan(self, nodes: Mapping[NodeId, NodePlan]) -> None:
        """More is known of the same nodes: runs that go on, and those to come, are told of it."""
        self._nodes = nodes
        self.plans = self._own_plans()
        for step in self.steps:
            for body in _bodies(step):
                body.replan(nodes)

    def _own_plans(self) -> Mapping[NodeId, NodePlan]:
        return {
            node.id: self._nodes.get(self._prefix + node.id, UNPLANNED) for node in self.graph.nodes
        }

    def _body(self, node: Node, name: str, body: Graph) -> Executable:
        prefix = body_prefix(self._prefix + node.id, name)
        return Executable(body, self.bindings, self.specs, nodes=self._nodes, prefix=prefix)

    def _compile(self, node: Node) -> Step:
        bindings = self.bindings
        match node:
            case ToolNode():
                tool = bindings.tools[node.tool]
                return ToolStep(node, tool, arguments_evaluator(node.inputs, tool.parameters))
            case LLMNode():
                return LLMStep(node, bindings.answers[node.function], prompt_evaluator(node.prompt))
            case AgentNode():
                return AgentStep(
                    node,
                    bindings.answers[node.function],
                    prompt_evaluator(node.prompt),
                    tuple(bindings.tools[name] for name in node.tools),
                    tuple(self._spec(name) for name in node.shown_tools or node.tools),
                )
            case PlanNode():
                return PlanStep(
                    node,
                    bindings.answers[node.function],
                    prompt_evaluator(node.prompt),
                    tuple(bindings.tools[name] for name in node.tools),
                )
            case MapNode():
                sources = tuple(
                    (name, value.node)
                    for name, value in node.inputs
                    if name in node.mapped
                    and isinstance(value, Use)
                    and not value.path
                    and value.node in self._map_ids
                )
                return MapStep(
                    node, self._body(node, "body", node.body), _named(node.inputs), sources
                )
            case BranchNode():
                return BranchStep(
                    node,
                    evaluator(node.condition),
                    self._body(node, "then", node.then),
                    self._body(node, "otherwise", node.otherwise),
                    _named(node.inputs),
                )
            case LoopNode():
                return LoopStep(
                    node,
                    evaluator(node.initial),
                    self._body(node, "step", node.step),
                    self._body(node, "until", node.until),
                    _named(node.inputs),
                )
            case InputNode():
                raise AssertionError("inputs are not steps")
            case _:
                assert_never(node)

    def _spec(self, name: str) -> ToolSpec:
        """As the plan has it; its Python function may have it in other words."""
        specs = self.specs
        return specs[name] if name in specs else self.bindings.tools[name].spec

    def _read_only_by_item(self, step: Step) -> frozenset[NodeId]:
        """The maps `step` reads item by item and in no other way."""
        if not isinstance(step, MapStep):
            return frozenset()
        sources = {source for _, source in step.item_sources}
        by_item = {name for name, _ in step.item_sources}
        otherwise = {
            use.node
            for name, value in step.node.inputs
            if name not in by_item
            for use in uses(value)
        }
        return frozenset(sources - otherwise)


def _bodies(step: Step) -> tuple[Executable, ...]:
    match step:
        case MapStep():
            return (step.body,)
        case BranchStep():
            return (step.then, step.otherwise)
        case LoopStep():
            return (step.step, step.until)
        case _:
            return ()


def _tiers(step: Step) -> frozenset[Tier]:
    match step:
        case ToolStep():
            return frozenset()
        case LLMStep() | AgentStep() | PlanStep():
            return frozenset({step.node.options.tier or "large"})
        case MapStep():
            return step.body.tiers
        case BranchStep():
            return step.then.tiers | step.otherwise.tiers
        case LoopStep():
            return step.step.tiers | step.until.tiers
        case _:
            assert_never(step)


def _named(inputs: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Evaluate], ...]:
    return tuple((name, evaluator(value)) for name, value in inputs)
