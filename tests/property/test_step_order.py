"""Which steps waited for which, on random runs: as comparing every step with every other says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.ir.expression import Const, Use
from agentrt.ir.node import AgentNode, BranchNode, LoopNode, MapNode
from agentrt.ir.prompt import PromptTemplate
from agentrt.runtime.step_order import StepOrder
from tests.unit.ir.sample_graphs import TEXT, body, graph, llm, parameter, search, template


@dataclass(frozen=True)
class Step:
    node_id: str
    begun_s: float
    ended_s: float
    is_alone: bool = False


ONE = body(parameter("x"), search("s", Use("x")))
TWO = body(parameter("x"), search("s", Use("x")), llm("t", Use("s")), llm("u", Use("x")))
AGENT = AgentNode(
    id="agent", function="a", prompt=PromptTemplate(template(Use("q"))), output=TEXT,
    tools=("search", "save"),
)  # fmt: skip
INSIDE = body(
    parameter("x"), search("s", Use("x")), replace(AGENT, prompt=PromptTemplate(template(Use("s"))))
)
GIVEN = (("x", Use("q")),)
RUN = graph(
    parameter("q"),
    search("first", Use("q")),
    MapNode(id="one", mapped=("x",), inputs=(("x", Use("first")),), body=ONE),
    MapNode(id="two", mapped=("x",), inputs=(("x", Use("one")),), body=TWO),
    LoopNode(id="loop", state="x", initial=Use("q"), step=TWO, until=ONE, max_steps=3),
    BranchNode(id="side", condition=Const(True), then=TWO, otherwise=INSIDE, inputs=GIVEN),
    AGENT,
    MapNode(id="agents", mapped=("x",), inputs=(("x", Use("two")),), body=INSIDE),
    search("last", Use("agents")),
)
IDS = st.sampled_from(
    [
        "first", "one", "one[0]", "one[1]", "one[2]", "two[0].s", "two[0].t", "two[0].u", "two[1].s",
        "two[1].t", "two[2].t", "loop[0].step.s", "loop[0].step.t", "loop[0].until.s", "loop[1].step.s",
        "loop[1].until", "side.then.s", "side.then.t", "side.otherwise.agent[0].llm", "side.then",
        "agent[0].llm", "agent[0].search[0]", "agent[0].search[1]", "agent[0].save[0]", "agent[1].llm",
        "agents[0].agent[0].llm", "agents[0].agent[0].save[0]", "agents[1].s", "agents[1]", "last",
        "gone", "gone[1].s", "", "two[0].gone",
    ]
)  # fmt: skip


@st.composite
def _steps(draw: Any) -> list[Step]:
    made = [
        Step(node_id, begun_s, begun_s + took_s, node_id.partition("]")[2].startswith(".save"))
        for node_id, begun_s, took_s in draw(
            st.lists(st.tuples(IDS, st.integers(0, 8), st.integers(0, 3)), max_size=14)
        )
    ]
    return sorted(made, key=lambda step: (step.begun_s, step.ended_s))


@settings(max_examples=500)
@given(_steps(), st.booleans())
def test_each_step_names_the_nearest_that_it_may_have_waited_for(
    steps: list[Step], has_graph: bool
) -> None:
    order = StepOrder(RUN if has_graph else None)
    by_end = sorted(range(len(steps)), key=lambda at: (steps[at].ended_s, at))
    before: list[set[int]] = []
    for at, (step, nearest) in enumerate(zip(steps, order.after(steps), strict=True)):
        expected: set[int] = set()
        known: set[int] = set()
        for earlier in reversed(by_end):
            has_ended = earlier < at and steps[earlier].ended_s <= step.begun_s
            if has_ended and earlier not in known and order._is_before(steps[earlier], step):
                expected.add(earlier)
                known |= before[earlier] | {earlier}
        assert nearest == tuple(sorted(expected))
        before.append(known)


def test_a_map_of_thousands_is_read_at_once() -> None:
    count = 4_000
    steps = [
        Step(f"two[{at}].{name}", 2 * go, 2 * go + 1)
        for go, name in enumerate("st")
        for at in range(count)
    ]
    after = StepOrder(RUN).after([*steps, Step("last", 9, 10)])
    assert after[:count] == [()] * count
    assert after[count:-1] == [(at,) for at in range(count)]
    assert len(after[-1]) == count
