"""One line of a recording: what was asked, and what came of it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from agentrt import errors
from agentrt.backends.json_shape import is_array, is_object
from agentrt.errors import BackendError
from agentrt.ir.request import Capabilities, Completion, Request, ToolCall, Usage
from agentrt.ir.schema import Json

Content = dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request and its outcome.

    Attributes:
        node_id: Who asked; for messages only.
        chunks: The pieces the answer streamed in; None: it was not streamed.
    """

    node_id: str
    content: Content
    outcome: Completion | BackendError
    chunks: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class CapabilitiesEntry:
    """What the recorded backend said it could do, from this line on."""

    capabilities: Capabilities


def content_of(request: Request) -> Content:
    """What makes two requests the same: all that reaches the model, and no ids, limits or retries."""
    options = request.options
    return {
        "messages": [
            {
                "role": message.role,
                "content": message.content,
                "tool_calls": [[call.id, call.name, call.arguments] for call in message.tool_calls],
                "tool_call_id": message.tool_call_id,
            }
            for message in request.messages
        ],
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in request.tools
        ],
        "output_schema": request.output_schema,
        "options": {
            "tier": options.tier,
            "model": options.model,
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "stop": list(options.stop),
            "seed": options.seed,
        },
        "extra": request.extra,
        # Only where there is one, so that recordings from before there were any stay what they are.
        **({} if request.grammar is None else {"grammar": request.grammar}),
    }


def key_of(content: Content) -> str:
    """One key per content, in every process."""
    return hashlib.sha256(dump_line(content).encode()).hexdigest()


def dump_line(value: Json) -> str:
    """JSON on one line, in ASCII: text that no encoding can hold comes back as it was."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)


def dump(entry: Entry | CapabilitiesEntry) -> str:
    """`entry` as a line, without its end."""
    if isinstance(entry, CapabilitiesEntry):
        return dump_line({"capabilities": asdict(entry.capabilities)})
    line: Content = {
        "node_id": entry.node_id,
        "request": entry.content,
        "chunks": None if entry.chunks is None else list(entry.chunks),
    }
    if isinstance(entry.outcome, BackendError):
        return dump_line(line | {"error": _error_json(entry.outcome)})
    return dump_line(line | {"completion": asdict(entry.outcome)})


def load(line: str) -> Entry | CapabilitiesEntry:
    """The inverse of `dump`.

    Raises:
        ValueError: the line is no entry.
    """
    try:
        data = json.loads(line)
        if "capabilities" in data:
            return CapabilitiesEntry(_capabilities(data["capabilities"]))
        chunks = data["chunks"]
        return Entry(
            node_id=_checked(str, data["node_id"]),
            content=data["request"],
            outcome=_error(data["error"]) if "error" in data else _completion(data["completion"]),
            chunks=None if chunks is None else tuple(_checked(str, piece) for piece in chunks),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not an entry of a recording ({type(error).__name__})") from error


def first_difference(recorded: Json, asked: Json, where: str = "") -> str | None:
    """The first place where two contents differ, with both sides of it; None: they do not."""
    if is_object(recorded) and is_object(asked):
        for name in [*recorded, *(name for name in asked if name not in recorded)]:
            path = f"{where}.{name}" if where else name
            found = first_difference(recorded.get(name), asked.get(name), path)
            if found is not None:
                return found
        return None
    if is_array(recorded) and is_array(asked):
        for index, (left, right) in enumerate(zip(recorded, asked, strict=False)):
            found = first_difference(left, right, f"{where}[{index}]")
            if found is not None:
                return found
        if len(recorded) == len(asked):
            return None
        return f"{where} has {len(recorded)} entries in the recording and {len(asked)} now"
    if isinstance(recorded, str) and isinstance(asked, str):
        return _text_difference(recorded, asked, where)
    if recorded == asked:
        return None
    return f"{where} was {_shown(recorded)} and is now {_shown(asked)}"


def _text_difference(recorded: str, asked: str, where: str) -> str | None:
    if recorded == asked:
        return None
    ends = min(len(recorded), len(asked))
    at = next((i for i in range(ends) if recorded[i] != asked[i]), ends)
    start = max(at - 20, 0)
    before, now = recorded[start : at + 40], asked[start : at + 40]
    return f"{where} differs from character {at} on: was {before!r} and is now {now!r}"


def _shown(value: Json) -> str:
    text = dump_line(value)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004  a line's width


def _plain(value: object) -> Json:
    """Mappings that are no dicts; schemas may be."""
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    raise TypeError(f"{type(value).__name__} is no JSON")


def _error_json(error: BackendError) -> Content:
    return {
        "type": type(error).__name__,
        "message": str(error),
        "url": error.url,
        "retryable": error.retryable,
        "retry_after_s": error.retry_after_s,
        "status": error.status,
    }


def _error(data: Content) -> BackendError:
    kind = getattr(errors, data["type"], None)
    if not (isinstance(kind, type) and issubclass(kind, BackendError)):
        raise ValueError(f"unknown error {data['type']!r}")  # noqa: TRY004  it is the file's
    return kind(
        data["message"],
        url=data["url"],
        retryable=data["retryable"],
        retry_after_s=data["retry_after_s"],
        status=data["status"],
    )


def _completion(data: Content) -> Completion:
    return Completion(
        text=_checked(str, data["text"]),
        tool_calls=tuple(ToolCall(**call) for call in data["tool_calls"]),
        finish_reason=data["finish_reason"],
        usage=Usage(**data["usage"]),
        model=data["model"],
        ttft_s=data["ttft_s"],
    )


def _capabilities(data: Content) -> Capabilities:
    # What the server took of hints is nothing to a recording of it.
    known = {field.name for field in fields(Capabilities)} - {"takes"}
    found: dict[str, Any] = {
        name: tuple(value) if is_array(value) else value
        for name, value in data.items()
        if name in known
    }
    return Capabilities(**found)


def _checked(kind: Callable[..., Any], value: Any) -> Any:
    if not isinstance(value, kind):  # type: ignore[arg-type]
        raise TypeError(f"{value!r} is of the wrong type")
    return value
