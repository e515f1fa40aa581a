"""Answers to chat and to legacy completions, streamed or in one piece. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from agentrt.backends.http_errors import error_in_stream
from agentrt.backends.json_shape import is_array, is_object
from agentrt.backends.wire import DONE, clean, is_first, parse_completion, parse_usage
from agentrt.backends.wire_stream import StreamedCompletion
from agentrt.errors import BackendError, InvalidAnswer
from agentrt.gateway.chunk_shape import ChunkShape
from agentrt.gateway.content import plain_string, reasoning_text
from agentrt.ir.request import Completion


class ChatStream:
    """Put together from the data of events: the first choice.

    Attributes:
        has_begun: Some text, reasoning or call of a tool has come.
        has_chunks: Something that is a part of an answer has come.
        is_understood: Nothing else has.
        error: What the server said went wrong.
        response_id: Always "": these answers cannot be gone on from by name.
    """

    response_id = ""

    def __init__(self) -> None:
        self.has_begun = False
        self.has_chunks = False
        self.is_understood = True
        self.error: BackendError | None = None
        self._stream = StreamedCompletion()
        self._is_cut = False
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._model = ""
        self._counted: dict[str, Any] = {}
        self._shape = ChunkShape()

    @property
    def is_whole(self) -> bool:
        return self._stream.is_whole and not self._is_cut and self.error is None

    @property
    def reasoning(self) -> str:
        return clean("".join(self._reasoning))

    def feed(self, data: str) -> None:
        """Take one event's data."""
        text = self._shape.text_of(data)
        if text:
            self._text.append(text)
            return
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            self._feed_other(data)
            return
        if not is_object(body):
            self.is_understood = False
            return
        if body.get("usage") or body.get("timings"):
            # The last chunk's counts are the whole answer's; some servers send them with each.
            self._counted = body
        if self._takes_plain(body):
            self._shape.learn(data, body["choices"][0]["delta"])
        else:
            self._feed_rest(body)

    def compact(self) -> None:
        """Hold what has come in few pieces."""
        self._text = ["".join(self._text)]
        self._reasoning = ["".join(self._reasoning)]

    def completion(self) -> Completion:
        """All that has come; nothing may come after this."""
        if not self._stream.is_whole:
            self._is_cut = True
            self._stream.is_done = True
        completion = self._stream.completion()
        return replace(
            completion,
            text=clean("".join(self._text)),
            usage=parse_usage(self._counted),
            finish_reason="" if self._is_cut else completion.finish_reason,
            model=completion.model or self._model,
        )

    def _takes_plain(self, body: dict[str, Any]) -> bool:
        """Take a chunk that has nothing but text or reasoning of the first choice, as most do."""
        choices = body.get("choices")
        if not is_array(choices) or len(choices) != 1 or "error" in body:
            return False
        choice = choices[0]
        if not is_object(choice) or choice.get("finish_reason") or not is_first(choice):
            return False
        delta = choice.get("delta")
        if not is_object(delta) or delta.get("tool_calls") or delta.get("function_call"):
            return False
        content = delta.get("content")
        if content is not None and not isinstance(content, str):
            return False
        if not self._model:
            self._model = plain_string(body.get("model"))
        self.has_chunks = True
        if len(delta) > 1 or not content:
            self._think(delta)
        if content:
            self._text.append(content)
            self.has_begun = True
        return True

    def _feed_rest(self, body: dict[str, Any]) -> None:
        """Anything else; what calls of tools are made of is the backend's to know."""
        if body.get("object") == "error" and "error" not in body:  # vLLM, once
            self.error = error_in_stream(body)
            return
        try:
            text = self._stream.feed_chunk(body)
        except InvalidAnswer:
            self.is_understood = False
            return
        except BackendError as error:
            self.error = error
            return
        if text:
            self._text.append(text)
            self.has_begun = True
        choices = body.get("choices")
        if not is_array(choices):
            self.is_understood = False
            return
        self.has_chunks = True
        for choice in choices:
            if is_object(choice) and is_first(choice):
                self._feed_choice(choice)

    def _feed_choice(self, choice: dict[str, Any]) -> None:
        text = choice.get("text")
        if text and isinstance(text, str):  # a legacy completion's
            self._text.append(text)
            self.has_begun = True
        delta = choice.get("delta")
        if is_object(delta):
            self._think(delta)
            if delta.get("tool_calls") or delta.get("function_call"):
                self.has_begun = True

    def _feed_other(self, data: str) -> None:
        if data.strip() == DONE:
            self._stream.feed(DONE)
        elif data.strip():
            self.is_understood = False

    def _think(self, delta: dict[str, Any]) -> None:
        thought = reasoning_text(delta)
        if thought:
            self._reasoning.append(thought)
            self.has_begun = True


def whole_chat(body: dict[str, Any]) -> tuple[Completion, str]:
    """A body in one piece, and its reasoning.

    Raises:
        BackendError: it is an error object, or no completion.
    """
    choices = body.get("choices")
    kept = [_as_chat(choice) for choice in choices] if is_array(choices) else choices
    completion = parse_completion(body | {"choices": kept})
    for choice in kept if is_array(kept) else []:
        if is_object(choice) and is_first(choice) and is_object(choice.get("message")):
            return completion, clean(reasoning_text(choice["message"]))
    return completion, ""


def _as_chat(choice: Any) -> Any:
    """A choice of a legacy completion as one of a chat."""
    if is_object(choice) and "message" not in choice and "text" in choice:
        return choice | {"message": {"content": choice["text"]}}
    return choice
