"""What the model writes for each contender, and the published contenders' prompts.

Instructions of published systems are stand-ins: text of as many tokens as theirs have (commit a00c9d3
of github.com/SqueezeAILab/LLMCompiler, counted as `function_calling_tokens` counts), which is all that a
replaying server reads of them. What the completions say is made of the question's own steps, in the
form that each system's examples show; thoughts are as long as theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from agentrt.planner.task import Reference, Task
from tests.benchmarks.function_calling_questions import Question, Shape, Step
from tests.benchmarks.function_calling_tools import TOOLS
from tests.benchmarks.function_calling_world import filler

Writing: TypeAlias = Mapping[str, Sequence[Any]]
"""Completions by model, in the order of the calls."""

INSTRUCTION_TOKENS: dict[str, dict[Shape, int]] = {
    "react": {"hotpotqa": 675, "movie": 1774, "parallelqa": 3592},
    "planner": {"hotpotqa": 565, "movie": 616, "parallelqa": 1601},
    "joiner": {"hotpotqa": 520, "movie": 1529, "parallelqa": 3052},
    # Not published: what makes the input tokens those of the paper's table.
    "parallel": {"hotpotqa": 1095, "movie": 1490, "parallelqa": 4000},
}
REACT_THOUGHT_TOKENS: dict[Shape, int] = {"hotpotqa": 28, "movie": 14, "parallelqa": 34}
JOIN_THOUGHT_TOKENS: dict[Shape, int] = {"hotpotqa": 36, "movie": 18, "parallelqa": 36}

MOVIES_AT_ONCE = 4
"""Provider-style calls of one message about films: first those of the question, then the options. The
published input tokens and latency are those of three calls of the model, not of two."""


def instructions(system: str, shape: Shape) -> str:
    return filler(INSTRUCTION_TOKENS[system][shape], f"{system} {shape}")


def react(question: Question) -> Writing:
    """Thought and action, one call at a time; the last one finishes."""
    thought = f"Thought:{filler(REACT_THOUGHT_TOKENS[question.shape], question.id)}"
    verbs = {"search": "Search", "math": "Calculate"}
    turns = [f"{thought}\nAction: {verbs[s.tool]}[{_alone(s)}]" for s in question.steps]
    return {"main": [*turns, f"{thought}\nAction: Finish[{question.answer}]"]}


def parallel(question: Question) -> Writing:
    """Messages of tool calls, as many at once as can be, then the answer as text."""
    rounds: list[tuple[int, ...]] = list(question.rounds)
    if question.shape == "movie":
        steps = rounds[0]
        rounds = [steps[at : at + MOVIES_AT_ONCE] for at in range(0, len(steps), MOVIES_AT_ONCE)]
    found: list[Any] = []
    for numbers in rounds:
        steps_now = [question.steps[number - 1] for number in numbers]
        found.append([{"name": s.tool, "arguments": _arguments(s)} for s in steps_now])
    return {"main": [*found, f"The answer is {question.answer}."]}


def published(question: Question) -> Writing:
    """A plan with positional arguments and textual references, and a joiner that thinks first."""
    lines: list[str] = []
    for number, step in enumerate(question.steps, 1):
        if step.tool == "search":
            arguments = json.dumps(step.text, ensure_ascii=False)
        elif len(step.reads) == 1:
            arguments = f'{json.dumps(step.text)}, ["${step.reads[0]}"]'
        else:
            values = ", ".join(f"${read}" for read in step.reads)
            arguments = f'"max({values}) - min({values})"'
        lines.append(f"{number}. {step.tool}({arguments})")
    lines.append("Thought: I can answer the question now.")
    lines.append(f"{len(question.steps) + 1}. join()<END_OF_PLAN>")
    thought = filler(JOIN_THOUGHT_TOKENS[question.shape], question.id)
    verdict = f"Thought:{thought}.\nAction: Finish({question.answer})"
    return {"planner": ["\n".join(lines)], "joiner": [verdict]}


def planned(question: Question, *, thinks: bool = False) -> Writing:
    """A plan as `agentrt.planner` asks for it, and its joiner's verdict."""
    lines = [str(_task(number, step)) for number, step in enumerate(question.steps, 1)]
    answer: Any = question.answer
    if thinks:
        thought = filler(JOIN_THOUGHT_TOKENS[question.shape], question.id).strip()
        answer = {"thought": thought, "answer": answer}
    verdict = json.dumps({"verdict": {"answer": answer}}, ensure_ascii=False)
    return {"planner": ["\n".join([*lines, "join"])], "joiner": [verdict]}


def tool_schemas(question: Question) -> list[dict[str, Any]]:
    """The tools as a provider takes them."""
    names = dict.fromkeys(step.tool for step in question.steps)
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": TOOLS[name].spec.description,
                "parameters": TOOLS[name].spec.parameters,
            },
        }
        for name in names
    ]


def _task(number: int, step: Step) -> Task:
    if step.tool == "search":
        return Task(number, "search", {"entity": step.text})
    context = [Reference(read) for read in step.reads]
    return Task(number, "math", {"problem": step.text, "context": context})


def _arguments(step: Step) -> str:
    key = "entity" if step.tool == "search" else "problem"
    return json.dumps({key: step.text if step.tool == "search" else _alone(step)})


def _alone(step: Step) -> str:
    """A step for a model that has seen the results: it writes values, not references."""
    if step.tool == "search" or len(step.reads) == 1:
        return step.text
    values = ", ".join("148.08" for _ in step.reads)
    return f"max({values}) - min({values})"
