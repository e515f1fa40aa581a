"""Messages as digests: what of a conversation is remembered instead of its text. Pure.

Digests are the same in every process, so that they can be stored, and the same for a message and for
what clients make of it before they send it back: other white space around it, its reasoning left out,
its tool calls written anew and with other ids, another role.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from agentrt.gateway.asked import Asked
from agentrt.ir.request import Completion, Message, ToolCall
from agentrt.ir.schema import is_list, is_object

_BITS = 60
_MASK = (1 << _BITS) - 1
_PRIME = (1 << 61) - 1
_BASE = 0x1A2B3C4D5E6F7081 % _PRIME
_LINE_CHARACTERS = 24
"""Shorter lines say little of where they come from."""
_MOST_LINES = 400
_FIRST_TEXTS = 2
_TASK_LINES = 24
_MOST_CACHED = 50_000
_BLOCK_CHARACTERS = 256
_REASONING_ENDS = "</think>"


def digest(*parts: str) -> int:
    """60 bits, so that JSON readers other than ours may have them as text or as numbers."""
    text = "\0".join(parts)
    made = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(made, "big") & _MASK


def chained(before: int, message: int) -> int:
    """A conversation's digest after one more message; 0 before the first."""
    return (before * _BASE + message + 1) % _PRIME


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request's messages, the leading system messages aside: they change, and tell nobody apart.

    Attributes:
        units: A digest of each message; of a prompt of `/v1/completions`, of each 256 characters.
        chain: The digest of all units up to each one; `chain[0]` is that of none.
        texts: What the units were made of.
        answered_to: How many units come before the last answer, with it; 0: nothing was answered.
        rest: Text after the last unit, of a prompt that is no list of messages.
        call_ids: Of the tool calls in the messages, latest first.
        system: The digest of the leading system messages: it tells apart what is alike otherwise.
        is_text: It is a prompt of `/v1/completions`.
    """

    units: tuple[int, ...]
    chain: tuple[int, ...]
    texts: tuple[str, ...]
    answered_to: int
    rest: str = ""
    call_ids: tuple[str, ...] = ()
    system: int = 0
    is_text: bool = False


class MessageDigests:
    """Reads conversations; what was read lately is not digested again."""

    def __init__(self) -> None:
        self._cached: dict[int, int] = {}

    def conversation(self, asked: Asked) -> Conversation:
        """What `asked` is about."""
        messages = asked.request.messages
        if asked.endpoint == "completions":
            return _blocks("".join(message.content for message in messages))
        return self._messages(messages)

    def answer(self, completion: Completion) -> int:
        """The digest of the message that clients make of it."""
        return self._unit(Message("assistant", completion.text, completion.tool_calls))

    def _messages(self, messages: Sequence[Message]) -> Conversation:
        first = 0
        while first < len(messages) and messages[first].role == "system":
            first += 1
        if first == len(messages):
            first = 0  # nothing else to go by
        cached = self._cached
        units: list[int] = []
        chain = [0]
        last = answered_to = 0
        system = 0
        for at, message in enumerate(messages):
            key = hash(message)
            unit = cached.get(key)
            if unit is None:
                unit = cached[key] = self._unit(message)
            if at < first:
                system = chained(system, unit)
                continue
            units.append(unit)
            last = chained(last, unit)
            chain.append(last)
            if message.role == "assistant":
                answered_to = len(units)
        if len(cached) > _MOST_CACHED:
            cached.clear()
        return Conversation(
            units=tuple(units),
            chain=tuple(chain),
            system=system,
            texts=tuple(message.content for message in messages[first:]),
            answered_to=answered_to,
            call_ids=tuple(
                call.id for message in reversed(messages) for call in message.tool_calls if call.id
            ),
        )

    def _unit(self, message: Message) -> int:
        text = message.content
        if message.role == "assistant" and _REASONING_ENDS in text:
            text = text.rpartition(_REASONING_ENDS)[2]
        if not message.tool_calls:
            return digest(text.strip())
        return digest(text.strip(), *(_called(call) for call in message.tool_calls))


def results_of(messages: Sequence[Message]) -> tuple[str, ...]:
    """Ids of the tool calls whose results come after the last answer."""
    found: list[str] = []
    for message in reversed(messages):
        if message.role == "assistant":
            break
        if message.role == "tool" and message.tool_call_id:
            found.append(message.tool_call_id)
    return tuple(reversed(found))


def rest_of(text: str) -> tuple[int, int]:
    """Length and digest of the text after the last unit."""
    return (len(text), digest(text)) if text else (0, 0)


def grown(conversation: Conversation, answer: int, text: str) -> tuple[int, int, str]:
    """The digest of a conversation with its answer, its units, and what is left of its text."""
    if not conversation.is_text:
        return chained(conversation.chain[-1], answer), len(conversation.units) + 1, ""
    more = _blocks(conversation.rest + text)
    chain = conversation.chain[-1]
    for unit in more.units:
        chain = chained(chain, unit)
    return chain, len(conversation.units) + len(more.units), more.rest


def lines(text: str) -> list[int]:
    """Digests of its long lines, each once. Of JSON, those of the texts in it."""
    found: dict[int, None] = {}
    for part in _texts(text):
        for line in part.splitlines():
            stripped = line.strip()
            if len(stripped) >= _LINE_CHARACTERS:
                found[digest(stripped)] = None
                if len(found) >= _MOST_LINES:
                    return list(found)
    return list(found)


def task_lines(conversation: Conversation) -> tuple[int, ...]:
    """Some lines of the first messages, the same ones of the same messages."""
    first = conversation.texts[:_FIRST_TEXTS]
    return tuple(sorted({line for text in first for line in lines(text)})[:_TASK_LINES])


def written(completion: Completion) -> list[int]:
    """Digests of the long lines that an answer has, in its text and what it gives to tools."""
    parts = (completion.text, *(call.arguments for call in completion.tool_calls))
    return list(dict.fromkeys(line for part in parts for line in lines(part)))


def _texts(text: str) -> Iterable[str]:
    begins = text.lstrip()[:1]
    if begins in {"{", "["}:
        try:
            return list(_strings(json.loads(text)))
        except (ValueError, RecursionError):
            pass
    return (text,)


def _strings(value: object) -> Iterable[str]:
    pending = [value]
    while pending:
        match pending.pop():
            case str() as text:
                yield text
            case other if is_object(other):
                pending.extend(other.values())
            case other if is_list(other):
                pending.extend(other)
            case _:
                pass


def _called(call: ToolCall) -> str:
    """Without its id, and however its arguments are written."""
    try:
        arguments = json.dumps(json.loads(call.arguments), sort_keys=True)
    except (ValueError, RecursionError):
        arguments = call.arguments.strip()
    return f"{call.name}\0{arguments}"


def _blocks(text: str) -> Conversation:
    full = len(text) // _BLOCK_CHARACTERS * _BLOCK_CHARACTERS
    texts = tuple(text[at : at + _BLOCK_CHARACTERS] for at in range(0, full, _BLOCK_CHARACTERS))
    units = tuple(map(digest, texts))
    chain = [0]
    for unit in units:
        chain.append(chained(chain[-1], unit))
    return Conversation(units, tuple(chain), texts, len(units), text[full:], is_text=True)
