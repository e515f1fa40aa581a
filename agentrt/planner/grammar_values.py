"""JSON Schemas of arguments as rules of a grammar, with references wherever a value can stand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentrt.ir.schema import Json, Schema, is_list, is_object
from agentrt.planner.arguments import ANYTHING, followed, kinds

_MAX_CHOICES = 256
_MAX_DEPTH = 4
_MAX_ITEMS = 16
_MAX_LEAST = 64
_SHORT = 24
_SCALARS = {"integer": "integer", "number": "number", "boolean": "boolean", "null": '"null"'}


def shared_rules(max_text: int) -> list[str]:
    """What the grammars of all tools have in common.

    Texts have no escapes by code: whatever they stand for can be written, but for half a surrogate
    pair, which is no text.
    """
    return [
        f"text ::= {_text_of(0, max_text)}",
        r'char ::= [^"\\\x00-\x1F\x7F] | "\\" ["\\/nt]',
        'integer ::= "-"? ( "0" | [1-9] [0-9]{0,14} )',
        'number ::= integer ( "." [0-9]{1,9} )?',
        'boolean ::= "true" | "false"',
        'path ::= ( "." [A-Za-z_] [A-Za-z0-9_]{0,39} | "[" [0-9]{1,3} "]" ){0,3}',
        'value ::= text | number | boolean | "null" | "[" ( scalar ( ", " scalar ){0,15} )? "]"'
        ' | "{" ( text ": " scalar ( ", " text ": " scalar ){0,15} )? "}"',
        'scalar ::= text | number | boolean | "null"',
    ]


class Rules:
    """Rules with names of their own, each there once: most values of most tasks are alike."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def named(self, expression: str) -> str:
        """A name for `expression`, or itself if it is as short."""
        if len(expression) <= _SHORT:
            return expression
        return self._names.setdefault(expression, f"r{len(self._names)}")

    def either(self, choices: Sequence[str]) -> str:
        """One of several expressions, as a part of others."""
        found = list(dict.fromkeys(choices))
        return found[0] if len(found) == 1 else f"( {' | '.join(found)} )"

    @property
    def lines(self) -> list[str]:
        return [f"{name} ::= {expression}" for expression, name in self._names.items()]


