"""The rules of a `ToolSpec`, and of calls to it."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from agentrt.ir.lint_value import below, json_problem, not_positive, text_problem
from agentrt.ir.schema import is_list
from agentrt.ir.tool import ToolSpec


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a tool's schema says about the names of its arguments.

    Attributes:
        is_open: Other names than `known` are welcome (`additionalProperties`).
    """

    known: frozenset[str]
    required: frozenset[str]
    is_open: bool

    def problem(self, given: set[str]) -> str | None:
        """What is wrong with a call that gives these arguments; None when nothing is."""
        missing = self.required - given
        if missing:
            return f"needs {_listed(missing)}, which the call does not give"
        unknown = set[str]() if self.is_open else given - self.known
        if unknown:
            return f"has no parameter {_listed(unknown)}"
        return None


def parameters_of(spec: ToolSpec) -> Parameters:
    """Call `tool_problem` first: here the schema is trusted."""
    schema = spec.parameters
    return Parameters(
        known=frozenset(schema.get("properties", ())),
        required=frozenset(schema.get("required", ())),
        is_open=schema.get("additionalProperties", False) is not False,
    )


def tool_problem(name: str, spec: ToolSpec) -> str | None:
    """What is wrong with a tool the graph knows as `name`; None when nothing is."""
    if spec.name != name:
        return f"it is listed as {name!r}"
    if not name:
        return "a tool needs a name"
    return text_problem(name) or text_problem(spec.description) or _problem(spec)


def _problem(spec: ToolSpec) -> str | None:
    for schema in (spec.parameters, spec.output):
        if problem := json_problem(schema):
            return f"its schema: {problem}"
    if not isinstance(spec.parameters.get("properties", {}), Mapping):
        return "the `properties` of its parameters are no object"
    if not _is_texts(spec.parameters.get("required", [])):
        return "the `required` of its parameters is no list of names"
    if spec.effects not in ("none", "read", "write"):
        return f"its effects are none, read or write, not {spec.effects!r}"
    return (
        below(0, retries=spec.retries)
        or below(1, concurrency=spec.concurrency, max_output_bytes=spec.max_output_bytes)
        or not_positive(timeout_s=spec.timeout_s)
    )


def _is_texts(value: Any) -> bool:
    return is_list(value) and all(isinstance(name, str) for name in value)


def _listed(names: AbstractSet[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
