"""The prompts of a stored run, written again from its graph and its results: none are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from agentrt.backends.written_calls import with_written_calls
from agentrt.compiler.pipeline import compile_graph
from agentrt.errors import CompileError, GraphError
from agentrt.ir.expression import NodeId, Slot, Template, Text
from agentrt.ir.graph import Graph
from agentrt.ir.lint_value import is_object
from agentrt.ir.node import (
    AgentNode,
    BranchNode,
    InputNode,
    LLMNode,
    LLMOptions,
    LoopNode,
    MapNode,
    PlanNode,
    ToolNode,
)
from agentrt.ir.prompt import PromptTemplate, render_value
from agentrt.ir.prompt_break import Piece
from agentrt.ir.prompt_origin import origin_of
from agentrt.ir.request import Message
from agentrt.ir.schema import Schema, canonical_json
from agentrt.ir.tool import ToolSpec
from agentrt.runtime.evaluate import evaluator
from agentrt.runtime.prompt_text import message_text, tool_text
from agentrt.runtime.restore import completion_from_json
from agentrt.runtime.stored_plans import plan_prompts
from agentrt.store.base import NodeRecord, StoredRun

_UNKNOWN = (LookupError, AttributeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrompt:
    """What one call was asked.

    Attributes:
        pieces: All of it, near to what a chat template makes of it.
        messages: The same, to be sent again.
    """

    node_id: str
    pieces: tuple[Piece, ...]
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    output_schema: Schema | None = None
    options: LLMOptions = LLMOptions()


def prompts_of(stored: StoredRun, graph: Graph | None = None) -> dict[str, StoredPrompt]:
    """By node instance. What cannot be written again is left out: inputs that never came to be.

    Values are those that the store keeps, which is JSON: a value whose Python type prints in another
    way than its JSON does is written as JSON here.

    Args:
        stored: The run; of a program in free Python nothing is known.
        graph: With the prompts of this one, which is a plan's; None: of the run's own, compiled.
    """
    if graph is None:
        graph = _planned(stored)
    if graph is None:
        return {}
    given: Any = stored.run.input
    given = given if is_object(given) else {}
    records = {node.node_id: node for node in stored.nodes if node.status == "finished"}
    scope = _Scope(graph, "", given, records, graph.tools)
    return {prompt.node_id: prompt for prompt in scope.prompts()}


def _planned(stored: StoredRun) -> Graph | None:
    if stored.run.graph is None:
        return None
    try:
        return compile_graph(Graph.from_json(stored.run.graph)).graph
    except (GraphError, CompileError):
        return None


def pieces_of(tools: tuple[ToolSpec, ...], messages: tuple[Message, ...]) -> tuple[Piece, ...]:
    """A request in the pieces that a client's own words tell of: tools and messages."""
    found = [Piece(tool_text(tool), f"the schema of the tool {tool.name}") for tool in tools]
    found += [
        Piece(message_text(message), f"the {message.role} message {number}", number)
        for number, message in enumerate(messages)
    ]
    return tuple(found)


