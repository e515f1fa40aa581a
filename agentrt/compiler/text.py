"""A plan for people: what `agentrt plan` prints."""

from __future__ import annotations

from collections.abc import Iterator

from agentrt.compiler.analysis import (
    Stage,
    StaticText,
    critical_path,
    stages,
    static_text,
    widest_stage,
)
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, InputNode, LLMNode, MapNode
from agentrt.ir.plan import Plan
from agentrt.ir.render_label import describe, printable
from agentrt.ir.render_text import to_text

_SHOWN = 8
_STAGES_SHOWN = 60
_LINES_SHOWN = 20


def plan_to_text(plan: Plan) -> str:
    """The graph before and after, stages, the critical path, how prompts begin, what passes did."""
    return "\n".join(
        [
            *_heading(plan.graph),
            *_graph_lines(plan),
            *_stage_lines(plan.graph),
            *_path_lines(plan.graph),
            *_prompt_lines(plan.graph),
            *_pass_lines(plan),
            "",
        ]
    )


def _heading(graph: Graph) -> Iterator[str]:
    work = sum(1 for node in graph.nodes if not isinstance(node, InputNode))
    widest = len(widest_stage(graph))
    yield (
        f"{printable(graph.name)}: {_count(work, 'node')} in {_count(len(stages(graph)), 'stage')}"
    )
    maps = sum(1 for _, node in graph.walk() if isinstance(node, MapNode))
    more = f", and in {_count(maps, 'map')} as many as there are items" if maps else ""
    yield f"at once: {_count(widest, 'node')} or more{more}"


def _graph_lines(plan: Plan) -> Iterator[str]:
    is_changed = plan.source is not plan.graph
    yield ""
    yield "the graph as written" if is_changed else "the graph, which the passes leave as it is"
    yield from _drawn(plan.source)
    if is_changed:
        yield ""
        yield "the graph that runs"
        yield from _drawn(plan.graph)


def _drawn(graph: Graph) -> Iterator[str]:
    lines = to_text(graph).splitlines()
    shown = lines if len(lines) <= 2 * _LINES_SHOWN else lines[:_LINES_SHOWN]
    yield from (f"  {line}" for line in shown)
    if shown is not lines:
        yield f"  … and {_count(len(lines) - _LINES_SHOWN - 1, 'line')} more"
        yield f"  {lines[-1]}"


def _stage_lines(graph: Graph) -> Iterator[str]:
    yield ""
    yield "stages (a node starts when its inputs are there; it does not wait for its stage)"
    found = stages(graph)
    for index, stage in enumerate(found, start=1):
        if index == _STAGES_SHOWN and len(found) > _STAGES_SHOWN:
            yield f"     …  and {_count(len(found) - index + 1, 'stage')} more"
            return
        for position, line in enumerate(_stage(graph, stage)):
            yield f"  {index if position == 0 else '':>4}  {line}"


def _stage(graph: Graph, stage: Stage) -> Iterator[str]:
    width = max(len(node_id) for node_id in stage[:_SHOWN])
    for node_id in stage[:_SHOWN]:
        yield f"{node_id:{width}}  {printable(describe(graph.by_id[node_id]), 100)}"
    if len(stage) > _SHOWN:
        yield f"… and {len(stage) - _SHOWN} more"


def _path_lines(graph: Graph) -> Iterator[str]:
    path = critical_path(graph)
    if not path:
        return
    yield ""
    yield f"critical path ({_count(len(path), 'node')}, each waiting for the one before)"
    shown = list(path)
    if len(shown) > 2 * _SHOWN:
        shown[_SHOWN:-_SHOWN] = [f"… {len(shown) - 2 * _SHOWN} more …"]
    yield f"  {' -> '.join(shown)}"


def _prompt_lines(graph: Graph) -> Iterator[str]:
    texts = {
        node_id: static_text(node.prompt)
        for node_id, node in graph.walk()
        if isinstance(node, (LLMNode, AgentNode))
    }
    if not texts:
        return
    total = StaticText(
        sum(text.prefix_chars for text in texts.values()),
        sum(text.chars for text in texts.values()),
    )
    yield ""
    yield f"static prefix of prompts: {_static(total)}"
    width = max(map(len, list(texts)[:_SHOWN]))
    for node_id, text in list(texts.items())[:_SHOWN]:
        yield f"  {node_id:{width}}  {_static(text)}"
    if len(texts) > _SHOWN:
        yield f"  … and {len(texts) - _SHOWN} more"


def _pass_lines(plan: Plan) -> Iterator[str]:
    yield ""
    yield "passes"
    width = max((len(report.name) for report in plan.passes), default=0)
    for report in plan.passes:
        yield f"  {report.name:{width}}  {printable(report.summary)}"
    if not plan.passes:
        yield "  none"


def _static(text: StaticText) -> str:
    return f"{text.prefix_chars} of {_count(text.chars, 'static character')} ({text.share:.0%})"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
