"""`plan_and_run` as an author writes it, and the node it becomes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from agentrt.dsl.decorators import tool, workflow
from agentrt.dsl.planned import plan_and_run
from agentrt.errors import DefinitionError, GraphError
from agentrt.ir.expression import Slot, Template, Text, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import LLMOptions, PlanNode
from agentrt.ir.prompt import PromptTemplate
from agentrt.ir.render_mermaid import to_mermaid
from agentrt.ir.render_svg import to_svg
from agentrt.ir.render_text import to_text


@tool(effects="read")
async def search(query: str) -> str:
    """Find a passage."""
    return query


@tool
async def note(text: str) -> str:
    """Write it down."""
    return text


class Verdict(BaseModel):
    """An answer with a reason."""

    winner: str
    why: str


@workflow
def ask(question: str) -> Verdict:
    return plan_and_run(
        tools=[search, note],
        question=f"Decide: {question}",
        answer=Verdict,
        name="decide",
        system="Be brief.",
        tier="small",
        temperature=0.0,
        max_replans=1,
        max_tasks=9,
        timeout_s=30,
        call_timeout_s=10,
        reuses_plans=True,
        guesses_reads=True,
    )


def _graph() -> Graph:
    return ask.trace().graph


def test_a_call_is_a_node_with_all_that_its_author_said() -> None:
    (node,) = (node for node in _graph().nodes if isinstance(node, PlanNode))
    assert node == PlanNode(
        id="decide",
        function="decide",
        prompt=PromptTemplate(
            user=Template((Text("Decide: "), Slot(Use("question")))),
            system=Template((Text("Be brief."),)),
        ),
        output=Verdict.model_json_schema(),
        tools=("search", "note"),
        max_replans=1,
        max_tasks=9,
        timeout_s=30,
        reuses_plans=True,
        guesses_reads=True,
        options=LLMOptions(tier="small", temperature=0.0, timeout_s=10),
    )
    assert set(_graph().tools) == {"search", "note"}


def test_it_survives_json_and_is_hashed_with_what_it_says() -> None:
    graph = _graph()
    again = Graph.from_json(graph.to_json())
    assert (again.nodes, again.hash) == (graph.nodes, graph.hash)

    @workflow
    def other(question: str) -> Verdict:
        return plan_and_run(tools=[search, note], question=question, answer=Verdict, name="decide")

    assert other.trace().graph.hash != graph.hash


def test_every_picture_shows_who_plans_with_what() -> None:
    graph = _graph()
    assert "plan, small, up to 2 plans, tools search note" in to_text(graph)
    assert "not enough" in to_mermaid(graph)
    assert "writes a plan" in to_svg(graph)


def test_a_question_may_be_a_value_or_a_constant() -> None:
    @workflow
    def both(question: str) -> list[str]:
        first = plan_and_run(tools=[search], question=question)
        return [first, plan_and_run(tools=[search], question="Why?")]

    first, second = (n for n in both.trace().graph.nodes if isinstance(n, PlanNode))
    assert (first.id, second.id) == ("plan_and_run", "plan_and_run_2")
    assert first.prompt.user == Template((Slot(Use("question")),))
    assert second.prompt.user == Template((Text("Why?"),))


def test_it_is_called_in_a_workflow() -> None:
    with pytest.raises(DefinitionError, match="plan_and_run can only be called inside"):
        plan_and_run(tools=[search], question="Why?")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_replans": -1}, "max_replans must be 0 or more"),
        ({"max_tasks": 0}, "max_tasks must be 1 or more"),
        ({"reuses_plans": "yes"}, "reuses_plans must be one of"),
        ({"guesses_reads": 1.5}, "guesses_reads must be one of"),
        ({"max_turns": 3}, "unknown option 'max_turns'"),
        ({"tools": [search, search]}, "two tools are called 'search'"),
        ({"tools": [print]}, "is not a `@tool`"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_said(options: dict[str, Any], problem: str) -> None:
    @workflow
    def wrong(question: str) -> str:
        return str(plan_and_run(**{"tools": [search], "question": question} | options))

    with pytest.raises(DefinitionError, match=problem):
        wrong.trace()


def test_two_answers_of_one_name_and_different_types_are_refused() -> None:
    @workflow
    def both(question: str) -> str:
        plan_and_run(tools=[search], question=question, answer=int)
        return plan_and_run(tools=[search], question=question)

    with pytest.raises(DefinitionError, match="duplicate name"):
        both.trace()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tools": ["find"]}, "it names tool 'find', which the graph does not have"),
        ({"tools": ["note", "note"]}, "tool 'note' is given twice"),
        ({"max_replans": -1}, "max_replans must be at least 0, not -1"),
        ({"max_repairs": -1}, "max_repairs must be at least 0, not -1"),
        ({"max_tasks": 0}, "max_tasks must be at least 1, not 0"),
        ({"max_total_tokens": 0}, "max_total_tokens must be at least 1, not 0"),
        ({"timeout_s": 0}, "timeout_s must be more than 0, not 0"),
    ],
)
def test_a_stored_graph_is_held_to_the_same_rules(change: dict[str, Any], problem: str) -> None:
    data = _graph().to_json()
    nodes: Any = data["nodes"]
    (node,) = (node for node in nodes if node["kind"] == "plan")
    node.update(change)
    with pytest.raises(GraphError, match=problem):
        Graph.from_json(data)


def test_a_plan_that_may_write_is_never_pruned() -> None:
    from agentrt.compiler.pipeline import compile_graph  # noqa: PLC0415  of this test alone

    @workflow
    def idle(question: str) -> str:
        plan_and_run(tools=[note], question=question, name="writing")
        plan_and_run(tools=[search], question=question, name="reading")
        return question

    kept = compile_graph(idle.trace().graph).graph
    assert [node.id for node in kept.nodes] == ["question", "writing"]


def test_the_tools_may_come_one_by_one() -> None:
    one_by_one: Any = (each for each in [search, note])  # authors without a type checker

    @workflow
    def asked(question: str) -> str:
        return plan_and_run(tools=one_by_one, question=question)

    (node,) = (node for node in asked.trace().graph.nodes if isinstance(node, PlanNode))
    assert node.tools == ("search", "note")
