"""Stored runs as a workload: what they asked of the engine and of their tools, to be replayed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from agentrt.errors import GraphError, InputError
from agentrt.ir.graph import Graph
from agentrt.ir.node import ToolNode
from agentrt.ir.prefix import BlockId, Chain, Run, chained, first_blocks
from agentrt.ir.request import Usage
from agentrt.ir.workload import CallStep, ProgramTrace, Step, ToolStep, Workload
from agentrt.runtime.argument_class import argument_class
from agentrt.runtime.call_detail import CallDetail, detail_from_json
from agentrt.runtime.prompt_chains import BLOCK_CHARACTERS, BRANCH_BITS
from agentrt.runtime.step_order import StepOrder, node_of
from agentrt.store.base import AttemptRecord, NodeRecord, StoredRun

_CHARACTERS_PER_TOKEN = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One LLM call that was answered."""

    node_id: str
    begun_s: float
    ended_s: float
    usage: Usage
    detail: CallDetail | None
    is_alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tool:
    """One tool call, from its first attempt to the end of its last."""

    node_id: str
    begun_s: float
    ended_s: float
    tool: str
    argument_class: str
    is_alone: bool


def workload_of(runs: Sequence[StoredRun], *, name: str) -> Workload:
    """Programs for `runs`, in their order; each arrives when its run was created.

    Raises:
        InputError: nothing of them can be replayed: no call and no tool of them ended.
    """
    made = [(run, _steps_of(run)) for run in runs]
    made = [(run, steps) for run, steps in made if steps]
    if not made:
        raise InputError("nothing to replay: no call and no tool of these runs has ended")
    calls = [call for _, steps in made for call in steps if isinstance(call, _Call)]
    blocks = _Blocks(calls)
    first_at = min(run.run.created_at for run, _ in made)
    return Workload(
        name=name,
        block_tokens=blocks.block_tokens,
        programs=tuple(
            ProgramTrace(
                program_id=run.run.run_id,
                workflow=run.run.workflow,
                arrival_s=run.run.created_at - first_at,
                steps=_program_steps(steps, _graph_of(run), blocks),
            )
            for run, steps in made
        ),
        modelled=tuple(_modelled([run for run, _ in made], calls, blocks)),
    )


# -- what happened ---------------------------------------------------------------------------


def _steps_of(stored: StoredRun) -> list[_Call | _Tool]:
    """Calls and tool calls that ended, in the order they began."""
    steps: list[_Call | _Tool] = [
        # Of tools only the attempts that failed are kept.
        _call(attempt)
        for attempt in stored.attempts
        if attempt.status == "finished"
    ]
    tools = _Tools(stored)
    steps += [
        tools.call(node, node.finished_s)
        for node in stored.nodes
        if node.kind == "tool" and node.finished_s is not None
    ]
    return sorted(steps, key=lambda step: (step.begun_s, step.ended_s))


def _call(attempt: AttemptRecord) -> _Call:
    detail = detail_from_json(attempt.detail)
    begun_s = attempt.started_s if detail is None else min(detail.ready_s, attempt.started_s)
    return _Call(
        node_id=attempt.node_id,
        begun_s=begun_s,
        ended_s=max(attempt.finished_s, begun_s),
        usage=attempt.usage,
        detail=detail,
    )


class _Tools:
    """Names and arguments of tool calls, as far as the graph and the models' wishes tell."""

    def __init__(self, stored: StoredRun) -> None:
        self._graph = _graph_of(stored)
        self._turns = {node.node_id: node for node in stored.nodes if node.kind == "llm"}

    def call(self, node: NodeRecord, ended_s: float) -> _Tool:
        tool, arguments = self._asked(node.node_id)
        spec = None if self._graph is None else self._graph.tools.get(tool)
        begun_s = min(node.started_s, ended_s)
        return _Tool(
            node_id=node.node_id,
            begun_s=begun_s,
            ended_s=ended_s,
            tool=tool,
            argument_class=argument_class(arguments),
            is_alone=spec is not None and spec.effects == "write",
        )

    def _asked(self, node_id: str) -> tuple[str, Mapping[str, Any]]:
        node = None if self._graph is None else node_of(self._graph, node_id)
        if isinstance(node, ToolNode):
            return node.tool, {}
        outer, _, last = node_id.rpartition(".")
        name, _, index = last.partition("[")
        turn = self._turns.get(f"{outer}.llm")
        return name, {} if turn is None else _arguments(turn.value, name, index.removesuffix("]"))


def _arguments(turn: Any, tool: str, index: str) -> Mapping[str, Any]:
    """What the model gave to its `index`th call of `tool` in a turn."""
    try:
        texts = [text for _, name, text in turn["tool_calls"] if name == tool]
        arguments = json.loads(texts[int(index)])
    except (KeyError, TypeError, ValueError, IndexError, RecursionError):
        return {}
    return cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {}


def _graph_of(stored: StoredRun) -> Graph | None:
    """None for free Python, and for a graph that cannot be read any more."""
    if stored.run.graph is None:
        return None
    try:
        return Graph.from_json(stored.run.graph)
    except GraphError:
        return None


# -- as a workload has it --------------------------------------------------------------------


