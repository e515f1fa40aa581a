"""Errors say where in the author's own code they came about."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from agentrt.dsl.control import branch
from agentrt.dsl.decorators import llm, tool, workflow
from agentrt.errors import DefinitionError
from agentrt.ir.prompt import Prompt


@tool(effects="none")
def search(query: str) -> str:
    return query


@tool(effects="none")
def is_long(text: str) -> bool:
    return len(text) > 1


@llm
def broken(text: str) -> Prompt[str]:
    half = 1 / 0
    return Prompt(f"{text} {half}")


@llm
def cut(text: str) -> Prompt[str]:
    return Prompt(f"{text}"[:-2])


def choose(text: str) -> str:
    if text:
        return "a"
    return "b"


def chosen(question: str) -> str:
    return choose(search(question))


def replaced(question: str) -> str:
    return re.sub("a", "b", question)


def asked(question: str) -> str:
    return broken(question)


def was_cut(question: str) -> str:
    return cut(question)


def in_a_body(question: str) -> str:
    return branch(is_long(question), then=lambda: choose(question), otherwise=lambda: question)


def misfit(question: str) -> int:
    return search(question)  # type: ignore[return-value]


def at(function: Callable[..., Any], line: int) -> str:
    """As messages say it: this line of the function, the one with `def` (or a decorator) being 0."""
    code = function.__code__
    return f"\nat {__file__}:{code.co_firstlineno + line}, in {code.co_qualname}"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (chosen, at(choose, 1)),
        (replaced, at(replaced, 1)),
        (asked, at(broken.function, 2)),
        (was_cut, at(was_cut, 1)),
        (in_a_body, at(choose, 1)),
        (misfit, at(misfit, 0)),
    ],
)
def test_an_error_of_the_program_names_the_author_s_line(
    body: Callable[[str], Any], where: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        workflow(body).trace()
    assert str(caught.value).endswith(where)


def test_the_line_is_named_once_however_deep_workflows_nest() -> None:
    inner = workflow(chosen)

    @workflow
    def outer(question: str) -> str:
        return inner(question)

    with pytest.raises(DefinitionError) as caught:
        outer.trace()
    assert str(caught.value).endswith(at(choose, 1))
    assert str(caught.value).count("\nat ") == 1
    assert caught.value.__notes__ == ["in the workflow chosen", "in the workflow outer"]