class Values:
    """The values that fit schemas of one tool, as parts of rules.

    What nests deeper than a few levels is left out, so that a plan ends whatever a schema says of
    itself: optional parts are not written then, and of alternatives those that do not end.

    Args:
        root: The schema with the definitions.
        rules: Where rules are kept.
        reference: The rule of references; empty where there is nothing to refer to.
        is_deep: Whether references may stand inside of lists and objects.
        max_text: Characters of a text.
    """

    def __init__(
        self, root: Schema, rules: Rules, *, reference: str, is_deep: bool, max_text: int
    ) -> None:
        self._root = root
        self._rules = rules
        self._references = [reference] if reference else []
        self._inner_references = self._references if is_deep else []
        self._max_text = max_text
        self._found: dict[tuple[int, int], list[str]] = {}

    def of(self, schema: Any) -> str:
        """An expression for an argument of `schema`, to be used as a part of others."""
        choices = self._choices(schema, 0) or ["value"]
        values = self._rules.named(self._rules.either(choices))
        return self._rules.either([values, *self._references])

    def _inner(self, schema: Any, depth: int) -> str | None:
        choices = self._choices(schema, depth)
        if not choices:
            return None
        return self._rules.named(self._rules.either([*choices, *self._inner_references]))

    def _choices(self, schema: Any, depth: int) -> list[str]:
        """None: no value of `schema` ends within the levels there are."""
        schema = followed(schema, self._root) if is_object(schema) else ANYTHING
        key = id(schema), depth
        if key not in self._found:
            self._found[key] = []  # what is met again inside of itself does not end
            self._found[key] = self._values(schema, depth)
        return self._found[key]

    def _values(self, schema: Schema, depth: int) -> list[str]:
        if "const" in schema:
            return [_constant(schema["const"])]
        if is_list(schema.get("enum")) and 0 < len(schema["enum"]) <= _MAX_CHOICES:
            constants = [_constant(value) for value in schema["enum"]]
            together = " | ".join(constants)
            return constants if len(together) <= _SHORT else [self._rules.named(together)]
        parts = schema.get("anyOf") or schema.get("oneOf")
        if is_list(parts) and parts:
            found = [choice for part in parts for choice in self._choices(part, depth)]
            return list(dict.fromkeys(found))
        allowed = kinds(schema, self._root)
        if not allowed:
            return ["value"]
        each = [self._kind(kind, schema, depth) for kind in sorted(allowed)]
        return [choice for choice in each if choice is not None]

    def _kind(self, kind: str, schema: Schema, depth: int) -> str | None:
        match kind:
            case "string":
                return self._text(schema)
            case "array":
                return self._array(schema, depth)
            case "object":
                return self._object(schema, depth)
            case _:
                return _SCALARS.get(kind, "value")

    def _text(self, schema: Schema) -> str:
        least, most = _bounds(schema, ("minLength", "maxLength"), self._max_text)
        if (least, most) == (0, self._max_text):
            return "text"
        return self._rules.named(_text_of(least, most))

    def _array(self, schema: Schema, depth: int) -> str | None:
        first = schema.get("prefixItems")
        if is_list(first) and first:
            return self._all(['"["'], [("", each) for each in first], '"]"', depth)
        least, most = _bounds(schema, ("minItems", "maxItems"), _MAX_ITEMS)
        item = None
        if depth < _MAX_DEPTH and most and schema.get("items") is not False:
            item = self._inner(schema.get("items", ANYTHING), depth + 1)
        if item is None:
            return None if least else '"[]"'
        items = f'{item} ( ", " {item} ){{{max(least - 1, 0)},{most - 1}}}' if most > 1 else item
        return f'"[" {items} "]"' if least else f'"[" ( {items} )? "]"'

    def _object(self, schema: Schema, depth: int) -> str | None:
        properties = _properties(schema)
        needed = _needed(schema)
        if properties:
            # All of them, whether required or not: what is optional may then be left out nowhere.
            fields = [
                (f"{json.dumps(name, ensure_ascii=False)}: ", inner)
                for name, inner in properties.items()
                if name in needed or self._ends(inner, depth + 1)
            ]
            return self._all(['"{"'], fields, '"}"', depth)
        others = schema.get("additionalProperties", ANYTHING)
        item = None if others is False or depth >= _MAX_DEPTH else self._inner(others, depth + 1)
        if item is None:
            return '"{}"'
        return f'"{{" ( text ": " {item} ( ", " text ": " {item} ){{0,{_MAX_ITEMS - 1}}} )? "}}"'

    def _ends(self, schema: Any, depth: int) -> bool:
        return depth <= _MAX_DEPTH and bool(self._choices(schema, depth))

    def _all(
        self, opened: list[str], parts: list[tuple[str, Any]], closed: str, depth: int
    ) -> str | None:
        """Every part, in order, each after its own words; None if one of them does not end."""
        written = opened
        for index, (words, schema) in enumerate(parts):
            if not self._ends(schema, depth + 1):
                return None
            before = f"{', ' if index else ''}{words}"
            written += [*([literal(before)] if before else []), str(self._inner(schema, depth + 1))]
        return " ".join([*written, closed])


def literal(text: str) -> str:
    """A terminal of the grammar."""
    return json.dumps(text, ensure_ascii=False)


def _constant(value: Json) -> str:
    """A terminal that is `value` as JSON."""
    return literal(json.dumps(value, ensure_ascii=False))


def _text_of(least: int, most: int) -> str:
    return f'"\\"" char{{{least},{most}}} "\\""'


def _bounds(schema: Schema, keys: tuple[str, str], limit: int) -> tuple[int, int]:
    """The least and the most of something, the most being no more than `limit` if that can be."""
    least, most = schema.get(keys[0]), schema.get(keys[1])
    least = least if isinstance(least, int) and 0 < least <= max(limit, _MAX_LEAST) else 0
    most = min(most, limit) if isinstance(most, int) and most >= 0 else limit
    return least, max(least, most)


def _properties(schema: Schema) -> Mapping[str, Any]:
    """Those that are described, and those that are only asked for."""
    described = schema.get("properties")
    known: dict[str, Any] = dict(described) if is_object(described) else {}
    return known | {name: ANYTHING for name in _needed(schema) if name not in known}


def _needed(schema: Schema) -> list[str]:
    names = schema.get("required")
    return [name for name in names if isinstance(name, str)] if is_list(names) else []
