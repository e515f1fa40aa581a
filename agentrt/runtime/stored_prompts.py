"""The prompts of a stored run, written again from its graph and its results: none are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, assert_never

from agentrt.backends.written_calls import with_written_calls
from agentrt.compiler.pipeline import compile_graph
from agentrt.errors import CompileError, GraphError
from agentrt.ir.expression import Slot, Template, Text
from agentrt.ir.graph import Graph
from agentrt.ir.node import (
    AgentNode,
    BranchNode,
    InputNode,
    LLMNode,
    LoopNode,
    MapNode,
    PlanNode,
    ToolNode,
)
from agentrt.ir.prompt import PromptTemplate, render_value
from agentrt.ir.prompt_break import Piece
from agentrt.ir.prompt_origin import origin_of
from agentrt.ir.request import Message
from agentrt.ir.schema import Schema, canonical_json, is_object
from agentrt.runtime.agent import with_call_ids
from agentrt.runtime.evaluate import evaluator
from agentrt.runtime.prompt_text import message_text, tool_text
from agentrt.runtime.restore import UNKNOWN_EFFECT, completion_from_json
from agentrt.runtime.stored_plans import plan_prompts
from agentrt.runtime.stored_prompt import StoredPrompt
from agentrt.runtime.stored_values import UNKNOWN, StoredScope
from agentrt.store.base import NodeRecord, StoredRun


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
    records = {
        node.node_id: node for node in stored.nodes if node.status in ("finished", "started")
    }
    scope = StoredScope(graph, "", given, records, graph.tools)
    return {prompt.node_id: prompt for prompt in _prompts(scope)}


def _planned(stored: StoredRun) -> Graph | None:
    if stored.run.graph is None:
        return None
    try:
        return compile_graph(Graph.from_json(stored.run.graph)).graph
    except (GraphError, CompileError):
        return None


def _answer_schema(schema: Schema) -> Schema | None:
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
    wanted = _answer_schema(schema)
    if wanted is None:
        return ""
    text = (
        "Answer with one JSON object that fits this JSON Schema, and nothing else:\n"
        + canonical_json(wanted)
    )
    return f"When you are done: {text}" if is_agent else text


def _prompts(scope: StoredScope) -> Iterator[StoredPrompt]:
    for node in scope.graph.nodes:
        match node:
            case LLMNode():
                yield from _call(node, scope)
            case AgentNode():
                yield from _turns(node, scope)
            case MapNode() | BranchNode() | LoopNode():
                for inner in scope.scopes(node):
                    yield from _prompts(inner)
            case PlanNode():
                yield from _of_plan(node, scope)
            case InputNode() | ToolNode():
                pass
            case _:
                assert_never(node)


def _opening(
    node: LLMNode | AgentNode, scope: StoredScope
) -> tuple[tuple[Piece, ...], tuple[Message, ...]] | None:
    """The first messages, in pieces and as they are sent; None if some value is missing."""
    try:
        written = _written(node.prompt, scope)
    except UNKNOWN:
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


def _call(node: LLMNode, scope: StoredScope) -> Iterator[StoredPrompt]:
    opening = _opening(node, scope)
    if opening is not None:
        pieces, messages = opening
        yield StoredPrompt(
            node_id=scope.instance_id(node.id),
            pieces=pieces,
            messages=messages,
            output_schema=_answer_schema(node.output),
            options=node.options,
        )


def _of_plan(node: PlanNode, scope: StoredScope) -> Iterator[StoredPrompt]:
    try:
        written = _written(node.prompt, scope)
    except UNKNOWN:
        return
    yield from plan_prompts(
        node,
        scope.instance_id(node.id),
        written,
        tools=[scope.tools[name] for name in node.tools],
        records={key: each for key, each in scope.records.items() if each.status == "finished"},
    )


def _turns(node: AgentNode, scope: StoredScope) -> Iterator[StoredPrompt]:
    opening = _opening(node, scope)
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
        said = _said(scope.records, agent_id, turn, set(node.tools))
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
        completion = completion_from_json(record.value)
        completion = with_call_ids(with_written_calls(completion, tools, turn=turn), turn=turn)
    except UNKNOWN:
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
        value = result.value
        if result.status == "started":  # the run may have been resumed without it
            if f"{agent_id}[{turn + 1}].llm" not in records:
                return []
            value = UNKNOWN_EFFECT
        message = Message("tool", str(value), tool_call_id=call.id)
        said.append((message, f"the result of {result.node_id}"))
    return said


def _written(prompt: PromptTemplate, scope: StoredScope) -> tuple[list[Piece], list[Piece]]:
    system = [] if prompt.system is None else list(_pieces(prompt.system, scope))
    user: list[Piece] = []
    for template in (*prompt.context, prompt.user):
        if user or template is not (*prompt.context, prompt.user)[0]:
            user.append(Piece("\n\n", "static text"))
        user += _pieces(template, scope)
    return system, user


def _pieces(template: Template, scope: StoredScope) -> Iterator[Piece]:
    for part in template.parts:
        match part:
            case Text(text):
                yield Piece(text, "static text")
            case Slot(expression):
                value = evaluator(expression)(scope)  # type: ignore[arg-type]  # read only
                yield Piece(render_value(value), origin_of(part, scope.graph))
