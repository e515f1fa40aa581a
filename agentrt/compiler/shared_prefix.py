"""How far prompts begin alike, as far as that is known before anything runs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from agentrt.ir.expression import Const, NodeId, Template, Text, uses
from agentrt.ir.node import AgentNode, LLMNode
from agentrt.ir.prompt import render_value
from agentrt.ir.schema import canonical_json

Prompting: TypeAlias = LLMNode | AgentNode


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a prompt is known to begin with.

    Attributes:
        kind: What must be the same for any of it to be shared: the model, and the tools, that chat
            templates put before everything else.
        system: The static text at the start of the system message.
        user: The same of the user message; empty unless all of the system message is static.
    """

    kind: str
    system: str
    user: str

    @property
    def chars(self) -> int:
        return len(self.system) + len(self.user)


def beginning_of(node: Prompting) -> Beginning:
    """What `node`'s prompt begins with in every run."""
    options = node.options
    tools = (node.shown_tools or node.tools) if isinstance(node, AgentNode) else ()
    system, is_whole = "", True
    if node.prompt.system is not None:
        system, is_whole = _leading([node.prompt.system])
    # The form of the answer is said at the end of the system message.
    kind = canonical_json([options.tier or "large", options.model, list(tools)])
    if not is_whole:
        return Beginning(kind, system, "")
    form = "" if node.output == {"type": "string"} else canonical_json(node.output)
    user, _ = _leading([*node.prompt.context, node.prompt.user])
    return Beginning(kind, system, form + "\0" + user if form else user)


def common_chars(one: Beginning, other: Beginning) -> int:
    """Characters that both begin with."""
    if one.kind != other.kind:
        return 0
    system = len(os.path.commonprefix([one.system, other.system]))  # noqa: RUF071  texts, no paths
    if one.system != other.system:
        return system
    return system + len(os.path.commonprefix([one.user, other.user]))  # noqa: RUF071


@dataclass(frozen=True, slots=True)
class Fixed:
    """What all instances of a map's body begin with.

    Attributes:
        chars: Static characters of it.
        has_values: Values that are the same for all of them are in it too, of a length that is known
            only when it runs.
    """

    chars: int = 0
    has_values: bool = False


def fixed_beginning(node: Prompting, changing: Collection[NodeId]) -> Fixed:
    """What `node`'s prompt has before the first thing that comes from one of `changing`."""
    chars, has_values = 0, False
    for template in node.prompt.templates():
        for part in template.parts:
            if isinstance(part, Text):
                chars += len(part.text)
            elif any(use.node in changing for use in uses(part.expression)):
                return Fixed(chars, has_values)
            else:
                has_values = True
    return Fixed(chars, has_values)


def _leading(templates: list[Template]) -> tuple[str, bool]:
    """The static text that `templates` begin with, and whether it is all of them."""
    found: list[str] = []
    for text in (text for template in templates for text in _texts(template)):
        if text is None:
            return "".join(found), False
        found.append(text)
    return "".join(found), True


def _texts(template: Template) -> Iterator[str | None]:
    for part in template.parts:
        if isinstance(part, Text):
            yield part.text
        elif isinstance(part.expression, Const):
            yield render_value(part.expression.value)
        elif isinstance(part.expression, Template):
            yield from _texts(part.expression)
        else:
            yield None
