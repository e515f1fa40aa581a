"""Providers' prompt caches: where a marker pays, and how each provider wants it written. Pure.

A write to Anthropic's cache costs 1.25 times the price of an input token, or 2 times if it is to live
for an hour; a read costs 0.1 times. So a marker on a prefix that is used `n` times before it would
expire costs `w + 0.1 (n - 1)` for each token, and none costs `n`: it pays from

    n > (w - 0.1) / 0.9

on: with the second use at 1.25 (1.28 uses), with the third at 2 (2.11 uses).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, TypeAlias

from agentrt.backends.json_shape import is_array, is_object
from agentrt.ir.stability import Stability, rank

Ttl: TypeAlias = Literal["5m", "1h"]

MOST_BREAKPOINTS = 4
READ_PRICE = 0.1
WRITE_PRICES: Mapping[Ttl, float] = {"5m": 1.25, "1h": 2.0}
_TTL_S: Mapping[Ttl, float] = {"5m": 300.0, "1h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """What a request begins with, up to where a marker could stand.

    Attributes:
        message: The last message of it, from 0; None: the tools, before the messages.
        chars: Of that message; None: all of it.
        tokens: From the start of the prompt to there.
        stability: How often any of it changes.
        uses: Requests expected to begin with it, this one included.
        gap_s: Seconds expected between two of them.
    """

    message: int | None
    tokens: int
    stability: Stability
    uses: float
    gap_s: float
    chars: int | None = None


@dataclass(frozen=True, slots=True)
class Marker:
    """A breakpoint after a message, or after so many `chars` of it; message None: after the tools."""

    message: int | None
    ttl: Ttl
    chars: int | None = None


def cost(prefix: Prefix, ttl: Ttl) -> float:
    """What the prefix is expected to cost for each of its tokens, at prices of an uncached one.

    A use that comes after it has expired is a write again; each use starts its life anew.
    """
    if prefix.gap_s > _TTL_S[ttl]:
        return WRITE_PRICES[ttl] * prefix.uses
    return WRITE_PRICES[ttl] + READ_PRICE * max(prefix.uses - 1, 0)


def break_even_uses(ttl: Ttl) -> float:
    """More uses than this before it expires, and a marker costs less than none."""
    return (WRITE_PRICES[ttl] - READ_PRICE) / (1 - READ_PRICE)


def markers(prefixes: Sequence[Prefix], *, least_tokens: int = 1024) -> tuple[Marker, ...]:
    """At most four markers, those that save most, in the order of the prompt.

    Longer lives come first, as Anthropic asks: of all ways to let the first so many live for an hour
    and the others for five minutes, the one that saves most.

    Args:
        prefixes: In the order of the prompt.
        least_tokens: What the model caches at least: 512, 1,024 or 4,096; shorter ones are not marked.
    """
    able = [prefix for prefix in prefixes if prefix.tokens >= least_tokens]
    ways = [_way(able, long) for long in range(len(able) + 1)]
    return max(ways, key=lambda way: way[0])[1]


def _way(prefixes: Sequence[Prefix], long: int) -> tuple[float, tuple[Marker, ...]]:
    """What is saved where the first `long` prefixes may live for an hour, and by which markers."""
    worth: list[tuple[float, int, Ttl]] = []
    for index, prefix in enumerate(prefixes):
        ttl: Ttl = "1h" if index < long else "5m"
        saved = (prefix.uses - cost(prefix, ttl)) * prefix.tokens
        if saved > 0:
            worth.append((saved, index, ttl))
    chosen = sorted(worth, key=lambda each: (-each[0], -each[1]))[:MOST_BREAKPOINTS]
    chosen.sort(key=lambda each: each[1])
    found = [Marker(prefixes[at].message, ttl, prefixes[at].chars) for _, at, ttl in chosen]
    return sum(saved for saved, _, _ in chosen), tuple(found)


def cache_key(prefixes: Sequence[Prefix], texts: Sequence[str], *, salt: str = "") -> str:
    """OpenAI's `prompt_cache_key`: a bucket of requests that share their beginning, no request's own.

    From the texts of the leading prefixes that no run has of its own; empty: there are none. OpenAI
    spreads more than about 15 requests a minute with one key over machines.
    """
    stable = [
        text
        for prefix, text in zip(prefixes, texts, strict=True)
        if rank(prefix.stability) < rank("run")
    ]
    if not stable:
        return ""
    return sha256("\0".join([salt, *stable]).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def with_markers(body: Mapping[str, Any], wanted: Sequence[Marker]) -> dict[str, Any]:
    """A chat request's `body` with `cache_control` where `wanted`; `body` itself is not changed.

    Text content becomes a list of one part, or of two where a marker stands in it, which servers that
    speak both formats take. No part is marked or made that says nothing: such are refused. Markers for
    what the body does not have are left out, and all of them where the client has set its own.
    """
    if _is_marked(body):
        return dict(body)
    made = dict(body)
    messages: list[Any] = list(body["messages"]) if is_array(body.get("messages")) else []
    for marker in wanted[:MOST_BREAKPOINTS]:
        control = {"type": "ephemeral", "ttl": marker.ttl}
        if marker.message is None:
            tools = body.get("tools")
            if is_array(tools) and tools and is_object(tools[-1]):
                made["tools"] = [*tools[:-1], {**tools[-1], "cache_control": control}]
        elif marker.message < len(messages):
            messages[marker.message] = _marked(messages[marker.message], control, marker.chars)
    if "messages" in body:
        made["messages"] = messages
    return made


def _is_marked(body: Mapping[str, Any]) -> bool:
    """Whether somebody has marked it; text that only speaks of markers is none."""
    tools, messages = body.get("tools"), body.get("messages")
    places: list[Any] = [body, *(tools if is_array(tools) else ())]
    for message in messages if is_array(messages) else ():
        places.append(message)
        content = message.get("content") if is_object(message) else None
        if is_array(content):
            places += content
    return any(is_object(place) and place.get("cache_control") is not None for place in places)


def _marked(message: Any, control: Mapping[str, str], chars: int | None) -> Any:
    if not is_object(message):
        return message
    content = message.get("content")
    if isinstance(content, str):
        texts = [content] if chars is None else [content[:chars], content[chars:]]
        parts: list[Any] = [{"type": "text", "text": text} for text in texts]
    elif is_array(content) and content and chars is None:
        parts = list(content)
    else:
        return message
    at = len(parts) - 1 if chars is None else 0
    if any(_is_blank(part) for part in parts[at:]):
        return message
    parts[at] = {**parts[at], "cache_control": dict(control)}
    return {**message, "content": parts}


def _is_blank(part: Any) -> bool:
    return not is_object(part) or (part.get("type") == "text" and not str(part.get("text")).strip())