def answer_schema(schema: Schema) -> Schema | None:
    """What an answer that gives a value of `schema` must fit, as `agentrt.dsl` asks for it."""
    if dict(schema) == {"type": "string"}:
        return None
    if schema.get("type") == "object":
        return schema
    inner = dict(schema)
    definitions = inner.pop("$defs", None)
    wrapped: dict[str, Any] = {
        "type": "object",
        "properties": {"answer": inner},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return wrapped | ({"$defs": definitions} if definitions else {})


def _instructions(schema: Schema, *, is_agent: bool) -> str:
    wanted = answer_schema(schema)
    if wanted is None:
        return ""
    text = (
        "Answer with one JSON object that fits this JSON Schema, and nothing else:\n"
        + canonical_json(wanted)
    )
    return f"When you are done: {text}" if is_agent else text


@dataclass
class _Scope:
    """One activation of a graph or a body, of which the store has the results.

    Attributes:
        prefix: What its instances' ids begin with.
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

    def prompts(self) -> Iterator[StoredPrompt]:
        for node in self.graph.nodes:
            match node:
                case LLMNode():
                    yield from self._call(node)
                case AgentNode():
                    yield from _turns(node, self)
                case MapNode() | BranchNode() | LoopNode():
                    for scope in self._scopes(node):
                        yield from scope.prompts()
                case PlanNode():
                    yield from self._planned(node)
                case InputNode() | ToolNode():
                    pass
                case _:
                    assert_never(node)

    def opening(
        self, node: LLMNode | AgentNode
    ) -> tuple[tuple[Piece, ...], tuple[Message, ...]] | None:
        """The first messages, in pieces and as they are sent; None if some value is missing."""
        try:
            written = _written(node.prompt, self)
        except _UNKNOWN:
            return None
        instructions = _instructions(node.output, is_agent=isinstance(node, AgentNode))
        system, user = written
        if instructions:
            between = [Piece("\n\n", "static text", 0)] if system else []
            system += [*between, Piece(instructions, f"the form of the answer of {node.id}", 0)]
        pieces: list[Piece] = []
        messages: list[Message] = []
        for role, said in (("system", system), ("user", user)):
            if role == "system" and not said:
                continue
            number = len(messages)
            text = "".join(piece.text for piece in said)
            message = Message("system" if role == "system" else "user", text)
            head = message_text(Message(message.role, ""))
            pieces.append(Piece(head, "static text", number))
            pieces += [Piece(piece.text, piece.origin, number) for piece in said]
            messages.append(message)
        return tuple(pieces), tuple(messages)

    def _call(self, node: LLMNode) -> Iterator[StoredPrompt]:
        opening = self.opening(node)
        if opening is not None:
            pieces, messages = opening
            yield StoredPrompt(
                node_id=self.instance_id(node.id),
                pieces=pieces,
                messages=messages,
                output_schema=answer_schema(node.output),
                options=node.options,
            )

    def _planned(self, node: PlanNode) -> Iterator[StoredPrompt]:
        try:
            written = _written(node.prompt, self)
        except _UNKNOWN:
            return
        asked = plan_prompts(
            node,
            self.instance_id(node.id),
            written,
            tools=[self.tools[name] for name in node.tools],
            records=self.records,
        )
        for prompt in asked:
            yield StoredPrompt(
                node_id=prompt.node_id,
                pieces=prompt.pieces,
                messages=prompt.messages,
                output_schema=prompt.output_schema,
                options=node.options,
            )

    def _value(self, node_id: NodeId) -> Any:
        node = self.graph.by_id[node_id]
        match node:
            case InputNode():
                return self.given.get(node_id, node.default)
            case MapNode():
                return [scope.output() for scope in self._scopes(node)]
            case BranchNode() | LoopNode():
                *_, last = self._scopes(node)
                if isinstance(node, LoopNode):
                    return last.given[node.state]  # what `until` was asked about
                return last.output()
            case _:
                return self.records[self.instance_id(node_id)].value

    def _scopes(self, node: MapNode | BranchNode | LoopNode) -> Iterator[_Scope]:
        """Those that can be told; where a value is missing, none."""
        try:
            inputs = {name: self._evaluated(value) for name, value in node.inputs}
            instance = self.instance_id(node.id)
            match node:
                case MapNode():
                    count = min((len(inputs[name]) for name in node.mapped), default=0)
                    for index in range(count):
                        items = {name: inputs[name][index] for name in node.mapped}
                        yield self._inside(node.body, f"{instance}[{index}].", inputs | items)
                case BranchNode():
                    is_then = bool(self._evaluated(node.condition))
                    name, body = ("then", node.then) if is_then else ("otherwise", node.otherwise)
                    yield self._inside(body, f"{instance}.{name}.", inputs)
                case LoopNode():
                    yield from self._steps(node, instance, inputs)
                case _:
                    assert_never(node)
        except _UNKNOWN:
            return

    def _steps(
        self, node: LoopNode, instance: str, inputs: Mapping[NodeId, Any]
    ) -> Iterator[_Scope]:
        state = self._evaluated(node.initial)
        for index in range(node.max_steps):
            step = self._inside(
                node.step, f"{instance}[{index}].step.", {**inputs, node.state: state}
            )
            yield step
            state = step.output()
            until = self._inside(
                node.until, f"{instance}[{index}].until.", {**inputs, node.state: state}
            )
            yield until
            if until.output():
                return

    def _inside(self, body: Graph, prefix: str, given: Mapping[NodeId, Any]) -> _Scope:
        return _Scope(body, prefix, given, self.records, self.tools)

    def _evaluated(self, expression: Any) -> Any:
        return evaluator(expression)(self)  # type: ignore[arg-type]  # read only


def _turns(node: AgentNode, scope: _Scope) -> Iterator[StoredPrompt]:
    opening = scope.opening(node)
    if opening is None:
        return
    agent_id = scope.instance_id(node.id)
    tools = tuple(scope.tools[name] for name in node.shown_tools or node.tools)
    pieces = [Piece(tool_text(each), f"the schema of the tool {each.name}") for each in tools]
    pieces += opening[0]
    messages = list(opening[1])
    for turn in range(node.max_turns):
        turn_id = f"{agent_id}[{turn}].llm"
        yield StoredPrompt(
            node_id=turn_id,
            pieces=tuple(pieces),
            messages=tuple(messages),
            tools=tools,
            options=node.options,
        )
        said = _said(scope.records, agent_id, turn, {each.name for each in tools})
        if not said:
            return
        for message, origin in said:
            pieces.append(Piece(message_text(message), origin, len(messages)))
            messages.append(message)


def _said(
    records: Mapping[str, NodeRecord], agent_id: str, turn: int, tools: set[str]
) -> list[tuple[Message, str]]:
    """What a turn added to the transcript; nothing if it was the last, or is not known."""
    record = records.get(f"{agent_id}[{turn}].llm")
    if record is None:
        return []
    try:
        completion = with_written_calls(completion_from_json(record.value), tools, turn=turn)
    except _UNKNOWN:
        return []
    if not completion.tool_calls:
        return []
    said = [
        (
            Message("assistant", completion.text, completion.tool_calls),
            f"the answer of {agent_id}[{turn}].llm",
        )
    ]
    counts: dict[str, int] = {}
    for call in completion.tool_calls:
        name = call.name if call.name in tools else "unknown"
        counts[name] = counts.get(name, -1) + 1
        result = records.get(f"{agent_id}[{turn}].{name}[{counts[name]}]")
        if result is None:
            return []
        message = Message("tool", str(result.value), tool_call_id=call.id)
        said.append((message, f"the result of {result.node_id}"))
    return said


def _written(prompt: PromptTemplate, scope: _Scope) -> tuple[list[Piece], list[Piece]]:
    system = [] if prompt.system is None else list(_pieces(prompt.system, scope))
    user: list[Piece] = []
    for template in (*prompt.context, prompt.user):
        if user or template is not (*prompt.context, prompt.user)[0]:
            user.append(Piece("\n\n", "static text"))
        user += _pieces(template, scope)
    return system, user


def _pieces(template: Template, scope: _Scope) -> Iterator[Piece]:
    for part in template.parts:
        match part:
            case Text(text):
                yield Piece(text, "static text")
            case Slot(expression):
                value = evaluator(expression)(scope)  # type: ignore[arg-type]  # read only
                yield Piece(render_value(value), origin_of(part, scope.graph))
