"""The rules of a graph, each with the message its author sees when it is broken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import assert_never

from agentrt.errors import GraphError
from agentrt.ir.graph import Graph
from agentrt.ir.lint_tool import Parameters, parameters_of, tool_problem
from agentrt.ir.lint_value import (
    MAX_DEPTH,
    below,
    expression_problem,
    json_problem,
    not_positive,
    text_problem,
)
from agentrt.ir.node import (
    AgentNode,
    BranchNode,
    InputNode,
    Inputs,
    LLMNode,
    LLMOptions,
    LoopNode,
    MapNode,
    Node,
    PlanNode,
    ToolNode,
    bodies,
    expressions,
)
from agentrt.ir.order import topological_order
from agentrt.ir.schema import Schema

_NODE_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def lint(graph: Graph) -> None:
    """Check the graph's own rules, in every body too.

    Raises:
        GraphError: naming the node (inside a region by its full id, `loop.step.node`) and the rule.
    """
    for name, spec in graph.tools.items():
        if problem := tool_problem(name, spec):
            raise GraphError(f"graph {graph.name!r}, tool {spec.name!r}: {problem}")
    _Linter(graph).lint(graph, prefix="", depth=0)


class _Linter:
    """One walk over a graph and its bodies. Checks yield or return problems; `lint` raises one."""

    def __init__(self, top: Graph) -> None:
        self._top = top
        self._tools = top.tools
        self._parameters: Mapping[str, Parameters] = {
            name: parameters_of(spec) for name, spec in top.tools.items()
        }
        # Many calls of one function share one schema object: it is checked once.
        self._checked_schemas: set[int] = set()

    def lint(self, graph: Graph, *, prefix: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._error(prefix, f"bodies nest deeper than {MAX_DEPTH} levels")
        if problem := text_problem(graph.name):
            raise self._error(prefix, f"its name: {problem}")
        self._check_ids(graph, prefix)
        for node in graph.nodes:
            if problem := self._problem(node, graph):
                raise self._error(prefix + node.id, problem)
            for name, body in bodies(node):
                inner = prefix + node.id + ("." if name == "body" else f".{name}.")
                if body.tools:
                    raise self._error(inner, "a body has no tools; they belong to the whole graph")
                self.lint(body, prefix=inner, depth=depth + 1)
        if problem := expression_problem(graph.output, graph, self._tools):
            raise self._error(f"{prefix}output", problem)
        topological_order(graph)

    def _error(self, where: str, problem: str) -> GraphError:
        place = _clipped(where.rstrip(".") or "top", 400)
        return GraphError(
            f"graph {_clipped(self._top.name, 100)!r}, {place!r}: {_clipped(problem, 1000)}"
        )

    def _check_ids(self, graph: Graph, prefix: str) -> None:
        seen: set[str] = set()
        branches = {node.id for node in graph.nodes if isinstance(node, BranchNode)}
        lengths = sorted({len(node_id) for node_id in branches})
        for node in graph.nodes:
            if not _NODE_ID.fullmatch(node.id):
                raise self._error(prefix + node.id, f"an id must match {_NODE_ID.pattern}")
            if node.id in seen:
                raise self._error(prefix + node.id, "two nodes have this id")
            if branches and "." in node.id and (owner := _owner(node.id, branches, lengths)):
                raise self._error(prefix + node.id, f"such ids belong to what is inside {owner!r}")
            seen.add(node.id)

    def _problem(self, node: Node, graph: Graph) -> str | None:
        problem = next(self._problems(node), None)
        if problem:
            return problem
        # Whole prompts, because their static text is checked too.
        read = (
            node.prompt.templates()
            if isinstance(node, (LLMNode, AgentNode, PlanNode))
            else expressions(node)
        )
        for expression in read:
            problem = expression_problem(expression, graph, self._tools)
            if problem:
                return problem
        return None

    def _problems(self, node: Node) -> Iterator[str]:
        match node:
            case InputNode():
                yield from self._schema_problems(node.schema)
                if node.is_required and node.default is not None:
                    yield "a required input has no default"
                if problem := json_problem(node.default):
                    yield f"its default: {problem}"
            case ToolNode():
                yield from self._call_problems(node)
            case LLMNode() | AgentNode() | PlanNode():
                yield from self._asking_problems(node)
            case MapNode():
                yield from _map_problems(node)
            case BranchNode():
                yield from _branch_problems(node)
            case LoopNode():
                yield from _loop_problems(node)
            case _:
                assert_never(node)

    def _schema_problems(self, schema: Schema) -> Iterator[str]:
        if id(schema) in self._checked_schemas:
            return
        if problem := json_problem(schema):
            yield f"its schema: {problem}"
        self._checked_schemas.add(id(schema))

    def _call_problems(self, node: ToolNode) -> Iterator[str]:
        parameters = self._parameters.get(node.tool)
        if parameters is None:
            yield f"it calls tool {node.tool!r}, which the graph does not have"
            return
        yield from _repeats((name for name, _ in node.inputs), "argument")
        if problem := parameters.problem({name for name, _ in node.inputs}):
            yield f"tool {node.tool!r} {problem}"

    def _asking_problems(self, node: LLMNode | AgentNode | PlanNode) -> Iterator[str]:
        if problem := text_problem(node.function):
            yield f"its function: {problem}"
        yield from self._schema_problems(node.output)
        yield from _option_problems(node.options)
        if not isinstance(node, LLMNode):
            yield from self._loop_of_calls_problems(node)

    def _loop_of_calls_problems(self, node: AgentNode | PlanNode) -> Iterator[str]:
        for tool in node.tools:
            if tool not in self._tools:
                yield f"it names tool {tool!r}, which the graph does not have"
        yield from _repeats(node.tools, "tool")
        if isinstance(node, PlanNode):
            problem = below(0, max_replans=node.max_replans, max_repairs=node.max_repairs)
            problem = problem or below(1, max_tasks=node.max_tasks)
        else:
            yield from self._shown_tool_problems(node)
            problem = below(1, max_turns=node.max_turns)
        problem = problem or below(1, max_total_tokens=node.max_total_tokens)
        if problem := problem or not_positive(timeout_s=node.timeout_s):
            yield problem

    def _shown_tool_problems(self, node: AgentNode) -> Iterator[str]:
        for tool in node.shown_tools:
            if tool not in self._tools:
                yield f"it shows tool {tool!r}, which the graph does not have"
        yield from _repeats(node.shown_tools, "shown tool")
        shown = set(node.shown_tools)
        hidden = [tool for tool in node.tools if tool not in shown]
        if node.shown_tools and hidden:
            yield f"it may call {hidden[0]!r}, which is not among the tools it shows"


def _owner(node_id: str, branches: set[str], lengths: Sequence[int]) -> str | None:
    """The branch whose instances have ids like `node_id`: `branch.then.node`.

    By the lengths that there are, and not by every dot of an id that somebody else wrote.
    """
    for length in lengths:
        if node_id[length : length + 1] == "." and node_id[:length] in branches:
            return node_id[:length]
    return None


def _option_problems(options: LLMOptions) -> Iterator[str]:
    if options == _DEFAULT_OPTIONS:
        return
    problem = (
        below(1, max_tokens=options.max_tokens)
        or below(0, retries=options.retries, output_retries=options.output_retries)
        or below(0, temperature=options.temperature)
        or not_positive(timeout_s=options.timeout_s)
        or json_problem([options.model, *options.stop, options.seed])
    )
    if problem:
        yield problem


_DEFAULT_OPTIONS = LLMOptions()


def _map_problems(node: MapNode) -> Iterator[str]:
    names = _names(node.inputs)
    yield from _repeats((name for name, _ in node.inputs), "input")
    if not node.mapped:
        yield "a map iterates over at least one input"
    yield from _repeats(node.mapped, "mapped input")
    for name in node.mapped:
        if name not in names:
            yield f"it maps over {name!r}, which is not one of its inputs"
    yield from _body_problems("body", node.body, names)
    given = {parameter.id for parameter in node.body.inputs}
    for name, _ in node.inputs:
        if name not in given:
            yield f"its body has no input {name!r}"


def _branch_problems(node: BranchNode) -> Iterator[str]:
    yield from _repeats((name for name, _ in node.inputs), "input")
    for name, body in bodies(node):
        yield from _body_problems(name, body, _names(node.inputs))


def _loop_problems(node: LoopNode) -> Iterator[str]:
    yield from _repeats((name for name, _ in node.inputs), "input")
    if problem := below(1, max_steps=node.max_steps):
        yield problem
    names = _names(node.inputs)
    if node.state in names:
        yield f"its state is called {node.state!r}, so an input cannot be"
    for name, body in bodies(node):
        if node.state not in {parameter.id for parameter in body.inputs}:
            yield f"its {name} has no input {node.state!r} for the state"
        yield from _body_problems(name, body, names | {node.state})


def _body_problems(name: str, body: Graph, given: set[str]) -> Iterator[str]:
    for parameter in body.inputs:
        if parameter.id not in given:
            yield f"the input {parameter.id!r} of its {name} is given no value"


def _clipped(text: str, length: int) -> str:
    """Names of a graph that was read from a file may be megabytes."""
    return text if len(text) <= length else f"{text[:length]}…"


def _names(inputs: Inputs) -> set[str]:
    return {name for name, _ in inputs}


def _repeats(names: Iterable[str], what: str) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{what} {name!r} is given twice"
        seen.add(name)
