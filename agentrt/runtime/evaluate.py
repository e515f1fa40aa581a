"""Expressions as functions of the values there are: compiled once, called for every instance."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, TypeAlias, assert_never

from agentrt.dsl.value_type import ValueType
from agentrt.ir.expression import (
    Const,
    Expression,
    Fields,
    Items,
    NodeId,
    Template,
    Text,
    Use,
    project,
)
from agentrt.ir.prompt import PromptTemplate, render_value

Values: TypeAlias = dict[NodeId, Any]
Evaluate: TypeAlias = Callable[[Values], Any]

_SCALARS = (str, int, float, bool, type(None))


# The commonest cases are objects of one slot or two instead of closures, which are a function, cells
# and a tuple each: of a graph with thousands of nodes, the garbage collector looks at every one.


class _CheckedValue:
    """A node's value, as a tool's parameter takes it."""

    __slots__ = ("_node", "_type")

    def __init__(self, node: NodeId, type_: ValueType[Any]) -> None:
        self._node = node
        self._type = type_

    def __call__(self, values: Values) -> Any:
        return self._type.check(values[self._node])


class _OneArgument:
    """The arguments of a tool that takes one."""

    __slots__ = ("_evaluate", "_name")

    def __init__(self, name: str, evaluate: Evaluate) -> None:
        self._name = name
        self._evaluate = evaluate

    def __call__(self, values: Values) -> dict[str, Any]:
        return {self._name: self._evaluate(values)}


def evaluator(expression: Expression) -> Evaluate:
    """`expression` as a function; it raises what a projection raises (KeyError, IndexError, ...)."""
    match expression:
        case Use(node, ()):
            return itemgetter(node)
        case Use(node, path):
            return lambda values: project(values[node], path)
        case Const(value):
            if isinstance(value, _SCALARS):
                return lambda _: value
            return lambda _: copy.deepcopy(value)  # a tool may change what it is handed
        case Items(items):
            parts = [evaluator(item) for item in items]
            return lambda values: [part(values) for part in parts]
        case Fields(fields):
            named = [(name, evaluator(value)) for name, value in fields]
            return lambda values: {name: part(values) for name, part in named}
        case Template():
            return _text_evaluator(expression)
        case _:
            assert_never(expression)


def argument_evaluator(expression: Expression, parameter: ValueType[Any]) -> Evaluate:
    """The same for a tool's argument: what was written as JSON becomes the parameter's type.

    A `Use` may lead to JSON as well (a constant that passed through a map or a branch), and an int
    may become a float on the way; values that are what they should be pass unchanged.
    """
    match expression:
        case Use(node, ()):
            return _CheckedValue(node, parameter)
        case Const(value):
            constant = parameter.from_json(value)
            if isinstance(constant, _SCALARS):
                return lambda _: constant
            return lambda _: parameter.from_json(value)
        case Items() | Fields() | Use():
            evaluate = evaluator(expression)
            return lambda values: parameter.check(evaluate(values))
        case Template():
            return evaluator(expression)
        case _:
            assert_never(expression)


def arguments_evaluator(
    inputs: tuple[tuple[str, Expression], ...], parameters: Mapping[str, ValueType[Any]]
) -> Callable[[Values], dict[str, Any]]:
    """A tool's keyword arguments as a function of the values there are."""
    if len(inputs) == 1:
        ((name, value),) = inputs
        return _OneArgument(name, argument_evaluator(value, parameters[name]))
    parts = [(name, argument_evaluator(value, parameters[name])) for name, value in inputs]
    return lambda values: {name: part(values) for name, part in parts}


def prompt_evaluator(prompt: PromptTemplate) -> Callable[[Values], tuple[str | None, str]]:
    """A prompt's (system, user) texts as a function of the values there are."""
    system = None if prompt.system is None else _text_evaluator(prompt.system)
    blocks = [_text_evaluator(block) for block in (*prompt.context, prompt.user)]
    return lambda values: (
        None if system is None else system(values),
        "\n\n".join(block(values) for block in blocks),
    )


def evaluate_partial(expression: Expression, values: Mapping[NodeId, Any]) -> Any:
    """What there is of `expression` when some nodes have no value: None in their place."""
    match expression:
        case Use(node, path):
            try:
                return project(values[node], path)
            except (LookupError, AttributeError, TypeError):
                return None
        case Items(items):
            return [evaluate_partial(item, values) for item in items]
        case Fields(fields):
            return {name: evaluate_partial(value, values) for name, value in fields}
        case Const(value):
            return copy.deepcopy(value)
        case Template():
            try:
                return evaluator(expression)(dict(values))
            except (LookupError, AttributeError, TypeError):
                return None
        case _:
            assert_never(expression)


def _text_evaluator(template: Template) -> Callable[[Values], str]:
    parts: list[str | Evaluate] = [
        part.text if isinstance(part, Text) else evaluator(part.expression)
        for part in template.parts
    ]
    if all(isinstance(part, str) for part in parts):
        text = "".join(part for part in parts if isinstance(part, str))
        return lambda _: text
    return lambda values: "".join(
        part if isinstance(part, str) else render_value(part(values)) for part in parts
    )
