"""OpenAI's chat format as a server sees it: requests in, completions and streams out. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from agentrt.backends.json_shape import is_array, is_object
from agentrt.backends.wire import DONE, JsonObject, clean, tool_call_json
from agentrt.errors import RequestRejected
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Completion, Message, Request, Role, ToolCall, Usage
from agentrt.ir.schema import Json, Schema
from agentrt.ir.tool import ToolSpec

T = TypeVar("T")

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_READ = {
    "model",
    "messages",
    "tools",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "stop",
    "seed",
    "stream",
    "stream_options",
    "n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """A request as an OpenAI-shaped client makes it."""

    request: Request
    is_streamed: bool = False
    has_usage_chunk: bool = False


@dataclass(frozen=True, slots=True)
class Stamp:
    """What each object of one answer carries: its id, and when it was made (Unix seconds)."""

    id: str
    created: int


def parse_call(content: bytes) -> ChatCall:
    """The body of POST /v1/chat/completions.

    Fields that agentrt has no word for go into `Request.extra`, and so to the engine as they are.
    An empty `model` leaves the choice to the backend. Of messages, only what `Message` holds is
    kept (an author's `name` is not).

    Raises:
        RequestRejected: it is no such body, or asks for what agentrt cannot carry (images, several
            choices); `status` is 400.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RequestRejected("the body is not JSON", status=400) from error
    if not is_object(body):
        _refuse("the body is not a JSON object")
    if body.get("n") not in (None, 1):
        _refuse("n: one choice a request is all there is")
    schema, has_format = _output_schema(body.get("response_format"))
    limit = _field(body, "max_completion_tokens", int)
    stop = body.get("stop")
    request = Request(
        messages=tuple(map(_message, _list(body, "messages", is_required=True))),
        tools=tuple(map(_tool, _list(body, "tools"))),
        output_schema=schema,
        options=LLMOptions(
            model=_field(body, "model", str) or None,
            max_tokens=_field(body, "max_tokens", int) if limit is None else limit,
            temperature=_field(body, "temperature", (int, float)),
            stop=(stop,) if isinstance(stop, str) else tuple(map(_text, _list(body, "stop"))),
            seed=_field(body, "seed", int),
        ),
        extra={
            name: value
            for name, value in body.items()
            if name not in _READ
            and value is not None
            and not (has_format and name == "response_format")
        },
    )
    options = body.get("stream_options")
    return ChatCall(
        request=request,
        is_streamed=body.get("stream") is True,
        has_usage_chunk=is_object(options) and options.get("include_usage") is True,
    )


def completion_json(completion: Completion, stamp: Stamp) -> JsonObject:
    """A `chat.completion` object."""
    message: JsonObject = {"role": "assistant", "content": completion.text, "refusal": None}
    if completion.tool_calls:
        message["content"] = completion.text or None
        message["tool_calls"] = [tool_call_json(call) for call in completion.tool_calls]
    return {
        "id": stamp.id,
        "object": "chat.completion",
        "created": stamp.created,
        "model": completion.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": completion.finish_reason,
            }
        ],
        "usage": usage_json(completion.usage),
    }


def usage_json(usage: Usage) -> JsonObject:
    """OpenAI's `usage` object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def text_chunk(text: str, stamp: Stamp, *, model: str = "", is_first: bool = False) -> JsonObject:
    """A `chat.completion.chunk` with a piece of text; the first one names the role."""
    role = {"role": "assistant"} if is_first else {}
    return _chunk({"delta": role | {"content": text}, "finish_reason": None}, stamp, model)


def last_chunks(
    completion: Completion, stamp: Stamp, *, has_usage_chunk: bool = False
) -> Iterator[JsonObject]:
    """The chunks after the text: tool calls, the reason to finish, and usage if it was asked for."""
    for index, call in enumerate(completion.tool_calls):
        delta = {"tool_calls": [{"index": index} | tool_call_json(call)]}
        yield _chunk({"delta": delta, "finish_reason": None}, stamp, completion.model)
    end: JsonObject = {"delta": {}, "finish_reason": completion.finish_reason}
    yield _chunk(end, stamp, completion.model)
    if has_usage_chunk:
        yield _chunk(None, stamp, completion.model) | {"usage": usage_json(completion.usage)}


def sse(data: Json) -> bytes:
    """One server-sent event; `DONE` as it is, anything else as JSON."""
    text = data if data == DONE else json.dumps(data)
    return f"data: {text}\n\n".encode()


def _chunk(choice: JsonObject | None, stamp: Stamp, model: str) -> JsonObject:
    return {
        "id": stamp.id,
        "object": "chat.completion.chunk",
        "created": stamp.created,
        "model": model,
        "choices": [] if choice is None else [{"index": 0} | choice],
    }


def _message(value: Json) -> Message:
    if not is_object(value):
        _refuse("messages: each is an object")
    role = _ROLES.get(_text(value.get("role")))
    if role is None:
        _refuse(f"messages: there is no role {value.get('role')!r}")
    call_id = value.get("tool_call_id")
    return Message(
        role,
        _content(value.get("content")),
        tool_calls=tuple(map(_tool_call, _list(value, "tool_calls"))),
        tool_call_id=None if call_id is None else _text(call_id),
    )


def _content(value: Json) -> str:
    """Text, or parts of text, which become paragraphs as they do in vLLM and llama.cpp."""
    if value is None:
        return ""
    if not is_array(value):
        return _text(value)
    parts: list[str] = []
    for part in value:
        if is_object(part) and part.get("type") in ("text", None):
            parts.append(_text(part.get("text")))
        elif isinstance(part, str):
            parts.append(clean(part))
        else:
            _refuse("messages: only text can be sent, no images, sounds or files")
    return "\n".join(parts)


def _tool_call(value: Json) -> ToolCall:
    function = value.get("function") if is_object(value) else None
    if not is_object(value) or not is_object(function):
        _refuse("messages: each of tool_calls has a function")
    return ToolCall(
        _text(value.get("id")), _text(function.get("name")), _text(function.get("arguments"))
    )


def _tool(value: Json) -> ToolSpec:
    function = value.get("function") if is_object(value) else None
    if not is_object(function):
        _refuse("tools: only functions can be called")
    parameters = function.get("parameters")
    return ToolSpec(
        name=_text(function.get("name")),
        description=_text(function.get("description") or ""),
        parameters=parameters if is_object(parameters) else {},
    )


def _output_schema(response_format: Json) -> tuple[Schema | None, bool]:
    """The schema asked for, and whether `response_format` is thereby said."""
    if not is_object(response_format):
        return None, response_format is None
    if response_format.get("type") == "text":
        return None, True
    wanted = response_format.get("json_schema")
    schema = wanted.get("schema") if is_object(wanted) else None
    return (schema, True) if is_object(schema) else (None, False)


def _list(body: JsonObject, name: str, *, is_required: bool = False) -> list[Any]:
    value = body.get(name)
    if value is None and not is_required:
        return []
    if not is_array(value):
        _refuse(f"{name}: a list is needed")
    return value


def _field(body: JsonObject, name: str, kind: type[T] | tuple[type[T], ...]) -> T | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        _refuse(f"{name}: {str(value)[:80]!r} is of the wrong type")
    return value


def _text(value: Json) -> str:
    if not isinstance(value, str):
        _refuse(f"a text is needed and {str(value)[:80]!r} was given")
    return clean(value)


def _refuse(why: str) -> NoReturn:
    raise RequestRejected(why, status=400)
