"""A client's request, read: what is asked, of which model, by which program. Pure.

agentrt is no validator: what is odd is taken for text, and the engine says what it thinks of it.
Refused is only what cannot be sent anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, assert_never

from agentrt.backends.json_shape import is_object
from agentrt.errors import RequestRejected
from agentrt.gateway.asked import Asked, Endpoint, JsonObject
from agentrt.gateway.chat_reading import brings_reasoning, read_messages
from agentrt.gateway.claims import read_claim
from agentrt.gateway.completions_reading import read_prompt
from agentrt.gateway.content import plain_string
from agentrt.gateway.responses_reading import brings_reasoning as brings_reasoning_items
from agentrt.gateway.responses_reading import read_input
from agentrt.gateway.tools_reading import read_tools
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Request

_MOST_TOKENS = 2**53
_BAD_REQUEST = 400
_YES = {"1", "true", "t", "yes", "y", "on"}


def read_request(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Asked:
    """What the request asks. Its model is "" where it names none.

    Args:
        endpoint: Where it came to.
        headers: Names in lower case.
        body: JSON.

    Raises:
        RequestRejected: the body is no JSON object, its model no text, or it is nested too deeply.
    """
    try:
        parsed = _parsed(body)
        return _asked(endpoint, headers, body, parsed)
    except RecursionError:
        raise _rejected("the body is nested too deeply") from None


def _asked(endpoint: Endpoint, headers: Mapping[str, str], raw: bytes, body: JsonObject) -> Asked:
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise _rejected("model: it must be a string")
    previous, has_reasoning = "", False
    match endpoint:
        case "chat/completions":
            given = body.get("messages")
            messages, has_reasoning = read_messages(given), brings_reasoning(given)
        case "completions":
            messages = read_prompt(body)
        case "responses":
            messages = read_input(body)
            has_reasoning = brings_reasoning_items(body.get("input"))
            previous = plain_string(body.get("previous_response_id"))
        case "embeddings":
            messages = ()
        case _:
            assert_never(endpoint)
    is_streamed = endpoint != "embeddings" and _is_yes(body.get("stream"))
    return Asked(
        endpoint=endpoint,
        body=body,
        model=plain_string(model),
        request=Request(
            messages=messages,
            tools=read_tools(body.get("tools") or body.get("functions")),
            options=LLMOptions(max_tokens=_most_tokens(body)),
        ),
        is_streamed=is_streamed,
        has_usage=not is_streamed or endpoint == "responses" or _asks_usage(body),
        claim=read_claim(headers, body),
        raw=raw,
        previous_response_id=previous,
        has_reasoning=has_reasoning,
    )


def _parsed(body: bytes) -> JsonObject:
    try:
        parsed = _loaded(body)
    except UnicodeDecodeError:
        raise _rejected("the body is not JSON: it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _rejected(f"the body is not JSON: {error}") from None
    if not is_object(parsed):
        raise _rejected("the body is not a JSON object")
    return parsed


def _loaded(body: bytes) -> Any:
    """A number that Python would not read is none to us, and goes on as it was written."""
    try:
        return json.loads(body)
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise
    except ValueError:
        return json.loads(body, parse_int=_integer)


def _integer(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:  # more digits than Python reads
        return float(text)


def _asks_usage(body: JsonObject) -> bool:
    """Whether a stream is to have its usage, or nobody can tell what is wanted."""
    options = body.get("stream_options")
    if options is None:
        return False
    return not is_object(options) or _is_yes(options.get("include_usage"))


def _is_yes(value: Any) -> bool:
    """As engines read booleans: some take words and numbers for them."""
    return value.strip().lower() in _YES if isinstance(value, str) else value == 1


def _most_tokens(body: JsonObject) -> int | None:
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        value = body.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if 0 < value < _MOST_TOKENS:
            return max(1, int(value))
    return None


def _rejected(said: str) -> RequestRejected:
    return RequestRejected(said, status=_BAD_REQUEST)
