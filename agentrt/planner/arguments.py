"""Arguments of a task against the schemas of tools, before anything runs.

A library that validates JSON does not fit: arguments hold references, of which nothing but the
schema of what they stand for is known yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentrt.ir.lint_tool import parameters_of
from agentrt.ir.lint_value import leads_nowhere
from agentrt.ir.schema import Json, Schema, is_list, is_object
from agentrt.ir.tool import ToolSpec
from agentrt.planner.task import Reference, written

OutputOf = Callable[[int], Schema]
"""The schema of a task's result; empty where it is not known."""

ANYTHING: Schema = {}
"""The schema of whatever there is."""

_KINDS: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
_MAX_REFS = 32
_NO_CONSTRAINTS = {"allOf", "title", "description", "default", "examples", "deprecated"}
_SHOWN = 60


def arguments_problem(
    spec: ToolSpec, arguments: Mapping[str, Any], output_of: OutputOf
) -> str | None:
    """What is wrong with a call, in words a model can act on; None when nothing is."""
    if problem := parameters_of(spec).problem(set(arguments)):
        return f"{spec.name} {problem}"
    properties: Mapping[str, Schema] = spec.parameters.get("properties", {})
    for name, value in arguments.items():
        schema = properties.get(name, spec.parameters.get("additionalProperties", {}))
        if is_object(schema):
            check = _Check(spec.parameters, output_of)
            if problem := check.problem(value, schema):
                return f"{name} {problem}"
    return None


def value_problem(value: Json, schema: Schema) -> str | None:
    """What is wrong with a value that is to fit `schema`; None when nothing is."""
    return _Check(schema, lambda _: {}).problem(value, schema)


class _Check:
    """Values of one call against schemas that share the definitions of `root`."""

    def __init__(self, root: Schema, output_of: OutputOf) -> None:
        self._root = root
        self._output_of = output_of
        self._alternatives: dict[tuple[int, int], str | None] = {}

    def problem(self, value: Any, schema: Schema) -> str | None:
        schema = followed(schema, self._root)
        if isinstance(value, Reference):
            return self._reference_problem(value, schema)
        allowed = kinds(schema, self._root)
        kind = _kind_of(value)
        if allowed is not None and not _fits(kind, allowed, value):
            return f"must be {_any_of(allowed)}, not {_any_of({kind})}: {_shown(value)}"
        if "enum" in schema and value not in schema["enum"]:
            return f"must be one of {_shown(list(schema['enum']))}, not {_shown(value)}"
        if "const" in schema and value != schema["const"]:
            return f"must be {_shown(schema['const'])}, not {_shown(value)}"
        return self._alternatives_problem(value, schema) or self._inner_problem(value, schema)

    def _reference_problem(self, value: Reference, schema: Schema) -> str | None:
        output = self._output_of(value.task)
        if leads_nowhere(output, value.path):
            return f"refers to {value}, but task {value.task} gives no such part"
        part = _part(output, value)
        allowed, given = kinds(schema, self._root), kinds(part, output)
        if allowed is None or given is None:
            return None
        if any(kind in allowed or _is_wider(kind, allowed) for kind in given):
            return None
        return f"must be {_any_of(allowed)}, but {value} gives {_any_of(given)}"

    def _alternatives_problem(self, value: Any, schema: Schema) -> str | None:
        if not {"allOf", "anyOf", "oneOf"} & schema.keys():
            return None
        # Once for each: definitions may name one another many times over, or themselves.
        key = id(value), id(schema)
        if key not in self._alternatives:
            self._alternatives[key] = None
            self._alternatives[key] = self._combined_problem(value, schema)
        return self._alternatives[key]

    def _combined_problem(self, value: Any, schema: Schema) -> str | None:
        for part in _schemas(schema.get("allOf")):
            if problem := self.problem(value, part):
                return problem
        for key in ("anyOf", "oneOf"):
            problems = [self.problem(value, part) for part in _schemas(schema.get(key))]
            if problems and all(problems):
                return problems[0]
        return None

    def _inner_problem(self, value: Any, schema: Schema) -> str | None:
        if is_object(value):
            return self._object_problem(value, schema)
        if is_list(value):
            return self._list_problem(value, schema)
        if isinstance(value, str):
            return _bounds_problem(len(value), schema, ("minLength", "maxLength"), "characters")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _bounds_problem(value, schema, ("minimum", "maximum"), "")
        return None

    def _object_problem(self, value: Mapping[str, Any], schema: Schema) -> str | None:
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            return f"needs the key {_shown(missing[0])}"
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        for name, item in value.items():
            inner = properties.get(name, others)
            if inner is False:
                return f"has no key {_shown(name)}"
            if is_object(inner) and (problem := self.problem(item, inner)):
                return f"at {_shown(name)} {problem}"
        return None

    def _list_problem(self, value: list[Any], schema: Schema) -> str | None:
        if problem := _bounds_problem(len(value), schema, ("minItems", "maxItems"), "items"):
            return problem
        first = _schemas(schema.get("prefixItems"))
        others = schema.get("items", {})
        for index, item in enumerate(value):
            inner = first[index] if index < len(first) else others
            if inner is False:
                return f"may have {len(first)} items"
            if is_object(inner) and (problem := self.problem(item, inner)):
                return f"at [{index}] {problem}"
        return None


