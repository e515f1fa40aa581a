from __future__ import annotations

from datetime import UTC, datetime

import httpx2
import pytest

from agentrt.backends.http_connection import HttpConnection, HttpSettings
from agentrt.backends.http_errors import MAX_RETRY_AFTER_S, retry_after_s

EXPECTED = {
    "CloseError": ("BackendUnavailable", True),
    "ConnectError": ("BackendUnavailable", True),
    "ConnectTimeout": ("BackendTimeout", True),
    "DecodingError": ("InvalidAnswer", True),
    "HTTPError": ("BackendUnavailable", False),
    "HTTPStatusError": ("BackendUnavailable", False),
    "LocalProtocolError": ("BackendUnavailable", False),
    "NetworkError": ("BackendUnavailable", True),
    "PoolTimeout": ("BackendTimeout", True),
    "ProtocolError": ("BackendUnavailable", False),
    "ProxyError": ("BackendUnavailable", True),
    "ReadError": ("BackendUnavailable", True),
    "ReadTimeout": ("BackendTimeout", True),
    "RemoteProtocolError": ("InvalidAnswer", True),
    "RequestError": ("BackendUnavailable", False),
    "SSEError": ("InvalidAnswer", True),
    "TimeoutException": ("BackendTimeout", True),
    "TooManyRedirects": ("BackendUnavailable", False),
    "TransportError": ("BackendUnavailable", False),
    "UnsupportedProtocol": ("BackendUnavailable", False),
    "WriteError": ("BackendUnavailable", True),
    "WriteTimeout": ("BackendTimeout", True),
}


def test_every_exception_of_httpx2_is_one_of_ours() -> None:
    connection = HttpConnection("http://host", api_key="k3y", settings=HttpSettings())
    kinds = [
        kind
        for name in httpx2.__all__
        if isinstance(kind := getattr(httpx2, name), type) and issubclass(kind, httpx2.HTTPError)
    ]
    found = {}
    for kind in kinds:
        error = kind.__new__(kind)
        error.args = ("it holds k3y",)
        ours = connection._failed(error)
        assert "k3y" not in str(ours)
        assert ours.url == "http://host/v1"
        found[kind.__name__] = (type(ours).__name__, ours.retryable)

    assert found == EXPECTED


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "1e300"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30"}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:59:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 99 Nov 2026 12:00:30 GMT"}, None),
        ({"retry-after": "Fri, 20 Nov 99999999999 12:00:30 GMT"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
    ],
)
def test_how_long_to_wait_in_every_form(headers: dict[str, str], wait_s: float | None) -> None:
    now = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)

    assert retry_after_s(headers, now=now) == wait_s
