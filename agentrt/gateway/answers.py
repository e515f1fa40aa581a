"""`AnswerReader`: what an engine answers, read while it goes by. Pure.

The client gets the engine's bytes. Reading them must neither hold them up nor fail: where an answer
makes no sense to us, it is passed on all the same.
"""

from __future__ import annotations

import json
from dataclasses import replace

from agentrt.errors import BackendError
from agentrt.gateway.answer_chat import ChatStream
from agentrt.gateway.answer_events import UsageWithheld, end_of_events, events, is_event_stream
from agentrt.gateway.answer_responses import ResponseStream
from agentrt.gateway.answer_whole import WholeAnswer, read_whole
from agentrt.gateway.asked import Asked
from agentrt.gateway.content import with_reasoning
from agentrt.ir.request import Completion

_READ_AT_ONCE = 16_384
"""Bytes of a stream that are read together: some dozen events, a fraction of a millisecond."""

_LONGEST_READ = 64 * 2**20
"""An answer in one piece that is longer, and an event that is, is passed on unread."""

_TAIL = 8_192
"""Of an answer to `/v1/embeddings` only the end is kept: there its usage is."""


class AnswerReader:
    """Reads one answer, whose status was a success.

    What is read is known as far as the answer has come; all of it is once `end` has been called.

    Attributes:
        has_begun: The first content has come: text, reasoning or a call of a tool.
    """

    def __init__(self, asked: Asked) -> None:
        self.has_begun = False
        self._asked = asked
        self._most = _TAIL if asked.endpoint == "embeddings" else _LONGEST_READ
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._read_at = _READ_AT_ONCE
        self._is_stream: bool | None = None
        self._stream: ChatStream | ResponseStream = (
            ResponseStream() if asked.endpoint == "responses" else ChatStream()
        )
        self._withheld = None if asked.has_usage else UsageWithheld()
        self._whole: WholeAnswer | None = None

    def feed(self, piece: bytes) -> bytes:
        """Take the next bytes of the answer; the bytes to pass on, nearly always the same."""
        if self._is_stream is None:
            first = piece.lstrip()
            if not first:
                return piece
            self._is_stream = is_event_stream(first)
            self.has_begun = not self._is_stream
        self._kept.append(piece)
        self._kept_bytes += len(piece)
        if not self._is_stream:
            if self._kept_bytes > 2 * self._most:
                self._forget()
            return piece
        is_awaited = not self.has_begun and (b"\n" in piece or b"\r" in piece)
        if is_awaited or self._kept_bytes > self._read_at:
            self._read_events()
        return piece if self._withheld is None else self._withheld.passed(piece)

    def end(self) -> bytes:
        """No more comes; the bytes that are still to be passed on. May be called twice."""
        self._read_end()
        return self._withheld.rest() if self._is_stream and self._withheld else b""

    @property
    def is_whole(self) -> bool:
        """Whether the engine has finished the answer, and no error has taken its place.

        What is no answer at all, as far as we know, is whole as long as it does not look cut off.
        """
        read = self._read()
        if read.is_whole or isinstance(read, WholeAnswer) or read.error is not None:
            return read.is_whole
        return not read.has_chunks and not read.is_understood

    @property
    def is_understood(self) -> bool:
        """Whether all that came is an answer as the endpoint gives them, whole or not."""
        return self._is_stream is not None and self._read().is_understood

    @property
    def error(self) -> BackendError | None:
        """What the engine said went wrong, in the middle of its answer."""
        return self._read().error

    @property
    def response_id(self) -> str:
        """The name by which a later request to `/v1/responses` can go on from this answer."""
        return self._read().response_id

    @property
    def reasoning(self) -> str:
        """What the model thought before it answered, where the engine says so."""
        return self._read().reasoning

    def completion(self) -> Completion:
        """All that has come, as far as it was understood; its finish reason is "" if it was cut off.

        The text has the reasoning in it where the client sends it back, so that the answer is the
        same message as it will be in the next request.
        """
        self._read_end()
        if self._whole is not None:
            completion, reasoning = self._whole.completion, self._whole.reasoning
        else:
            completion, reasoning = self._stream.completion(), self._stream.reasoning
        if reasoning and self._asked.has_reasoning:
            completion = replace(completion, text=with_reasoning(completion.text, reasoning))
        response_id = self.response_id
        return replace(completion, response_id=response_id) if response_id else completion

    def _read(self) -> ChatStream | ResponseStream | WholeAnswer:
        if self._whole is not None:
            return self._whole
        if self._is_stream:
            self._read_events()
        elif self._kept:
            return self._whole_so_far()
        return self._stream

    def _read_end(self) -> None:
        if self._is_stream:
            self._read_events()
            self._read_rest()
        elif self._whole is None and self._is_stream is not None:
            self._whole = self._whole_so_far()
            self._kept = []

    def _whole_so_far(self) -> WholeAnswer:
        return read_whole(self._asked.endpoint, b"".join(self._kept))

    def _read_events(self) -> None:
        """Read the events that are whole, and keep what comes after them."""
        data = b"".join(self._kept)
        end = end_of_events(data)
        if end:
            for event in events(data[:end]):
                self._stream.feed(event)
            self._stream.compact()
            self.has_begun = self._stream.has_begun
            data = data[end:]
        if len(data) > self._most:
            self._stream.is_understood = False
            data = b""
        self._kept, self._kept_bytes = ([data], len(data)) if data else ([], 0)
        # One long event must not be looked at with each piece of it.
        self._read_at = max(_READ_AT_ONCE, 2 * len(data))

    def _read_rest(self) -> None:
        """Some servers leave the blank line after the last event out; and some stop in an event."""
        for event in events(b"".join(self._kept)):
            if _is_event(event):
                self._stream.feed(event)
        self._kept, self._kept_bytes = [], 0

    def _forget(self) -> None:
        """Keep the end only."""
        data = b"".join(self._kept)[-self._most :]
        self._kept, self._kept_bytes = [data], len(data)


def _is_event(data: str) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return data.strip() == "[DONE]"
    return True
