"""JSON Schemas of arguments as rules of a grammar, with references wherever a value can stand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentrt.ir.lint_value import is_list, is_object
from agentrt.ir.schema import Json, Schema
from agentrt.planner.arguments import followed, kinds

_MAX_CHOICES = 64
_MAX_DEPTH = 4
_SCALARS = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "null": '"null"',
}


def shared_rules(max_text: int) -> list[str]:
    """What the grammars of all tools have in common.

    Texts have no escapes by code: whatever they stand for can be written, but for half a surrogate
    pair, which is no text.
    """
    return [
        f'text ::= "\\"" char{{0,{max_text}}} "\\""',
        r'char ::= [^"\\\x00-\x1F\x7F] | "\\" ["\\/nt]',
        'integer ::= "-"? ( "0" | [1-9] [0-9]{0,14} )',
        'number ::= integer ( "." [0-9]{1,9} )?',
        'boolean ::= "true" | "false"',
        'path ::= ( "." [A-Za-z_] [A-Za-z0-9_]{0,39} | "[" [0-9]{1,3} "]" ){0,3}',
        'value ::= text | number | boolean | "null" | "[" ( scalar ( ", " scalar ){0,15} )? "]"'
        ' | "{" ( text ": " scalar ( ", " text ": " scalar ){0,15} )? "}"',
        'scalar ::= text | number | boolean | "null"',
    ]


class Values:
    """The values that fit schemas of one tool, as parts of rules.

    Args:
        root: The schema with the definitions.
        reference: The rule of references; empty where there is nothing to refer to.
    """

    def __init__(self, root: Schema, reference: str) -> None:
        self._root = root
        self._reference = reference

    def of(self, schema: Any, depth: int = 0) -> str:
        """An expression for the values of `schema`, in parentheses where it has alternatives."""
        found = self._value(followed(schema, self._root) if is_object(schema) else {}, depth)
        choices = [*dict.fromkeys(found), *([self._reference] if self._reference else [])]
        return choices[0] if len(choices) == 1 else f"( {' | '.join(choices)} )"

    def _value(self, schema: Schema, depth: int) -> list[str]:
        if "const" in schema:
            return [_constant(schema["const"])]
        if is_list(schema.get("enum")) and 0 < len(schema["enum"]) <= _MAX_CHOICES:
            return [_constant(value) for value in schema["enum"]]
        parts = schema.get("anyOf") or schema.get("oneOf")
        if is_list(parts) and parts and depth < _MAX_DEPTH:
            inner = [self._value(followed(each, self._root), depth + 1) for each in parts]
            return [choice for choices in inner for choice in choices]
        allowed = kinds(schema, self._root)
        if allowed is None or depth >= _MAX_DEPTH:
            return ["value"]
        return [self._kind(kind, schema, depth) for kind in sorted(allowed)]

    def _kind(self, kind: str, schema: Schema, depth: int) -> str:
        if kind == "array":
            item = self.of(schema.get("items", {}), depth + 1)
            least = schema.get("minItems", 0)
            inner = f'{item} ( ", " {item} ){{0,15}}'
            return f'"[" {inner} "]"' if least else f'"[" ( {inner} )? "]"'
        if kind == "object":
            return self._object(schema, depth)
        return _SCALARS.get(kind, "value")

    def _object(self, schema: Schema, depth: int) -> str:
        properties: Mapping[str, Any] = schema.get("properties", {})
        if not properties:
            item = self.of(schema.get("additionalProperties", {}), depth + 1)
            return f'"{{" ( text ": " {item} ( ", " text ": " {item} ){{0,15}} )? "}}"'
        # All of them, whether required or not: what is optional may then be left out nowhere.
        given = [
            f'{_constant(name)} ": " {self.of(inner, depth + 1)}'
            for name, inner in properties.items()
        ]
        return '"{" ' + ' ", " '.join(given) + ' "}"'


def _constant(value: Json) -> str:
    """A literal of the grammar that is `value` as JSON."""
    return json.dumps(json.dumps(value, ensure_ascii=False), ensure_ascii=False)
