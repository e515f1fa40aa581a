"""How far prompts begin alike, as far as that is known before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from agentrt.ir.expression import (
    Const,
    Expression,
    NodeId,
    Template,
    Text,
    Use,
    rewrite_uses,
    uses,
)
from agentrt.ir.node import AgentNode, LLMNode
from agentrt.ir.prompt import render_value
from agentrt.ir.prompt_break import common_length
from agentrt.ir.schema import canonical_json

Prompting: TypeAlias = LLMNode | AgentNode
Names: TypeAlias = Mapping[NodeId, Expression]
"""What the nodes of a body are called in the graph around it."""

_NO_NAMES: Final[Names] = {}
_END_OF_SYSTEM: Final = 0
_VALUE: Final = 1
_TEXT: Final = 2
_BETWEEN_BLOCKS: Final = "\n\n"  # as the runtime joins them


class Piece(NamedTuple):
    """A stretch of a prompt. They sort as what they stand for does, letter by letter.

    Attributes:
        sort: A text, a value, or the end of the system message.
        text: The text; what tells the value from others; the form of the answer.
        reads: The nodes that a value comes from.
    """

    sort: int
    text: str
    reads: tuple[NodeId, ...] = ()


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of prompts is the same.

    Attributes:
        chars: Static characters of it.
        has_values: Values are in it too, of a length that is known only when it runs.
    """

    chars: int = 0
    has_values: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Beginning:
    """A prompt from its start on: two that begin with equal pieces begin with the same text.

    Attributes:
        kind: What must be the same for any of it to be shared: the model, and the tools, that chat
            templates put before everything else.
        pieces: In the order they are sent; no two texts are neighbours.
    """

    kind: str
    pieces: tuple[Piece, ...]

    def least(self, chars: int) -> tuple[str | Piece, ...] | None:
        """The shortest beginning of it that has so many characters, or a value; None: there is none.

        Prompts begin alike for at least as long if and only if this is the same of both.
        """
        found: list[str | Piece] = [self.kind]
        left = chars
        for piece in self.pieces:
            if piece.sort == _TEXT:
                found.append(piece.text[:left])
            else:
                found.append(piece)
            left -= len(piece.text)
            if piece.sort == _VALUE or left <= 0:
                return tuple(found)
        return None


def beginning_of(node: Prompting, names: Names = _NO_NAMES, prefix: str = "") -> Beginning:
    """`node`'s prompt, for comparing.

    Args:
        node: Of a graph or of a body.
        names: What nodes of the body have for others around it.
        prefix: For those that are in no `names`.
    """
    options = node.options
    tools = (node.shown_tools or node.tools) if isinstance(node, AgentNode) else ()
    kind = canonical_json([options.tier or "large", options.model, list(tools)])
    return Beginning(kind, tuple(_joined(_pieces(node, names, prefix))))


def common(one: Beginning, other: Beginning) -> Extent:
    """What both begin with."""
    chars, has_values = 0, False
    if one.kind != other.kind:
        return Extent()
    for a, b in zip(one.pieces, other.pieces, strict=False):
        if a.sort == b.sort == _TEXT:
            length = common_length(a.text, b.text)
            chars += length
            if length < max(len(a.text), len(b.text)):
                break
        elif a != b:
            break
        elif a.sort == _VALUE:
            has_values = True
        else:
            chars += len(a.text)
    return Extent(chars, has_values)


def fixed(begins: Beginning, is_changing: Callable[[NodeId], bool]) -> Extent:
    """What comes before the first value that is from a changing node."""
    chars, has_values = 0, False
    for piece in begins.pieces:
        if any(map(is_changing, piece.reads)):
            break
        if piece.sort == _VALUE:
            has_values = True
        else:
            chars += len(piece.text)
    return Extent(chars, has_values)


def named(expression: Expression, names: Names, prefix: str) -> Expression:
    """`expression` of a body, said in terms of the graph around it, where that knows the value."""

    def change(use: Use) -> Expression:
        known = names.get(use.node)
        if isinstance(known, Use):
            return Use(known.node, known.path + use.path)
        if known is None or use.path:
            return Use(prefix + use.node, use.path)
        return known

    return rewrite_uses(expression, change) if names or prefix else expression


def _pieces(node: Prompting, names: Names, prefix: str) -> Iterator[Piece]:
    prompt = node.prompt
    if prompt.system is not None:
        yield from _flat(named(prompt.system, names, prefix))
    # The form of the answer is said at the end of the system message; agents say more there.
    form = "" if node.output == {"type": "string"} else canonical_json(node.output)
    yield Piece(_END_OF_SYSTEM, f"{node.kind} {form}" if form else "")
    for block in prompt.context:
        yield from _flat(named(block, names, prefix))
        yield Piece(_TEXT, _BETWEEN_BLOCKS)
    yield from _flat(named(prompt.user, names, prefix))


def _flat(expression: Expression) -> Iterator[Piece]:
    """Texts and values of `expression`, in order."""
    if isinstance(expression, Const):
        yield Piece(_TEXT, render_value(expression.value))
    elif isinstance(expression, Template):
        for part in expression.parts:
            if isinstance(part, Text):
                yield Piece(_TEXT, part.text)
            else:
                yield from _flat(part.expression)
    else:
        reads = tuple(dict.fromkeys(use.node for use in uses(expression)))
        yield Piece(_VALUE, repr(expression), reads)


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    texts: list[str] = []
    for piece in pieces:
        if piece.sort == _TEXT:
            texts.append(piece.text)
            continue
        if any(texts):
            yield Piece(_TEXT, "".join(texts))
        texts = []
        yield piece
    if any(texts):
        yield Piece(_TEXT, "".join(texts))
