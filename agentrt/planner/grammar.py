"""The grammar of a plan over given tools, so that constrained decoding cannot write an invalid one.

GBNF, llama.cpp's notation: vLLM (`structured_outputs.grammar`) and SGLang (`ebnf`) take it as well,
since xgrammar reads it. It is unrolled task by task, which is how numbers go up by one, how
references lead only to tasks above, and how a plan ends at all. What it cannot say is checked by
`PlanReader`: whether what a reference stands for has the type its place asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentrt.ir.lint_tool import parameters_of
from agentrt.ir.tool import ToolSpec
from agentrt.planner.arguments import ANYTHING
from agentrt.planner.grammar_values import Rules, Values, literal, shared_rules
from agentrt.planner.task import written_name


@dataclass(frozen=True, slots=True, kw_only=True)
class GrammarLimits:
    """What keeps a plan short, and its grammar small.

    Attributes:
        max_tasks: Tasks of one plan.
        max_text: Characters of a text. A small model may never close one by itself.
        max_characters: Of the grammar. One that would be longer says less: first references stand
            only for whole arguments, then they may lead to any task, and checks have the rest.
    """

    max_tasks: int = 16
    max_text: int = 200
    max_characters: int = 100_000


def plan_grammar(
    tools: Sequence[ToolSpec],
    *,
    first_id: int = 1,
    earlier: Sequence[int] = (),
    limits: GrammarLimits | None = None,
) -> str:
    """GBNF for a plan whose tasks are numbered from `first_id` on.

    Args:
        tools: What may be called.
        first_id: The number of the first task.
        earlier: Tasks of plans before it, which it may refer to.
        limits: None: the defaults.
    """
    limits = limits or GrammarLimits()
    if not tools or limits.max_tasks < 1:
        return 'root ::= "join"\n'
    numbers = range(first_id, first_id + limits.max_tasks)
    outline = [f"root ::= lines-{first_id}"]
    for task_id in numbers:
        more = f'"\\n" lines-{task_id + 1}' if task_id + 1 in numbers else '"\\njoin"'
        outline.append(f'lines-{task_id} ::= "join" | task-{task_id} {more}')
    known = {task_id: [*earlier, *range(first_id, task_id)] for task_id in numbers}
    return _grammar(outline, known, tools, limits)


def lines_grammar(
    tools: Sequence[ToolSpec],
    wanted: Sequence[int],
    *,
    known: Iterable[int],
    limits: GrammarLimits | None = None,
) -> str:
    """GBNF for exactly the lines `wanted`, one each, in order.

    Args:
        tools: What may be called.
        wanted: The numbers of the tasks.
        known: The tasks there are: a line may refer to those with a smaller number.
        limits: None: the defaults.
    """
    ids = sorted({*known, *wanted})
    newline = ' "\\n" '
    outline = [f"root ::= {newline.join(f'task-{task_id}' for task_id in wanted)}"]
    smaller = {task_id: [each for each in ids if each < task_id] for task_id in wanted}
    return _grammar(outline, smaller, tools, limits or GrammarLimits())


def _grammar(
    outline: list[str],
    known: dict[int, list[int]],
    tools: Sequence[ToolSpec],
    limits: GrammarLimits,
) -> str:
    """The tasks of `known`, each of which may refer to those given: as exact as the limits allow."""
    grammar = ""
    for is_deep, is_exact in ((True, True), (False, True), (False, False)):
        rules = Rules()
        lines = list(outline)
        for task_id, numbers in known.items():
            reference = "" if not numbers else f"ref-{task_id}" if is_exact else "ref"
            calls = [
                _call(
                    tool,
                    Values(
                        tool.parameters,
                        rules,
                        reference=reference,
                        is_deep=is_deep,
                        max_text=limits.max_text,
                    ),
                    rules,
                )
                for tool in tools
            ]
            lines.append(f'task-{task_id} ::= "{task_id} " {rules.named(rules.either(calls))}')
            if reference and is_exact:
                lines.append(_reference(reference, numbers))
        if not is_exact:
            lines.append(
                _reference("ref", sorted({each for found in known.values() for each in found}))
            )
        grammar = "\n".join([*lines, *rules.lines, *shared_rules(limits.max_text)]) + "\n"
        if len(grammar) <= limits.max_characters:
            break
    return grammar


def _reference(name: str, numbers: Sequence[int]) -> str:
    return f'{name} ::= "$" ( {" | ".join(literal(str(each)) for each in numbers)} ) path'


def _call(tool: ToolSpec, values: Values, rules: Rules) -> str:
    parameters = parameters_of(tool)
    described: Mapping[str, Any] = tool.parameters.get("properties", {})
    only_named = sorted(parameters.required - parameters.known)
    properties = {**described, **dict.fromkeys(only_named, ANYTHING)}
    given = {
        name: f"{literal(f'{written_name(name)}=')} {values.of(schema)}"
        for name, schema in properties.items()
    }
    required = [each for name, each in given.items() if name in parameters.required]
    optional = [each for name, each in given.items() if name not in parameters.required]
    body = ' ", " '.join(required)
    if required:
        body += "".join(f' ( ", " {each} )?' for each in optional)
    elif optional:
        body = f"( {' | '.join(_firsts(optional, rules))} )?"
    return f'{literal(f"{tool.name}(")} {body} ")"'


def _firsts(optional: Sequence[str], rules: Rules) -> list[str]:
    """What is left of the call from each argument on: the first one has no comma before it."""
    firsts: list[str] = []
    rest = ""
    for each in reversed(optional):
        firsts.append(f"{each}{rest}")
        more = f'( ", " {each} )?{rest}'
        rest = f" {rules.named(more)}"
    return firsts[::-1]