def kinds(schema: Schema, root: Schema) -> frozenset[str] | None:
    """The JSON types that `schema` allows; None where it does not say."""
    return _kinds(schema, root, {}) or None


def _kind_of(value: object) -> str:
    return _KINDS.get(type(value), "null")


def followed(schema: Schema, root: Schema) -> Schema:
    """`schema`, or the definition in `root` that it refers to; anything, where there is none."""
    for _ in range(_MAX_REFS):
        target, parts = schema.get("$ref"), _schemas(schema.get("allOf"))
        if isinstance(target, str):
            found = _definition(target, root)
        elif len(parts) == 1 and schema.keys() <= _NO_CONSTRAINTS:
            found = parts[0]  # how a description is put beside a reference
        else:
            return schema
        if not is_object(found):
            return ANYTHING
        schema = found
    return ANYTHING


def _definition(target: str, root: Schema) -> Any:
    found: Any = root
    for step in target.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if is_object(found) else None
    return found


def _kinds(
    schema: Schema, root: Schema, known: dict[int, frozenset[str] | None]
) -> frozenset[str] | None:
    schema = followed(schema, root)
    if id(schema) not in known:
        known[id(schema)] = frozenset()  # what is an alternative of itself adds none
        known[id(schema)] = _kinds_of(schema, root, known)
    return known[id(schema)]


def _kinds_of(
    schema: Schema, root: Schema, known: dict[int, frozenset[str] | None]
) -> frozenset[str] | None:
    kind = schema.get("type")
    if isinstance(kind, str):
        return frozenset({kind})
    if is_list(kind):
        return frozenset(str(each) for each in kind)
    values = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else []
    if values:
        return frozenset(_kind_of(value) for value in values)
    parts = _schemas(schema.get("anyOf")) or _schemas(schema.get("oneOf"))
    found = [_kinds(part, root, known) for part in parts]
    if not found or any(each is None for each in found):
        return None
    return frozenset[str]().union(*(each for each in found if each is not None))


def _part(schema: Schema, reference: Reference) -> Schema:
    root = schema
    for step in reference.path:
        schema = followed(schema, root)
        inner: Any = schema.get("items") if isinstance(step, int) else schema.get("properties", {})
        part = inner.get(step) if isinstance(step, str) and is_object(inner) else inner
        if not is_object(part):
            return {}
        schema = part
    return schema


def _fits(kind: str, allowed: frozenset[str], value: Json) -> bool:
    if kind in allowed or _is_wider(kind, allowed):
        return True
    return kind == "number" and "integer" in allowed and float(value).is_integer()


def _is_wider(kind: str, allowed: frozenset[str]) -> bool:
    return kind == "integer" and "number" in allowed


def _bounds_problem(amount: float, schema: Schema, keys: tuple[str, str], unit: str) -> str | None:
    least, most = schema.get(keys[0]), schema.get(keys[1])
    if isinstance(least, (int, float)) and amount < least:
        return f"must be {least} {unit}".rstrip() + " or more"
    if isinstance(most, (int, float)) and amount > most:
        return f"must be {most} {unit}".rstrip() + " or less"
    return None


def _schemas(value: Any) -> list[Schema]:
    """Those of a list; `true` takes anything, and `false` nothing: it is left out."""
    found: list[Any] = value if is_list(value) else []
    return [item if is_object(item) else ANYTHING for item in found if item is not False]


def _any_of(found: frozenset[str] | set[str]) -> str:
    articles = {"integer": "an integer", "array": "an array", "object": "an object", "null": "null"}
    return " or ".join(articles.get(kind, f"a {kind}") for kind in sorted(found))


def _shown(value: Any) -> str:
    shown = written(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
