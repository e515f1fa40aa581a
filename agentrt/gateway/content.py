"""What messages say, as text: equal content is equal text, and a picture is about as long as it costs."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from agentrt.backends.json_shape import is_array, is_object
from agentrt.backends.wire import clean
from agentrt.ir.schema import canonical_json

MOST_PARTS = 10_000
"""Of the lists of a request, all together. What has more is no conversation: reading each part would take
minutes in which nobody else is answered, and so it is one text."""

_LONGEST_PART = 2_048
_STANDS_FOR_PART = 4_096
_TEXT_TYPES = {"text", "input_text", "output_text", "refusal", "reasoning_text", "summary_text"}


def has_too_many_parts(entries: list[Any], *within: str) -> bool:
    """Whether so many are in the list, and in the lists that its objects have at `within`, that none is read."""
    count = len(entries)
    if count > MOST_PARTS:
        return True
    for entry in entries:
        if is_object(entry):
            for name in within:
                inner = entry.get(name)
                if is_array(inner):
                    count += len(inner)
    return count > MOST_PARTS


def content_text(content: Any) -> str:
    """Content as text, whatever it is: a string, null, a list of parts, or anything else.

    Parts that are no text stand there as JSON, or as a digest of some thousand characters, since a
    picture's bytes say nothing of what it costs.
    """
    if isinstance(content, str):
        return clean(content)
    if content is None:
        return ""
    if is_array(content):
        # Halves of a surrogate pair may stand in two parts.
        return clean("".join([_part_text(part) for part in content]))
    return clean(_part_text(content))


def plain_string(value: Any) -> str:
    """`value` if it is a string, fit to be encoded; else ""."""
    return clean(value) if isinstance(value, str) else ""


def json_text(value: Any) -> str:
    """Any JSON as text: a string as it is, all else in one form, without marks for caching."""
    if isinstance(value, str):
        return clean(value)
    return "" if value is None else clean(canonical_json(_unmarked(value)))


def with_reasoning(text: str, reasoning: str) -> str:
    """An answer with what was thought before it, much as chat templates put it."""
    return f"<think>\n{reasoning}\n</think>\n\n{text}" if reasoning else text


def reasoning_text(message: dict[str, Any]) -> str:
    """What a message or a delta of one says of its reasoning, in any of the fields in use."""
    for name in ("reasoning_content", "reasoning"):
        value = message.get(name)
        if value:
            return value if isinstance(value, str) else content_text(value)
    return ""


def digested(kind: str, text: str) -> str:
    """Stands for something long that is not read as text: the same for the same, and no other."""
    digest = sha256(text.encode(errors="surrogatepass")).hexdigest()
    line = f"[{kind} {digest}]\n"
    return (line * (_STANDS_FOR_PART // len(line) + 1))[:_STANDS_FOR_PART]


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not is_object(part):
        return json_text(part)
    kind = part.get("type", "text")
    if isinstance(kind, str) and kind in _TEXT_TYPES:
        for name in ("text", "refusal"):
            value = part.get(name)
            if isinstance(value, str):
                return value
    text = json_text(part)
    return text if len(text) <= _LONGEST_PART else digested(_kind_name(kind), text)


def _kind_name(kind: Any) -> str:
    return clean(kind)[:64] if isinstance(kind, str) else "part"


def _unmarked(value: Any) -> Any:
    """Without the marks that move from part to part between two turns."""
    if is_object(value) and "cache_control" in value:
        return {name: inner for name, inner in value.items() if name != "cache_control"}
    return value
