"""Every error has a status, and says nothing of where the servers are."""

from __future__ import annotations

import json

import pytest

from agentrt import errors
from agentrt.errors import (
    AgentRTError,
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ContextOverflow,
    InputError,
    InvalidAnswer,
    InvariantError,
    RateLimited,
    RequestRejected,
    RunCancelled,
)
from agentrt.gateway.errors_json import Refusal, refusal_of

AT = "http://10.0.0.7:8000/v1"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RateLimited("later", retry_after_s=2.2), 429, "rate_limit_exceeded"),
        (RateLimited("used up", retryable=False), 429, "insufficient_quota"),
        (ContextOverflow("long", url=AT), 400, "context_length_exceeded"),
        (RequestRejected("no such model"), 404, "model_not_found"),
        (RequestRejected("no key", status=401), 401, "invalid_api_key"),
        (RequestRejected("odd", status=400), 400, ""),
        (RequestRejected("key", status=401, url=AT), 502, "upstream_key_refused"),
        (BackendTimeout("slow", url=AT), 504, "upstream_timeout"),
        (InvalidAnswer("odd", url=AT), 502, "upstream_invalid"),
        (BackendUnavailable("down", url=AT), 503, "upstream_unavailable"),
        (RunCancelled("over"), 410, "program_ended"),
        (InputError("odd"), 400, ""),
        (InvariantError("bug"), 500, "internal_error"),
    ],
)
def test_each_error_has_its_status(error: AgentRTError, status: int, code: str) -> None:
    refusal = refusal_of(error)
    assert (refusal.status, refusal.code) == (status, code)


BACKEND_ERRORS = [
    kind for kind in map(vars(errors).__getitem__, errors.__all__) if issubclass(kind, BackendError)
]


@pytest.mark.parametrize("kind", BACKEND_ERRORS)
def test_no_error_tells_of_a_server(kind: type[BackendError]) -> None:
    assert "10.0.0.7" not in refusal_of(kind(f"{AT} failed", url=AT)).message


def test_waiting_is_told_in_whole_seconds() -> None:
    headers = dict(refusal_of(RateLimited("later", retry_after_s=2.2)).headers())
    assert headers[b"retry-after"] == b"3"


def test_an_event_of_responses_is_what_its_clients_read() -> None:
    event = Refusal(status=502, message="m", code="c").event("responses")
    assert event.startswith(b"event: error\ndata: {")
    data = json.loads(event.split(b"data: ")[1])
    assert (data["type"], data["error"]["message"]) == ("error", "m")


def test_an_event_of_a_chat_has_nothing_but_the_error() -> None:
    event = Refusal(status=502, message="m").event("chat/completions")
    error = {"message": "m", "type": "server_error", "param": None, "code": 502}
    assert json.loads(event.removeprefix(b"data: ")) == {"error": error}
