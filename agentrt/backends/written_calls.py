"""Tool calls that a small model wrote into its text.

Its chat template tells a model to write a call as JSON between tags. Small ones get the JSON right and
the tags wrong: Qwen2.5-Coder-1.5B fences it as code, or repeats the doubled braces of its own
template. The engine takes that for text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, cast

from agentrt.backends.base import OnChunk
from agentrt.ir.request import Chunk, Completion, Message, ToolCall

# Code in any language, or the end of it would be taken for the beginning of the next.
_WRAPPED = re.compile(
    r"<tool_call>(?P<tagged>.*?)(?:</tool_call>|\Z)|```[^\n`]*\n(?P<fenced>.*?)```", re.DOTALL
)
# What ends a piece that has begun, by how it begins.
_ENDS = {"<tool_call>": "</tool_call>", "```": "```"}
_BEGUN = re.compile(r"<tool_call>|```(?=[^\n`]*\n)")
_MAY_BEGIN = re.compile(r"(?:<[tool_ca]{0,9}|`{1,2}|```[^\n`]*)\Z")
_TAGS = re.compile(r"</?tool_call>")
_JSON = json.JSONDecoder()
_KEYS = {"name", "arguments"}


def with_written_calls(
    completion: Completion, offered: Collection[str], *, turn: int
) -> Completion:
    """`completion` with the calls in its text as calls; the same one if there are none.

    Only JSON objects of exactly a name and arguments count, only with the name of a tool that is
    `offered`, and only as all of the text, all of a code block or between tags. `turn` makes the
    ids of the calls unique in the conversation.
    """
    if not offered or completion.tool_calls:
        return completion
    calls, text = _calls_in(completion.text, offered)
    if not calls:
        return completion
    return replace(
        completion,
        text=text,
        tool_calls=tuple(
            ToolCall(id=f"call_{turn}_{number}", name=name, arguments=arguments)
            for number, (name, arguments) in enumerate(calls)
        ),
        finish_reason="tool_calls",
    )


class HeldBackCalls:
    """An `on_chunk` that hands text on as it streams, but none that may turn out to be a call.

    So what was handed on is how the text of the completion begins, calls taken out. After the
    answer `finish` hands on the rest of it.
    """

    def __init__(self, on_chunk: OnChunk, offered: Collection[str]) -> None:
        self._on_chunk = on_chunk
        self._offered = offered
        self._held = ""
        self._sent = 0
        self._looked_at = 0
        self._is_shut = False

    def __call__(self, chunk: Chunk) -> None:
        if not self._offered:
            self._sent += len(chunk.text)
            self._on_chunk(chunk)
            return
        self._held += chunk.text
        # One without text is a sign of life all the same.
        self._on_chunk(replace(chunk, text=self._taken(self._clear())))

    def finish(self, completion: Completion) -> None:
        """`completion` is the answer, calls taken out of its text."""
        rest = completion.text[self._sent :]
        if rest:
            self._on_chunk(Chunk(rest))

    def _taken(self, size: int) -> str:
        taken, self._held = self._held[:size], self._held[size:]
        self._sent += size
        self._looked_at = max(0, self._looked_at - size)
        return taken

    def _clear(self) -> int:
        """So much of what is held is text, whatever comes after it."""
        if not self._sent and self._held.lstrip()[:1] in {"{", "["}:
            return 0  # all of it may be a call
        clear = 0
        while not self._is_shut and (begun := _BEGUN.search(self._held, clear)):
            end = _ENDS[begun[0]]
            at = self._held.find(end, max(begun.end(), self._looked_at - len(end)))
            if at < 0:
                self._looked_at = len(self._held)
                return _without_blanks(self._held, begun.start())
            whole = _WRAPPED.match(self._held, begun.start())
            if whole is None or _parse_wrapped(whole, self._offered):
                self._is_shut = True
                return _without_blanks(self._held, begun.start())
            clear = whole.end()
        if self._is_shut:
            return 0
        open_end = _MAY_BEGIN.search(self._held, clear)
        return _without_blanks(self._held, open_end.start() if open_end else len(self._held))


def _without_blanks(text: str, size: int) -> int:
    """`size` less the blanks there: before a call they go with it."""
    return len(text[:size].rstrip())


def with_readable_calls(message: Message) -> Message:
    """`message` with JSON objects for the arguments of its calls; the same one where they are.

    Chat templates read the arguments of earlier calls, and llama.cpp refuses a conversation in which
    they are no JSON: malformed by the model, or cut off at the most tokens it may write. What it
    wrote is kept, as text in an object.
    """
    if all(_is_object(call.arguments) for call in message.tool_calls):
        return message
    calls = tuple(
        replace(call, arguments=_as_object(call.arguments)) for call in message.tool_calls
    )
    return replace(message, tool_calls=calls)


def _as_object(arguments: str) -> str:
    if _is_object(arguments):
        return arguments
    told = {"arguments": arguments} if arguments.strip() else {}
    return json.dumps(told, ensure_ascii=False)


def _is_object(text: str) -> bool:
    try:
        value = json.loads(text, parse_constant=_refuse)
        # Python reads halves of surrogate pairs, others do not.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is Python's, not JSON's")


def _calls_in(text: str, offered: Collection[str]) -> tuple[list[tuple[str, str]], str]:
    whole = _parse_all(text, offered)
    if whole:
        return whole, ""
    calls: list[tuple[str, str]] = []

    def take(match: re.Match[str]) -> str:
        found = _parse_wrapped(match, offered)
        calls.extend(found)
        return "" if found else match[0]

    rest = _WRAPPED.sub(take, text)
    return calls, rest.rstrip()


def _parse_wrapped(match: re.Match[str], offered: Collection[str]) -> list[tuple[str, str]]:
    return _parse_all(_TAGS.sub("", match["tagged"] or match["fenced"] or ""), offered)


def _parse_all(text: str, offered: Collection[str]) -> list[tuple[str, str]]:
    """The calls that `text` consists of, one after another or in a list; none if it is more."""
    rest, calls = text.strip(), list[tuple[str, str]]()
    while rest:
        is_doubled = rest.startswith("{{")
        try:
            value, end = _JSON.raw_decode(rest, 1 if is_doubled else 0)
        except (ValueError, RecursionError):
            return []
        rest = rest[end:].removeprefix("}" if is_doubled else "").lstrip(" \r\n\t,")
        for item in cast("Sequence[Any]", value) if isinstance(value, list) else [value]:
            call = _as_call(item, offered)
            if call is None:
                return []
            calls.append(call)
    return calls


def _as_call(value: Any, offered: Collection[str]) -> tuple[str, str] | None:
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    name, arguments = fields.get("name"), fields.get("arguments")
    if fields.keys() != _KEYS or not isinstance(name, str) or name not in offered:
        return None
    if isinstance(arguments, str):
        return name, arguments
    return (
        (name, json.dumps(arguments, ensure_ascii=False)) if isinstance(arguments, dict) else None
    )
