"""The grammar of a plan over given tools, so that constrained decoding cannot write an invalid one.

GBNF, llama.cpp's notation: vLLM (`structured_outputs.grammar`) and SGLang (`ebnf`) take it as well,
since xgrammar reads it. It is unrolled task by task, which is how numbers go up by one, how
references lead only to tasks above, and how a plan ends at all. What it cannot say is checked by
`PlanReader`: whether what a reference stands for has the type its place asks for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agentrt.ir.lint_tool import parameters_of
from agentrt.ir.tool import ToolSpec
from agentrt.planner.grammar_values import Values, shared_rules


@dataclass(frozen=True, slots=True, kw_only=True)
class GrammarLimits:
    """What keeps a plan short, and its grammar small.

    Attributes:
        max_tasks: Tasks of one plan.
        max_text: Characters of a text. A small model may never close one by itself.
    """

    max_tasks: int = 16
    max_text: int = 200


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
    last = first_id + limits.max_tasks
    known = list(earlier)
    rules = [f"root ::= lines-{first_id}"]
    for task_id in range(first_id, last):
        more = f'"\\n" lines-{task_id + 1}' if task_id + 1 < last else '"\\njoin"'
        rules.append(f'lines-{task_id} ::= "join" | task-{task_id} {more}')
        rules.extend(_task_rules(task_id, known, tools))
        known.append(task_id)
    rules.extend(shared_rules(limits.max_text))
    return "\n".join(rules) + "\n"


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
    limits = limits or GrammarLimits()
    ids = sorted({*known, *wanted})
    newline = ' "\\n" '
    rules = [f"root ::= {newline.join(f'task-{task_id}' for task_id in wanted)}"]
    for task_id in wanted:
        rules.extend(_task_rules(task_id, [each for each in ids if each < task_id], tools))
    rules.extend(shared_rules(limits.max_text))
    return "\n".join(rules) + "\n"


def _task_rules(task_id: int, known: Sequence[int], tools: Sequence[ToolSpec]) -> Iterator[str]:
    """`task-3` and what belongs to it alone: which tasks its references may lead to."""
    calls = [
        _call(tool, Values(tool.parameters, f"ref-{task_id}" if known else "")) for tool in tools
    ]
    yield f'task-{task_id} ::= "{task_id} " ( {" | ".join(calls)} )'
    if known:
        numbers = " | ".join(f'"{each}"' for each in known)
        yield f'ref-{task_id} ::= "$" ( {numbers} ) path'


def _call(tool: ToolSpec, values: Values) -> str:
    parameters = parameters_of(tool)
    properties = tool.parameters.get("properties", {})
    required = [
        f"{_literal(f'{name}=')} {values.of(properties[name])}"
        for name in properties
        if name in parameters.required
    ]
    optional = [
        f"{_literal(f'{name}=')} {values.of(properties[name])}"
        for name in properties
        if name not in parameters.required
    ]
    body = ' ", " '.join(required)
    if required:
        body += "".join(f' ( ", " {each} )?' for each in optional)
    elif optional:
        # The first one that is given has no comma before it.
        firsts = [
            each + "".join(f' ( ", " {later} )?' for later in optional[index + 1 :])
            for index, each in enumerate(optional)
        ]
        body = f"( {' | '.join(firsts)} )?"
    return f'{_literal(f"{tool.name}(")} {body} ")"'


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
