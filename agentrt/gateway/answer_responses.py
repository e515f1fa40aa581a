"""Answers of `/v1/responses`, streamed or in one piece. Pure."""

from __future__ import annotations

import json
from typing import Any

from agentrt.backends.http_errors import error_in_stream
from agentrt.backends.json_shape import is_array, is_object
from agentrt.backends.wire import clean, parse_usage
from agentrt.errors import BackendError
from agentrt.gateway.content import plain_string
from agentrt.gateway.responses_reading import is_reasoning, read_items
from agentrt.ir.request import Completion, Usage

_LAST_EVENTS = {
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.cancelled",
}
_TEXT_EVENTS = {"response.output_text.delta", "response.refusal.delta"}


class ResponseStream:
    """Put together from the data of events. The last of them has all of it once more.

    Attributes:
        has_begun: Some text, reasoning or call of a tool has come.
        has_chunks: Something that is a part of a response has come.
        is_understood: Nothing else has.
        error: What the server said went wrong.
        response_id: The name by which a later request can go on from it.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self.has_chunks = False
        self.is_understood = True
        self.error: BackendError | None = None
        self.response_id = ""
        self._last: dict[str, Any] | None = None
        self._model = ""
        self._items: list[Any] = []
        self._text: list[str] = []

    @property
    def is_whole(self) -> bool:
        return self._last is not None

    @property
    def reasoning(self) -> str:
        return _reasoning(self._output())

    def feed(self, data: str) -> None:
        """Take one event's data."""
        try:
            body: Any = json.loads(data)
        except (ValueError, RecursionError):
            # Some servers end this stream as they end a chat's.
            self.is_understood = self.is_understood and data.strip() in {"", "[DONE]"}
            return
        kind = body.get("type") if is_object(body) else None
        if not isinstance(kind, str):
            self._feed_other(body)
            return
        self.has_chunks = True
        if kind == "error":
            self._feed_other({"error": body.get("error") or body})
        elif kind.endswith(".delta"):
            self.has_begun = True
            delta = body.get("delta")
            if kind in _TEXT_EVENTS and isinstance(delta, str):
                self._text.append(delta)
        elif kind == "response.output_item.done":
            self.has_begun = True
            self._items.append(body.get("item"))
            self._text = []
        elif is_object(body.get("response")):
            self._feed_response(body["response"], is_last=kind in _LAST_EVENTS)

    def compact(self) -> None:
        """Hold what has come in few pieces."""
        self._text = ["".join(self._text)]

    def completion(self) -> Completion:
        """All that has come."""
        if self._last is not None:
            return whole_response(self._last | {"output": self._output()})
        return _completion(self._output(), Usage(), self._model, finish_reason="")

    def _output(self) -> list[Any]:
        said = [{"role": "assistant", "content": "".join(self._text)}] if any(self._text) else []
        output = (self._last or {}).get("output")
        return output if is_array(output) and output else [*self._items, *said]

    def _feed_response(self, response: dict[str, Any], *, is_last: bool) -> None:
        self.response_id = plain_string(response.get("id")) or self.response_id
        self._model = plain_string(response.get("model")) or self._model
        if is_last:
            self._last = response
            if response.get("error"):
                self.error = error_in_stream(response["error"])

    def _feed_other(self, body: Any) -> None:
        if is_object(body) and body.get("error"):
            self.error = error_in_stream(body["error"])
        else:
            self.is_understood = False


def whole_response(body: dict[str, Any]) -> Completion:
    """A response in one piece. Its reasoning is left out of the text."""
    usage = body.get("usage")
    counts = usage if is_object(usage) else {}
    as_chat = {
        "prompt_tokens": counts.get("input_tokens"),
        "completion_tokens": counts.get("output_tokens"),
        "prompt_tokens_details": counts.get("input_tokens_details"),
    }
    output = body.get("output")
    return _completion(
        output if is_array(output) else [],
        parse_usage({"usage": as_chat}),
        plain_string(body.get("model")),
        finish_reason=_finish_reason(body),
    )


def is_response(body: dict[str, Any]) -> bool:
    """Whether a body is a response at all."""
    return is_array(body.get("output")) or body.get("object") == "response"


def response_reasoning(body: dict[str, Any]) -> str:
    """What was thought before the answer."""
    output = body.get("output")
    return _reasoning(output if is_array(output) else [])


def _completion(output: list[Any], usage: Usage, model: str, *, finish_reason: str) -> Completion:
    said = [m for m in read_items(output, has_reasoning=False) if m.role == "assistant"]
    calls = tuple(call for message in said for call in message.tool_calls)
    if finish_reason == "stop" and calls:
        finish_reason = "tool_calls"
    text = clean("".join([message.content for message in said]))
    return Completion(
        text=text, tool_calls=calls, finish_reason=finish_reason, usage=usage, model=model
    )


def _reasoning(output: list[Any]) -> str:
    thoughts = read_items([item for item in output if is_reasoning(item)])
    text = "".join([message.content for message in thoughts])
    return text.removeprefix("<think>\n").removesuffix("\n</think>\n\n")


def _finish_reason(body: dict[str, Any]) -> str:
    status = plain_string(body.get("status"))
    if status in {"", "completed"}:
        return "stop"
    details = body.get("incomplete_details")
    reason = plain_string(details.get("reason")) if is_object(details) else ""
    return "length" if reason == "max_output_tokens" else reason or status
