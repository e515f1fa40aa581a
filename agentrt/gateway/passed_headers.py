"""Which headers go on to a server, and which of its own reach the client. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NOT_TO_SERVERS = _HOP_BY_HOP | {
    # The client's credentials are between it and the gateway.
    "authorization",
    "x-api-key",
    "api-key",
    "cookie",
    # Of this connection, or of the body as it was packed on it.
    "accept-encoding",
    "content-length",
    "content-encoding",
    "expect",
    "forwarded",
    "host",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
}
_NOT_TO_CLIENTS = frozenset(
    name.encode()
    for name in _HOP_BY_HOP
    # The body is unpacked here, and may lose a chunk that was the gateway's wish.
    | {"content-encoding", "content-length", "date", "server", "set-cookie", "alt-svc"}
)


def to_server(headers: Mapping[str, str], *, request_id: str) -> dict[str, str]:
    """What of a client's headers, by names in lower case, a server gets.

    `x-request-id` is the client's, or else `request_id`.
    """
    named = headers.get("connection", "")
    hidden = {name.strip() for name in named.lower().split(",")} if named else ()
    passed = {
        name: value if value.isascii() else _as_sent(value)
        for name, value in headers.items()
        if name not in _NOT_TO_SERVERS and name not in hidden
    }
    passed.setdefault("x-request-id", request_id)
    return passed


def _as_sent(value: str) -> str:
    """What becomes the client's bytes once more where headers are written as UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def to_client(
    headers: Iterable[tuple[bytes, bytes]], *, request_id: str
) -> list[tuple[bytes, bytes]]:
    """What of a server's headers the client gets, with an `x-request-id` in any case."""
    passed: list[tuple[bytes, bytes]] = []
    has_id = False
    for written, value in headers:
        name = written.lower()
        if name in _NOT_TO_CLIENTS:
            continue
        has_id = has_id or name == b"x-request-id"
        passed.append((name, value))
    if not has_id:
        passed.append((b"x-request-id", request_id.encode("latin-1")))
    return passed
