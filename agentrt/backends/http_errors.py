"""What an HTTP status and an error body mean, as our errors."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from agentrt.backends.json_shape import is_object
from agentrt.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ContextOverflow,
    RateLimited,
    RequestRejected,
)

MAX_SHOWN = 500
MAX_RETRY_AFTER_S = 600.0
_MAX_READ = 20_000
_REDIRECTION = 3
_ERROR_STATUS = re.compile(r"[45]\d\d")

# One pattern for OpenAI ("maximum context length is", context_length_exceeded), vLLM (the same, and
# "longer than the maximum model length"), llama.cpp ("exceeds the available context size",
# exceed_context_size_error), SGLang ("longer than the model's context length") and gateways.
_OVERFLOW = re.compile(
    r"maximum context length|context_length_exceeded|maximum model length"
    r"|exceeds? the (?:available |model'?s? )?context|exceed_context_size"
    r"|longer than the model'?s context|maximum input length|context window"
    r"|prompt is too long|input is too (?:long|large)|larger than the max context|max_model_len"
    # What is left for the answer, where no limit was asked for.
    r"|max_(?:completion_)?tokens must be at least 1, got -",
    re.IGNORECASE,
)
# llama.cpp of some ages says 500; 413 and 422 come from gateways.
_OVERFLOW_STATUSES = {400, 413, 422, 500}
_MARKUP = re.compile(
    r"<(?:head|script|style)\b.*?</(?:head|script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE
)


def error_for(
    status: int,
    body: str,
    *,
    url: str = "",
    headers: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> BackendError:
    """The error that a response other than 2xx stands for.

    Args:
        status: The HTTP status, or the code an error object in a stream carries.
        body: The body as text; an OpenAI-shaped error, anything else that is JSON, or any text.
        url: The server, for the message.
        headers: Read for `Retry-After` and `retry-after-ms`; names in lower case.
        now: What an HTTP date in `Retry-After` is compared with; the wall clock if None.
    """
    said = message_in(body)
    text = f"{url} answered {status}" + (f": {said}" if said else "")
    if status in {401, 403}:
        text += " (the key is read from AGENTRT_API_KEY)"
    if status // 100 == _REDIRECTION:
        where = (headers or {}).get("location", "elsewhere").partition("?")[0]
        text += f": it redirects to {where[:MAX_SHOWN]}; give that address"
    wait_s = retry_after_s(headers or {}, now=now)
    return _kind(status, body)(text, url=url, status=status, retry_after_s=wait_s)


def _kind(status: int, body: str) -> type[BackendError]:
    if status in _OVERFLOW_STATUSES and _OVERFLOW.search(body[:_MAX_READ]):
        return ContextOverflow
    match status:
        case HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimited
        case HTTPStatus.REQUEST_TIMEOUT:
            return BackendTimeout
        case HTTPStatus.NOT_IMPLEMENTED:
            return RequestRejected
        case HTTPStatus.CONFLICT | HTTPStatus.TOO_EARLY:
            return BackendUnavailable
        case _:
            is_server_error = status >= HTTPStatus.INTERNAL_SERVER_ERROR
            return BackendUnavailable if is_server_error else RequestRejected


def error_in_stream(error: Any, *, url: str = "") -> BackendError:
    """The error object that a server put into a stream it had begun with 200."""
    code = str(_get(error, "code") or _get(error, "status"))
    status = int(code) if _ERROR_STATUS.fullmatch(code) else HTTPStatus.INTERNAL_SERVER_ERROR
    try:
        body = json.dumps({"error": error})
    except RecursionError:
        body = ""
    return error_for(status, body, url=url)


def message_in(body: str) -> str:
    """The human part of an error body, on one line and at most `MAX_SHOWN` characters."""
    try:
        found = _message(json.loads(body))
    except (ValueError, RecursionError):
        found = None
    if found is None:
        found = _MARKUP.sub(" ", body[:_MAX_READ])
    line = " ".join(found.split())
    return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 3] + "..."


def retry_after_s(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds the server asks us to wait, at most `MAX_RETRY_AFTER_S`; None: it does not say."""
    wait_s = _number(headers.get("retry-after-ms", ""))
    if wait_s is not None:
        return _capped(wait_s / 1000)
    text = headers.get("retry-after", "").strip()
    wait_s = _number(text)
    if wait_s is not None:
        return _capped(wait_s)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return _capped((date - (now or datetime.now(UTC))).total_seconds())


def _capped(wait_s: float) -> float:
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _message(data: Any) -> str | None:
    """From `{"error": {"message"}}`, `{"error": "..."}`, `{"message"}` or `{"detail"}`."""
    for key in ("error", "message", "detail"):
        value = _get(data, key)
        if isinstance(value, str):
            return value
        if value is not None:
            return _message(value) or json.dumps(value)
    return None


def _get(data: Any, key: str) -> Any:
    return data.get(key) if is_object(data) else None
