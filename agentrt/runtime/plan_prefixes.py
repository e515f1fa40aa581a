"""What prefix caches can reuse of the prompts that ask for plans, as the graph tells: nothing has run."""

from __future__ import annotations

from agentrt.compiler.prefix import PromptPrefix
from agentrt.ir.graph import Graph
from agentrt.ir.node import PlanNode
from agentrt.ir.prompt_origin import Placed, Segment, segments, walk_levels
from agentrt.ir.stability import rank
from agentrt.planner.prompt import planner_messages


def plan_prefixes(graph: Graph) -> tuple[PromptPrefix, ...]:
    """Of every `plan_and_run` in `graph`, in bodies too: of its first call, which the others go on from."""
    return tuple(
        _prefix(placed, placed.node, graph)
        for placed in walk_levels(graph)
        if isinstance(placed.node, PlanNode)
    )


def _prefix(placed: Placed, node: PlanNode, graph: Graph) -> PromptPrefix:
    # What `system` says of the answer is the joiner's, and comes after the plan.
    question = [
        s for s in segments(node.prompt, placed.levels, placed.graph) if s.place != "system"
    ]
    first = next((s for s in question if rank(s.stability) >= rank("run")), None)
    fixed = planner_messages([graph.tools[name] for name in node.tools], "\0")
    # The last one is the question's, whatever the tools say of themselves.
    before, _, after = "".join(message.content for message in fixed).rpartition("\0")
    known = len(before) + len(after) + _characters(question)
    stable = question if first is None else question[: question.index(first)]
    prefix = known if first is None else len(before) + _characters(stable)
    return PromptPrefix(
        node_id=f"{placed.node_id}[0].llm",
        layout="S0",
        prefix_characters=prefix,
        lost_characters=known - prefix,
        broken_by="" if first is None else first.origin,
        place="" if first is None else first.place,
        stability="always" if first is None else first.stability,
        if_moved_characters=prefix,
        looks_volatile=(),
    )


def _characters(found: list[Segment]) -> int:
    return sum(len(segment.text or "") for segment in found)
