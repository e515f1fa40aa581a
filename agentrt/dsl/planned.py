"""`plan_and_run`: a model writes the graph, and its tasks run while it is still writing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, Unpack, cast, overload

from agentrt.dsl.arguments import expression_of
from agentrt.dsl.functions import ToolFunction, use_tool
from agentrt.dsl.options import PlanOptions, checked_options
from agentrt.dsl.signature import checked_name
from agentrt.dsl.tracer import Tracer, tracer_for
from agentrt.dsl.value_type import ValueType, type_name, value_type
from agentrt.errors import DefinitionError
from agentrt.ir.expression import Const, Expression, Slot, Template, Text
from agentrt.ir.node import LLMOptions, PlanNode
from agentrt.ir.prompt import PromptTemplate

T = TypeVar("T")

_TEXT: ValueType[str] = value_type(str)
_OWN = (
    "max_replans",
    "max_repairs",
    "max_tasks",
    "timeout_s",
    "max_total_tokens",
    "reuses_plans",
    "guesses_reads",
)


@overload
def plan_and_run(
    *, tools: Sequence[ToolFunction[..., Any]], question: str, **options: Unpack[PlanOptions]
) -> str: ...
@overload
def plan_and_run(
    *,
    tools: Sequence[ToolFunction[..., Any]],
    question: str,
    answer: type[T],
    **options: Unpack[PlanOptions],
) -> T: ...
def plan_and_run(
    *,
    tools: Sequence[ToolFunction[..., Any]],
    question: str,
    answer: Any = str,
    **options: Unpack[PlanOptions],
) -> Any:
    """The answer to `question`, by a plan of tool calls that a model writes.

    Each call starts as soon as its line of the plan is complete and what it refers to is there,
    while the model writes the next line. From the results the model answers, or writes another plan.

    Args:
        tools: What the plan may call.
        question: What is asked; an f-string or a value of the workflow.
        answer: The type of the answer.
        options: See `PlanOptions`.

    Raises:
        DefinitionError: it is called outside a workflow, an option is unknown or out of its range, or
            two tools have one name.
        TraceError: `question` is no text.
    """
    tracer = tracer_for("plan_and_run")
    given = checked_options(options, PlanOptions, "plan_and_run")
    name = checked_name(given.pop("name", "plan_and_run"))
    result: ValueType[Any] = value_type(answer)
    tracer.register(_Planned(name, result))
    tracer.trace.answers.setdefault(name, result)
    tools = _checked(tuple(tools), name)
    for each in tools:
        use_tool(each, tracer)
    node_id = tracer.new_id(name)
    own = {option: given.pop(option) for option in _OWN if option in given}
    system = given.pop("system", None)
    if "call_timeout_s" in given:
        given["timeout_s"] = given.pop("call_timeout_s")
    node = PlanNode(
        id=node_id,
        function=name,
        prompt=PromptTemplate(
            user=_template(question, tracer, (node_id, "the question")),
            system=None if system is None else _template(system, tracer, (node_id, "system")),
        ),
        output=result.schema,
        tools=tuple(each.name for each in tools),
        options=LLMOptions(**given),
        **own,
    )
    return cast("Any", tracer.add(node, result.annotation))


class _Planned:
    """Who goes by a name in a graph: two of them may, if they answer with one type."""

    def __init__(self, name: str, answer: ValueType[Any]) -> None:
        self.name = name
        self.answer = answer

    def is_same(self, other: Any) -> bool:
        return isinstance(other, _Planned) and other.answer.annotation == self.answer.annotation

    def __repr__(self) -> str:
        return f"plan_and_run(answer={type_name(self.answer.annotation)})"


def _checked(
    tools: Sequence[ToolFunction[..., Any]], name: str
) -> Sequence[ToolFunction[..., Any]]:
    names: set[str] = set()
    for each in tools:
        if not isinstance(each, ToolFunction):  # pyright: ignore[reportUnnecessaryIsInstance]  # authors without a type checker
            raise DefinitionError(f"{name}: {each!r} is not a `@tool`")
        if each.name in names:
            raise DefinitionError(
                f"{name}: two tools are called {each.name!r}; rename one with `.options(name=...)`"
            )
        names.add(each.name)
    return tools


def _template(text: str, tracer: Tracer, place: tuple[str, str]) -> Template:
    expression: Expression = expression_of(text, _TEXT, tracer, place)
    if isinstance(expression, Template):
        return expression
    if isinstance(expression, Const):
        return Template((Text(expression.value),) if expression.value else ())
    return Template((Slot(expression),))
