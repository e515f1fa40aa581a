"""What a client is told where the gateway itself refuses or fails: OpenAI's error shape."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from agentrt.errors import (
    AgentRTError,
    BackendError,
    BackendTimeout,
    ContextOverflow,
    InputError,
    InvalidAnswer,
    RateLimited,
    RequestRejected,
    RunCancelled,
)
from agentrt.gateway.asked import Endpoint
from agentrt.gateway.client_answer import AsgiSend

_CLIENT_ERRORS = range(400, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A status and what is said with it.

    Attributes:
        code: A word for programs: `model_not_found`, `rate_limit_exceeded`.
        retry_after_s: When to come again; None: not said.
    """

    status: int
    message: str
    code: str = ""
    retry_after_s: float | None = None

    @property
    def kind(self) -> str:
        """OpenAI's `type` of such an error."""
        match self.status:
            case HTTPStatus.UNAUTHORIZED:
                return "authentication_error"
            case HTTPStatus.FORBIDDEN:
                return "permission_error"
            case HTTPStatus.TOO_MANY_REQUESTS:
                return "rate_limit_error"
            case status if status in _CLIENT_ERRORS:
                return "invalid_request_error"
            case _:
                return "server_error"

    def as_error(self) -> dict[str, Any]:
        """What stands under `error`."""
        return {
            "message": self.message,
            "type": self.kind,
            "param": None,
            "code": self.code or None,
        }

    def body(self) -> bytes:
        """The whole body of an answer."""
        return json.dumps({"error": self.as_error()}).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Those of an answer with this body."""
        headers = [(b"content-type", b"application/json")]
        if self.retry_after_s is not None:
            # Whole seconds, rounded up: who comes too early is refused again.
            wait_s = max(math.ceil(self.retry_after_s), 1)
            headers.append((b"retry-after", str(wait_s).encode()))
        return headers

    def event(self, endpoint: Endpoint) -> bytes:
        """The last event of a stream that had begun. No `[DONE]` follows: it is not whole."""
        error = self.as_error()
        if endpoint != "responses":
            return (
                b"data: " + json.dumps({"error": error | {"code": self.status}}).encode() + b"\n\n"
            )
        # Its clients read an event's own fields; the `openai` package raises only at `error`.
        event = {"type": "error", "code": self.code or None, "message": self.message, "param": None}
        return b"event: error\ndata: " + json.dumps(event | {"error": error}).encode() + b"\n\n"


def refusal_of(error: AgentRTError) -> Refusal:
    """What a client is told of `error`. Servers' addresses are for the log alone."""
    match error:
        case RateLimited():
            return Refusal(
                status=HTTPStatus.TOO_MANY_REQUESTS,
                message=_said(error, "too many requests; come again later"),
                # Where waiting does not help, the `openai` package need not try.
                code="rate_limit_exceeded" if error.retryable else "insufficient_quota",
                retry_after_s=1.0 if error.retry_after_s is None else error.retry_after_s,
            )
        case ContextOverflow():
            return Refusal(
                status=HTTPStatus.BAD_REQUEST,
                message=_said(error, "the prompt is longer than the model's context"),
                code="context_length_exceeded",
            )
        case RequestRejected():
            return _rejected(error)
        case BackendError():
            return _failed(error)
        case RunCancelled():
            return Refusal(status=HTTPStatus.GONE, message=str(error), code="program_ended")
        case InputError():
            return Refusal(status=HTTPStatus.BAD_REQUEST, message=str(error))
        case _:
            return Refusal(
                status=HTTPStatus.INTERNAL_SERVER_ERROR,
                message="the gateway has failed; its log says how",
                code="internal_error",
            )


async def send_refusal(refusal: Refusal, send: AsgiSend, *, request_id: str) -> None:
    """The whole answer to a request that nothing else was done with."""
    body = refusal.body()
    headers = [
        *refusal.headers(),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode("latin-1")),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _rejected(error: RequestRejected) -> Refusal:
    """Ours has its status, or is about the model; a server's that has no body left is a 4xx."""
    status = error.status
    if status is None or (status == HTTPStatus.NOT_FOUND and not error.url):
        message = _said(error, "no server has that model")
        return Refusal(status=HTTPStatus.NOT_FOUND, message=message, code="model_not_found")
    if error.url and status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Refusal(
            status=HTTPStatus.BAD_GATEWAY,
            message="the model's server refuses the gateway's key",
            code="upstream_key_refused",
        )
    if error.url and status < HTTPStatus.BAD_REQUEST:
        return Refusal(
            status=HTTPStatus.BAD_GATEWAY,
            message="the model's server is not where the gateway looks for it",
            code="upstream_moved",
        )
    code = "invalid_api_key" if status == HTTPStatus.UNAUTHORIZED else ""
    message = _said(error, "the model's server refuses the request")
    return Refusal(status=status, message=message, code=code, retry_after_s=error.retry_after_s)


def _failed(error: BackendError) -> Refusal:
    """There is no answer, or not a whole one."""
    match error:
        case BackendTimeout():
            return Refusal(
                status=HTTPStatus.GATEWAY_TIMEOUT,
                message="the model's server gave no whole answer in time",
                code="upstream_timeout",
            )
        case InvalidAnswer():
            return Refusal(
                status=HTTPStatus.BAD_GATEWAY,
                message="the model's server broke off its answer, or garbled it",
                code="upstream_invalid",
            )
        case BackendError():
            return Refusal(
                status=HTTPStatus.SERVICE_UNAVAILABLE,
                message="no server of the model can answer now",
                code="upstream_unavailable",
                retry_after_s=error.retry_after_s,
            )


def _said(error: BackendError, otherwise: str) -> str:
    """Our own words; what was said of a server has its address in it."""
    return otherwise if error.url else str(error)