def _program_steps(
    steps: Sequence[_Call | _Tool], graph: Graph | None, blocks: _Blocks
) -> tuple[Step, ...]:
    """What the client took between steps is the next call's gap; tools begin at once."""
    made: list[Step] = []
    early_s: list[float] = []  # how much sooner each step ends in an unhindered replay
    for step, after in zip(steps, StepOrder(graph).after(steps), strict=True):
        begins_s = max((steps[at].ended_s - early_s[at] for at in after), default=0.0)
        gap_s = max(step.begun_s - begins_s, 0.0)
        if isinstance(step, _Tool):
            early_s.append(gap_s)
            made.append(
                ToolStep(
                    after=after,
                    tool=step.tool,
                    duration_s=step.ended_s - step.begun_s,
                    argument_class=step.argument_class,
                )
            )
        else:
            early_s.append(0.0)
            made.append(blocks.call(step, after, gap_s))
    return tuple(made)


class _Blocks:
    """Blocks of the calls' prompts, numbered anew and without gaps, and their tokens."""

    def __init__(self, calls: Iterable[_Call]) -> None:
        counted = [
            (call.detail.characters[0], call.usage.prompt_tokens)
            for call in calls
            if call.detail is not None and call.usage.prompt_tokens > 0
        ]
        tokens = sum(tokens for _, tokens in counted)
        characters = sum(characters for characters, _ in counted)
        rate = characters / tokens if characters and tokens else _CHARACTERS_PER_TOKEN
        self.characters_per_token = rate
        self.block_tokens = max(1, round(BLOCK_CHARACTERS / rate))
        self._bases: dict[tuple[str, int], BlockId] = {}
        self._next = self._number(calls)

    def call(self, call: _Call, after: tuple[int, ...], gap_s: float) -> CallStep:
        prompt_tokens, completion_tokens = self._tokens(call)
        prompt, context = self._chains(call, prompt_tokens + completion_tokens)
        most = prompt_tokens // self.block_tokens
        return CallStep(
            after=after,
            prompt=first_blocks(prompt, most),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            context=first_blocks(context, (prompt_tokens + completion_tokens) // self.block_tokens),
            gap_s=gap_s,
        )

    def _tokens(self, call: _Call) -> tuple[int, int]:
        """As the server counted them; where it did not, by the text."""
        usage, detail = call.usage, call.detail
        if usage.prompt_tokens > 0 or detail is None:
            return max(usage.prompt_tokens, 1), usage.completion_tokens
        prompt, answer = (round(each / self.characters_per_token) for each in detail.characters)
        return max(prompt, 1), answer

    def _chains(self, call: _Call, tokens: int) -> tuple[Chain, Chain]:
        detail = call.detail
        if detail is None:  # nothing is known of its text: it shares nothing
            first, count = self._next, tokens // self.block_tokens
            self._next += count
            new = chained([Run(first, count)])
            return new, new
        return self._renumbered(detail.ids, detail.prompt), self._renumbered(
            detail.ids, detail.context
        )

    def _number(self, calls: Iterable[_Call]) -> BlockId:
        """Give each branch of each origin as many ids as are used of it; the next free one."""
        sizes: dict[tuple[str, int], int] = {}
        for call in calls:
            for run in () if call.detail is None else call.detail.context:
                branch = (call.detail.ids if call.detail else "", run.first >> BRANCH_BITS)
                end = run.first % (1 << BRANCH_BITS) + run.count
                sizes[branch] = max(sizes.get(branch, 0), end)
        next_id = 0
        for branch, size in sizes.items():
            self._bases[branch] = next_id
            next_id += size
        return next_id

    def _renumbered(self, ids: str, chain: Chain) -> Chain:
        return chained(
            Run(
                self._bases[ids, run.first >> BRANCH_BITS] + run.first % (1 << BRANCH_BITS),
                run.count,
            )
            for run in chain
        )


# -- what was made up ------------------------------------------------------------------------


def _modelled(runs: Sequence[StoredRun], calls: Sequence[_Call], blocks: _Blocks) -> Iterable[str]:
    if any(call.detail is not None for call in calls):
        yield (
            f"Blocks are of {BLOCK_CHARACTERS} characters of the prompts' text, taken as"
            f" {blocks.block_tokens} tokens each."
        )
    unknown = sum(call.detail is None for call in calls)
    if unknown:
        yield f"Of {unknown} calls no text is known: they share nothing with any other."
    uncounted = sum(call.usage.prompt_tokens == 0 for call in calls)
    if uncounted:
        yield f"Of {uncounted} calls the server counted no tokens: they are estimated."
    origins = {call.detail.ids for call in calls if call.detail is not None}
    if len(origins) > 1:
        yield "What runs of different processes or models have in common is not known: nothing."
    if any(_graph_of(run) is None for run in runs):
        yield "In programs in free Python a step waits for all that had ended when it began."
    if any(_graph_of(run) is not None for run in runs):
        yield "What waits for what is taken from the workflow's graph and the recorded times."
    failed = sum(attempt.status == "failed" for run in runs for attempt in run.attempts)
    if failed:
        yield f"{failed} attempts that failed are left out; the time they took is a gap, or a tool's."
    unfinished = sum(run.run.status != "finished" for run in runs)
    if unfinished:
        yield f"{unfinished} runs did not finish: they end where they were."
