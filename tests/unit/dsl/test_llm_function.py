"""`@llm` and `@agent`: bodies become templates, arguments are filled in."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.errors import DefinitionError, PromptError, SchemaError, TraceError
from agentrt.ir.expression import Const, Items, Slot, Template, Text, Use
from agentrt.ir.node import AgentNode, LLMNode, LLMOptions, Node
from agentrt.ir.prompt import Prompt, PromptTemplate


class Plan(BaseModel):
    queries: list[str]
    why: str


@tool(effects="read")
def search(query: str) -> str:
    """Find."""
    return query


@tool
def edit(path: str) -> bool:
    return True


@llm(tier="small", max_tokens=100)
def plan(question: str) -> Prompt[Plan]:
    return Prompt(f"Plan for: {question}", system="Plan.")


@llm
def answer(question: str, passages: list[str], style: str = "short") -> Prompt[str]:
    return Prompt(f"{question}?", system=f"Be {style}.", context=[f"From: {passages}"])


@llm
def judge(plan: Plan, score: float = 1) -> Prompt[bool]:
    return Prompt(f"{plan} / {plan.why} / {plan.queries} / {plan.queries[0]} / {score}")


def node_of(traced: Any, index: int = -1) -> Node:
    return traced.trace().graph.nodes[index]  # type: ignore[no-any-return]


def text(value: str) -> Template:
    return Template((Text(value),))


def test_a_call_is_a_node_with_the_argument_in_the_template() -> None:
    @workflow
    def ask(question: str) -> Plan:
        return plan(question)

    assert node_of(ask) == LLMNode(
        id="plan",
        function="plan",
        prompt=PromptTemplate(Template((Text("Plan for: "), Slot(Use("question")))), text("Plan.")),
        output=Plan.model_json_schema(),
        options=LLMOptions(tier="small", max_tokens=100),
    )
    assert ask.trace().bindings.answers == {"plan": plan.answer}


def test_constants_are_folded_into_the_static_text() -> None:
    @workflow
    def ask() -> str:
        return answer("Why", ["a", "b"])

    assert node_of(ask) == LLMNode(
        id="answer",
        function="answer",
        prompt=PromptTemplate(text("Why?"), text("Be short."), (text("From: a\n\nb"),)),
        output={"type": "string"},
    )


def test_constants_of_structured_types_print_as_the_parts_they_are() -> None:
    @workflow
    def ask() -> bool:
        return judge(Plan(queries=["a", "b"], why="c"), 2)

    node = node_of(ask)
    assert isinstance(node, LLMNode)
    assert node.prompt.user == text('{"queries":["a","b"],"why":"c"} / c / a\n\nb / a / 2.0')


def test_projections_on_parameters_follow_the_argument() -> None:
    @workflow
    def ask(question: str) -> bool:
        return judge(plan(question))

    node = node_of(ask)
    assert isinstance(node, LLMNode)
    assert [part.expression for part in node.prompt.user.parts if isinstance(part, Slot)] == [
        Use("plan"),
        Use("plan", ("why",)),
        Use("plan", ("queries",)),
        Use("plan", ("queries", 0)),
    ]
    assert node.prompt.user.parts[-1] == Text(" / 1.0")


def test_f_string_arguments_are_spliced_in() -> None:
    @workflow
    def ask(question: str, style: str) -> str:
        return answer(f"<{question}>", [question, f"{style}!", "c"], style=f"{style} and {style}")

    node = node_of(ask)
    assert isinstance(node, LLMNode)
    question, style = Slot(Use("question")), Slot(Use("style"))
    assert node.prompt == PromptTemplate(
        Template((Text("<"), question, Text(">?"))),
        Template((Text("Be "), style, Text(" and "), style, Text("."))),
        (
            Template(
                (
                    Text("From: "),
                    Slot(Items((Use("question"), Template((style, Text("!"))), Const("c")))),
                )
            ),
        ),
    )


def test_projections_reach_into_containers_written_in_the_workflow() -> None:
    @llm
    def first(items: list[str], named: dict[str, str]) -> Prompt[str]:
        return Prompt(f"{items[0]} {items[1]} {named['a']}")

    @workflow
    def ask(question: str) -> str:
        return first([question, "b"], {"a": f"<{question}>"})

    node = node_of(ask)
    assert isinstance(node, LLMNode)
    question = Slot(Use("question"))
    assert node.prompt.user.parts == (question, Text(" b <"), question, Text(">"))

    @workflow
    def short(question: str) -> str:
        return first([question], {})

    with pytest.raises(TraceError, match="there is no part 1"):
        short.trace()


def test_a_part_that_a_constant_does_not_have_is_refused() -> None:
    @workflow
    def ask() -> bool:
        return judge(Plan(queries=[], why="c"))

    with pytest.raises(TraceError, match=r"judge: the constant given for 'plan' has no part"):
        ask.trace()


def test_stops_may_be_one_text_or_many() -> None:
    assert plan.options(stop="a").llm_options.stop == ("a",)
    assert plan.options(stop=["a", "b"]).llm_options.stop == ("a", "b")


def test_a_parameter_is_a_prompt_s_text_and_context_as_it_is() -> None:
    @llm
    def bare(question: str, passages: list[str], extra: str) -> Prompt[str]:
        return Prompt(question, context=passages, system=extra)

    @workflow
    def ask(question: str, passages: list[str]) -> str:
        return bare(question, passages, "x")

    node = node_of(ask)
    assert isinstance(node, LLMNode)
    assert node.prompt == PromptTemplate(
        Template((Slot(Use("question")),)), text("x"), (Template((Slot(Use("passages")),)),)
    )


def test_an_empty_text_is_an_empty_template() -> None:
    @workflow
    def ask() -> str:
        return answer("", [], "")

    node = node_of(ask)
    assert isinstance(node, LLMNode)
    assert node.prompt == PromptTemplate(text("?"), text("Be ."), (text("From: "),))


def test_the_body_runs_once_for_each_set_of_static_values() -> None:
    seen: list[int] = []

    @llm(static=("n",))
    def many(question: str, n: int = 1) -> Prompt[list[str]]:
        seen.append(n)
        return Prompt("\n".join(f"{i}. {question}" for i in range(n)))

    @workflow
    def ask(question: str) -> list[list[str]]:
        return [many(question), many("b"), many(question, n=2), many(question, 2)]

    graph = ask.trace().graph
    assert seen == [1, 2]
    last = graph.nodes[-1]
    assert isinstance(last, LLMNode)
    question = Slot(Use("question"))
    assert last.prompt.user == Template((Text("0. "), question, Text("\n1. "), question))


def test_a_static_parameter_takes_no_symbolic_value() -> None:
    @llm(static=("n",))
    def many(n: int) -> Prompt[str]:
        return Prompt("x" * n)

    @workflow
    def ask(n: int) -> str:
        return many(n)

    with pytest.raises(TraceError, match="many: 'n' is static"):
        ask.trace()


def test_a_body_that_gives_no_prompt_is_refused_by_name() -> None:
    @llm
    def empty(question: str) -> Prompt[str]:
        return "text"  # type: ignore[return-value]

    @llm
    def broken(question: str) -> Prompt[str]:
        raise KeyError("template")

    @llm
    def numeric(question: str) -> Prompt[str]:
        return Prompt(3)  # type: ignore[arg-type]

    @llm
    def counted(question: str) -> Prompt[str]:
        return Prompt(question, context=3)  # type: ignore[arg-type]

    for function, message in (
        (counted, "counted: the context of its Prompt must be a list of text, not int"),
        (empty, "empty must return a Prompt, not str"),
        (broken, "broken: its body raised KeyError: 'template'"),
        (numeric, "numeric: the user of its Prompt must be text, not int"),
    ):

        def ask(question: str) -> str:
            return function(question)  # noqa: B023

        with pytest.raises(PromptError, match=message):
            workflow(ask).trace()


def test_misuse_of_a_parameter_in_the_body_says_where() -> None:
    @llm
    def cut(passages: list[str]) -> Prompt[str]:
        return Prompt(" ".join(p for p in passages))

    @workflow
    def ask(passages: list[str]) -> str:
        return cut(passages)

    with pytest.raises(TraceError, match=r"passages \(list\[str\]\).*iterated") as caught:
        ask.trace()
    assert caught.value.__notes__ == ["in the prompt of cut", "in the workflow ask"]


def test_a_body_can_neither_call_functions_nor_use_outer_values() -> None:
    @llm
    def nosy(question: str) -> Prompt[str]:
        return Prompt(search(question))

    @workflow
    def ask(question: str) -> str:
        return nosy(question)

    with pytest.raises(TraceError, match="search is called inside the prompt of nosy"):
        ask.trace()

    @workflow
    def closing(question: str) -> str:
        @llm
        def inner(extra: str) -> Prompt[str]:
            return Prompt(f"{question} {extra}")

        return inner("x")

    with pytest.raises(TraceError, match=r"the prompt of inner holds.*pass it as an argument"):
        closing.trace()

    @workflow
    def closing_whole(question: str) -> str:
        @llm
        def inner(extra: str) -> Prompt[str]:
            return Prompt(question)

        return inner("x")

    with pytest.raises(TraceError, match="the prompt of inner uses question"):
        closing_whole.trace()


def test_the_annotation_must_be_a_prompt_of_something_with_a_schema() -> None:
    def plain(question: str) -> str:
        return question

    def bare(question: str) -> Prompt:  # type: ignore[type-arg]
        return Prompt(question)

    def wrong(question: str) -> Prompt[object]:
        return Prompt(question)

    async def slow(question: str) -> Prompt[str]:
        return Prompt(question)

    for function in (plain, bare):
        with pytest.raises(PromptError, match="must be annotated to return a `Prompt"):
            llm(function)  # type: ignore[arg-type]
    wrong.__annotations__["return"] = Prompt.__class_getitem__(type(iter([])))  # type: ignore[attr-defined]
    with pytest.raises(SchemaError, match="list_iterator cannot be validated"):
        llm(wrong)
    with pytest.raises(DefinitionError, match="slow must be a plain function"):
        llm(slow)  # type: ignore[arg-type]


def test_outside_a_workflow_a_call_says_what_to_do() -> None:
    with pytest.raises(DefinitionError, match=r"plan can only be called inside a `@workflow`"):
        plan("x")


def test_options_make_a_copy_and_both_may_be_used() -> None:
    big = plan.options(tier="large", temperature=0.5)
    assert big.llm_options == LLMOptions(tier="large", max_tokens=100, temperature=0.5)
    assert plan.llm_options == LLMOptions(tier="small", max_tokens=100)

    @workflow
    def ask(question: str) -> list[Plan]:
        return [plan(question), big(question), plan.options(name="other")(question)]

    nodes = ask.trace().graph.nodes[1:]
    assert [(n.id, n.function) for n in nodes if isinstance(n, LLMNode)] == [
        ("plan", "plan"),
        ("plan_2", "plan"),
        ("other", "other"),
    ]
    assert set(ask.trace().bindings.answers) == {"plan", "other"}


@pytest.mark.parametrize(
    "options",
    [
        {"tier": "huge"},
        {"max_tokens": 0},
        {"output_retries": -1},
        {"max_turns": 3},
        {"temperature": "hot"},
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": True},
        {"model": 3},
        {"seed": "x"},
        {"seed": True},
        {"stop": 3},
        {"stop": ["a", 3]},
        {"stop": None},
        {"layout": None},
    ],
)
def test_an_option_out_of_its_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=next(iter(options))):
        plan.options(**options)
    with pytest.raises(DefinitionError, match=next(iter(options))):
        llm(**options)(plan.function)


@pytest.mark.parametrize(
    "options",
    [
        lambda q, n: {"max_tokens": n},
        lambda q, n: {"temperature": n},
        lambda q, n: {"seed": n},
        lambda q, n: {"model": q},
        lambda q, n: {"model": f"my-{q}"},
        lambda q, n: {"tier": q},
        lambda q, n: {"name": q},
        lambda q, n: {"stop": q},
        lambda q, n: {"stop": ["a", f"{q}"]},
    ],
)
def test_an_option_takes_no_symbolic_value(options: Any) -> None:
    @workflow
    def ask(question: str, number: int) -> Plan:
        return plan.options(**options(question, number))(question)

    with pytest.raises(TraceError, match=r"plan: the option '\w+' is needed while.*`static`"):
        ask.trace()


def test_answers_of_literal_types_carry_their_schema() -> None:
    @llm
    def choose(question: str) -> Prompt[Literal["yes", "no"]]:
        return Prompt(question)

    @workflow
    def ask(question: str) -> str:
        return choose(question)

    node = node_of(ask)
    assert isinstance(node, LLMNode)
    assert node.output == {"enum": ["yes", "no"], "type": "string"}


# --- agents ---


@agent(tools=[search, edit], max_turns=7, timeout_s=60, max_total_tokens=1000, tier="large")
def fix(issue: str, files: list[str]) -> Prompt[str]:
    return Prompt(f"{files}\n{issue}", system="Fix.")


def test_an_agent_is_one_node_and_brings_its_tools() -> None:
    @workflow
    def repair(issue: str) -> str:
        return fix(issue, ["a.py"])

    traced = repair.trace()
    assert traced.graph.nodes[-1] == AgentNode(
        id="fix",
        function="fix",
        prompt=PromptTemplate(Template((Text("a.py\n"), Slot(Use("issue")))), text("Fix.")),
        output={"type": "string"},
        tools=("search", "edit"),
        max_turns=7,
        timeout_s=60,
        max_total_tokens=1000,
        options=LLMOptions(tier="large"),
    )
    assert traced.graph.tools == {"search": search.spec, "edit": edit.spec}
    assert traced.bindings.tools == {"search": search, "edit": edit}
    assert traced.bindings.answers == {"fix": fix.answer}


def test_an_agent_s_limits_and_its_calls_options_are_told_apart() -> None:
    other = fix.options(max_turns=3, timeout_s=None, call_timeout_s=5, temperature=0.1)
    assert (other.max_turns, other.timeout_s, other.max_total_tokens) == (3, None, 1000)
    assert other.llm_options == LLMOptions(tier="large", timeout_s=5, temperature=0.1)
    assert other.tools == fix.tools


def test_an_agent_s_tools_must_be_tools_with_different_names() -> None:
    def write(issue: str) -> Prompt[str]:
        return Prompt(issue)

    with pytest.raises(DefinitionError, match="two tools are called 'search'"):
        agent(tools=[search, edit.options(name="search")])(write)
    with pytest.raises(DefinitionError, match="is not a `@tool`"):
        agent(tools=[print])(write)  # type: ignore[list-item]
    with pytest.raises(DefinitionError, match="max_turns must be 1 or more"):
        agent(max_turns=0)(write)
