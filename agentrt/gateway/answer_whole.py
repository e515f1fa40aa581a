"""Answers in one piece. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from agentrt.backends.http_errors import error_in_stream
from agentrt.backends.json_shape import is_object
from agentrt.backends.wire import parse_usage
from agentrt.errors import BackendError
from agentrt.gateway.answer_chat import whole_chat
from agentrt.gateway.answer_responses import is_response, response_reasoning, whole_response
from agentrt.gateway.asked import Endpoint
from agentrt.gateway.content import plain_string
from agentrt.ir.request import Completion

_USAGE = b'"usage"'
_NOTHING = Completion(finish_reason="")


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeAnswer:
    """What could be read of an answer.

    Attributes:
        is_whole: It is not known to be cut off, and it is no error instead of an answer.
        is_understood: It is an answer as the endpoint gives them.
    """

    completion: Completion = _NOTHING
    reasoning: str = ""
    response_id: str = ""
    is_whole: bool = False
    is_understood: bool = False
    error: BackendError | None = None


def read_whole(endpoint: Endpoint, content: bytes) -> WholeAnswer:
    """The body of an answer; of embeddings its end is enough."""
    if endpoint == "embeddings":
        return _embedded(content)
    try:
        body: Any = json.loads(content, strict=False)
    except ValueError:
        # What begins as JSON has lost its end; what does not is somebody's idea of an answer.
        return WholeAnswer(is_whole=not content.lstrip().startswith((b"{", b"[")))
    except RecursionError:
        return WholeAnswer(is_whole=True)
    if not is_object(body):
        return WholeAnswer(is_whole=True)
    try:
        return _response(body) if endpoint == "responses" else _chat(body)
    except (BackendError, RecursionError):
        known = Completion(
            finish_reason="", usage=parse_usage(body), model=plain_string(body.get("model"))
        )
        said = error_in_stream(body["error"]) if body.get("error") else None
        return WholeAnswer(completion=known, is_whole=said is None, error=said)


def _chat(body: dict[str, Any]) -> WholeAnswer:
    completion, reasoning = whole_chat(body)
    return WholeAnswer(
        completion=completion, reasoning=reasoning, is_whole=True, is_understood=True
    )


def _response(body: dict[str, Any]) -> WholeAnswer:
    error = error_in_stream(body["error"]) if body.get("error") else None
    return WholeAnswer(
        completion=whole_response(body),
        reasoning=response_reasoning(body),
        response_id=plain_string(body.get("id")),
        is_whole=is_response(body) or error is None,
        is_understood=is_response(body),
        error=error,
    )


def _embedded(content: bytes) -> WholeAnswer:
    """Only the usage is of interest, and parsing a megabyte of numbers for it is not."""
    is_whole = content.rstrip().endswith(b"}")
    text = content[max(content.rfind(_USAGE), 0) :].decode(errors="replace")
    _, colon, value = text.partition(":")
    try:
        usage, _ = json.JSONDecoder().raw_decode(value.lstrip()) if colon else (None, 0)
    except (ValueError, RecursionError):
        usage = None
    if not is_object(usage) or _USAGE not in content:
        return WholeAnswer(is_whole=is_whole)
    completion = Completion(usage=parse_usage({"usage": usage}))
    return WholeAnswer(completion=completion, is_whole=is_whole, is_understood=is_whole)
