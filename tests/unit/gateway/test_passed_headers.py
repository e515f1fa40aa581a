"""Which headers pass, and which end at the gateway."""

from __future__ import annotations

from agentrt.gateway.passed_headers import to_client, to_server


def test_what_is_of_this_connection_or_secret_does_not_reach_the_server() -> None:
    headers = {
        "host": "gateway",
        "authorization": "Bearer mine",
        "x-api-key": "mine",
        "api-key": "mine",
        "cookie": "mine",
        "connection": "keep-alive, X-Hop",
        "x-hop": "1",
        "transfer-encoding": "chunked",
        "content-length": "3",
        "accept-encoding": "gzip",
        "content-type": "application/json",
        "traceparent": "00-1",
    }
    assert to_server(headers, request_id="r") == {
        "content-type": "application/json",
        "traceparent": "00-1",
        "x-request-id": "r",
    }


def test_the_clients_request_id_is_kept() -> None:
    assert to_server({"x-request-id": "mine"}, request_id="r") == {"x-request-id": "mine"}


def test_what_is_of_the_servers_connection_does_not_reach_the_client() -> None:
    headers = [
        (b"Content-Type", b"text/event-stream"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-Length", b"9"),
        (b"Server", b"uvicorn"),
        (b"Set-Cookie", b"a=b"),
        (b"Retry-After", b"3"),
    ]
    assert to_client(headers, request_id="r") == [
        (b"content-type", b"text/event-stream"),
        (b"retry-after", b"3"),
        (b"x-request-id", b"r"),
    ]


def test_the_servers_request_id_is_kept() -> None:
    assert to_client([(b"X-Request-ID", b"s")], request_id="r") == [(b"x-request-id", b"s")]
