"""A streamed chat completion, put together chunk by chunk. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentrt.backends.http_errors import error_in_stream
from agentrt.backends.json_extent import JsonExtent
from agentrt.backends.json_shape import is_array, is_object
from agentrt.backends.wire import (
    DONE,
    JsonObject,
    arguments_text,
    clean,
    finish_reason,
    is_first,
    parse_drafts,
    parse_json,
    parse_usage,
    text_of,
)
from agentrt.errors import InvalidAnswer
from agentrt.ir.request import Completion, ToolCall, Usage


@dataclass(slots=True, eq=False)
class _PartialCall:
    position: int
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])
    extent: JsonExtent = field(default_factory=JsonExtent)
    is_finished: bool = False


class StreamedCompletion:
    """Feed it the data of each server-sent event; ask for the completion at the end.

    Attributes:
        is_done: `[DONE]` has been seen: nothing more will come.
    """

    def __init__(self, *, url: str = "", clock: Callable[[], float] | None = None) -> None:
        """`clock`, in seconds, times the first token from now; without it `ttft_s` is None."""
        self._url = url
        self._clock = clock
        self._started = clock() if clock else 0.0
        self._ttft_s: float | None = None
        self._text: list[str] = []
        self._calls: list[_PartialCall] = []
        self._call_at: dict[int, _PartialCall] = {}
        self._finished: list[_PartialCall] = []
        self._finish_reason: str | None = None
        self._usage = Usage()
        self._drafts = (0, 0)
        self._model = ""
        self.is_done = False

    @property
    def is_whole(self) -> bool:
        """Whether the server said that the answer is finished, by a reason or by `[DONE]`."""
        return self.is_done or self._finish_reason is not None

    def feed(self, data: str) -> str:
        """Take one event's data; the new text in it, often "".

        Raises:
            BackendError: it is an error object.
            InvalidAnswer: it is not JSON, or no chunk of a chat completion.
        """
        if self.is_done or not data.strip():
            return ""
        if data.strip() == DONE:
            self.is_done = True
            return ""
        body = parse_json(data)
        if not is_object(body):
            raise InvalidAnswer("a chunk of the stream is not a JSON object", url=self._url)
        return self.feed_chunk(body)

    def take_finished_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls that have become complete since this was last asked, in their order.

        One is when the next begins, or when its arguments are a JSON object to the end. Should more
        be written to it nevertheless, the completion has it as it is then.
        """
        finished, self._finished = self._finished, []
        return tuple(_told(call) for call in finished)

    def completion(self) -> Completion:
        """What has been put together.

        Raises:
            InvalidAnswer: the stream ended before the answer did.
        """
        if not self.is_whole:
            raise InvalidAnswer("the stream ended before the answer did", url=self._url)
        calls = tuple(_told(call) for call in self._calls)
        return Completion(
            text=clean("".join(self._text)),
            tool_calls=calls,
            finish_reason=finish_reason(self._finish_reason, has_calls=bool(calls)),
            usage=self._usage,
            model=self._model,
            ttft_s=self._ttft_s,
            drafted_tokens=self._drafts[0],
            accepted_tokens=self._drafts[1],
        )

    def feed_chunk(self, body: JsonObject) -> str:
        """As `feed`, of an event's data that somebody has parsed."""
        if self.is_done:
            return ""
        if body.get("error"):
            raise error_in_stream(body["error"], url=self._url)
        if body.get("usage") or body.get("timings"):
            # The last chunk's counts are the whole answer's; some servers send them with each.
            self._usage = parse_usage(body)
            self._drafts = parse_drafts(body)
        model = body.get("model")
        if isinstance(model, str) and not self._model:
            self._model = clean(model)
        choices = body.get("choices")
        piece = ""
        for choice in choices if is_array(choices) else []:
            if not is_object(choice):
                raise InvalidAnswer("a choice in the stream is not a JSON object", url=self._url)
            if is_first(choice):
                piece += self._choice(choice)
        if self._clock and self._ttft_s is None and (self._text or self._calls):
            self._ttft_s = self._clock() - self._started
        return piece

    def _choice(self, choice: JsonObject) -> str:
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            self._finish_reason = reason
        found = choice.get("delta", choice.get("message"))
        delta = found if is_object(found) else {}
        calls = delta.get("tool_calls")
        for entry in calls if is_array(calls) else []:
            self._call(entry)
        if is_object(delta.get("function_call")):
            self._call({"index": 0, "function": delta["function_call"]})
        piece = text_of(delta.get("content"))
        if piece:
            self._text.append(piece)
        return piece

    def _call(self, entry: Any) -> None:
        if not is_object(entry):
            raise InvalidAnswer("a tool call in the stream is not a JSON object", url=self._url)
        function = entry.get("function")
        parts = function if is_object(function) else {}
        call = self._call_for(entry)
        name = parts.get("name")
        if isinstance(name, str) and clean(name) != call.name:
            call.name += clean(name)
        piece = arguments_text(parts.get("arguments"))
        call.arguments.append(piece)
        if call.extent.feed(piece) and call is self._calls[-1]:
            self._finish(call)

    def _finish(self, call: _PartialCall) -> None:
        if not call.is_finished and call.name:
            call.is_finished = True
            self._finished.append(call)

    def _call_for(self, body: JsonObject) -> _PartialCall:
        """The call that a delta goes on with, by its index; a new one where the id is new.

        Some servers send no index, or 0 for every call; a new id still tells calls apart.
        """
        given = body.get("id")
        call_id = clean(given) if isinstance(given, str) else ""
        index = body.get("index")
        if isinstance(index, int):
            known = self._call_at.get(index)
        else:
            known = self._calls[-1] if self._calls else None
        if known is not None and call_id in {"", known.id}:
            return known
        if known is not None and not known.id:
            known.id = call_id
            return known
        if self._calls:
            self._finish(self._calls[-1])
        call = _PartialCall(len(self._calls), id=call_id)
        self._calls.append(call)
        if isinstance(index, int):
            self._call_at[index] = call
        return call


def _told(call: _PartialCall) -> ToolCall:
    call_id = call.id or f"call_{call.position}"
    return ToolCall(call_id, call.name, clean("".join(call.arguments)))
