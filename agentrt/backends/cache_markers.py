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

    Longer lives come first, as Anthropic asks: a marker that would live longer than one before it
    lives as long as that one.

    Args:
        prefixes: In the order of the prompt.
        least_tokens: What the model caches at least: 512, 1,024 or 4,096; shorter ones are not marked.
    """
    worth: list[tuple[float, int, Ttl]] = []
    lives: tuple[Ttl, ...] = ("5m", "1h")
    for index, prefix in enumerate(prefixes):
        prices = [cost(prefix, life) for life in lives]
        price = min(prices)
        ttl = lives[prices.index(price)]
        saved = (prefix.uses - price) * prefix.tokens
        if prefix.tokens >= least_tokens and saved > 0:
            worth.append((saved, index, ttl))
    chosen = sorted(
        sorted(worth, key=lambda each: (-each[0], -each[1]))[:MOST_BREAKPOINTS],
        key=lambda each: each[1],
    )
    found: list[Marker] = []
    for _, index, ttl in chosen:
        is_short = bool(found) and found[-1].ttl == "5m"
        life: Ttl = "5m" if is_short else ttl
        found.append(Marker(prefixes[index].message, life, prefixes[index].chars))
    return tuple(found)


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
    speak both formats take. Markers for
    what the body does not have are left out, and all of them where the client has set its own.
    """
    if "cache_control" in repr(body.get("messages")) or "cache_control" in repr(body.get("tools")):
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


def _marked(message: Any, control: Mapping[str, str], chars: int | None) -> Any:
    if not is_object(message):
        return message
    content = message.get("content")
    if isinstance(content, str) and content:
        texts = [content] if chars is None else [content[:chars], content[chars:]]
        parts: list[Any] = [{"type": "text", "text": text} for text in texts if text]
        if len(parts) > 1:
            return {**message, "content": [{**parts[0], "cache_control": dict(control)}, parts[1]]}
    elif is_array(content) and content and is_object(content[-1]):
        parts = list(content)
    else:
        return message
    return {**message, "content": [*parts[:-1], {**parts[-1], "cache_control": dict(control)}]}
