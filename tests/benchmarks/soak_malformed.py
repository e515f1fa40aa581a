"""Requests that make no sense, each with what may be said to it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tests.benchmarks.soak_client import Post
from tests.benchmarks.soak_world import MAX_BODY_BYTES

Statuses: TypeAlias = frozenset[int]
_NOT_HTTP: Statuses = frozenset()
"""It is no HTTP: a 400, or a connection that closes."""
_CHAT = "/v1/chat/completions"
_OK = {"model": "alpha", "messages": [{"role": "user", "content": "hi"}]}
_BAD = frozenset({400, 422})
_BODIES: Mapping[str, bytes] = {
    "empty": b"",
    "not JSON": b"{]",
    "not UTF-8": b'{"model": "\xff\xfe"}',
    "a number": b"17",
    "null": b"null",
    "a list": b"[]",
    "deep": b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "not closed": b'{"model": "alpha", "messages": [',
    "many digits": b'{"model": "alpha", "messages": [], "n": ' + b"9" * 10_000 + b"}",
}
# These the engine may answer as it likes: the stub says 400, as they do not name a wish.
_FIELDS: Mapping[str, dict[str, Any]] = {
    "messages a string": {"messages": "hi"},
    "messages of numbers": {"messages": [1, None, []]},
    "content a number": {"messages": [{"role": "user", "content": 5}]},
    "content of nulls": {"messages": [{"role": "user", "content": [None, {"type": None}]}]},
    "role a list": {"messages": [{"role": [], "content": "x"}]},
    "half a pair": {"messages": [{"role": "user", "content": "\ud800 \udfff"}]},
    "tools of anything": {"tools": [1, {"function": None}, {"function": {"name": 3}}]},
    "calls of anything": {"messages": [{"role": "assistant", "tool_calls": [1, {"id": []}]}]},
    "model a list": {"model": ["alpha"]},
    "no such model": {"model": "omega\r\nX-Forged: 1"},
    "model of control characters": {"model": "\x1b[31m\n12:00:00 forged line"},
    "max_tokens a string": {"max_tokens": "many"},
    "max_tokens endless": {"max_tokens": 10**400},
    "max_tokens below nothing": {"max_tokens": -1},
    "stream a string": {"stream": "yes"},
    "stream_options a number": {"stream": True, "stream_options": 3},
    "session of anything": {"session_id": {"a": 1}, "user": [], "prompt_cache_key": 1.5},
    "session of line ends": {"session_id": "a\r\nb\x00c"},
    "session with half a pair": {"session_id": "\ud800"},
    "salt of anything": {"cache_salt": ["a"], "vllm_xargs": 3, "nvext": "x"},
}


def malformed(source: random.Random, key: str) -> tuple[str, Post, Statuses, bool]:
    """What it is, the request, the statuses that may be said, and whether it is counted."""
    return source.choice(_KINDS)(source, key)


def _body(source: random.Random, key: str) -> tuple[str, Post, Statuses, bool]:
    what, body = source.choice(tuple(_BODIES.items()))
    path = source.choice((_CHAT, "/v1/completions", "/v1/responses", "/v1/embeddings"))
    return f"{what} to {path}", Post(path=path, headers=_key(key), body=body), _ANY, True


def _fields(source: random.Random, key: str) -> tuple[str, Post, Statuses, bool]:
    what, fields = source.choice(tuple(_FIELDS.items()))
    return what, Post(headers=_key(key), body=_OK | fields), _ANY, True


def _huge(source: random.Random, key: str) -> tuple[str, Post, Statuses, bool]:
    size = MAX_BODY_BYTES + source.randrange(1, 1 << 19)
    body = b'{"model": "alpha", "messages": [], "x": "' + b"y" * size + b'"}'
    return "huge", Post(headers=_key(key), body=body), frozenset({413, 429}), True


def _no_key(source: random.Random, key: str) -> tuple[str, Post, Statuses, bool]:
    wrong = {"Authorization": source.choice(("Bearer wrong", "Basic Og==", "", f"bear {key}"))}
    return "no key", Post(headers=wrong, body=_OK), frozenset({401}), True


def _path(source: random.Random, key: str) -> tuple[str, Post, Statuses, bool]:
    paths = ("/", "/v1", "/v1/chat", "/v1/chat/completions/", "/%00", "/..%2f..%2fetc", "/a?b=%ff")
    method = source.choice(("GET", "POST", "PUT", "DELETE", "PROPFIND"))
    post = Post(path=source.choice(paths), method=method, headers=_key(key), body={})
    return f"{method} {post.path}", post, frozenset({404, 405, 307, 401}), False


def _method(source: random.Random, key: str) -> tuple[str, Post, Statuses, bool]:
    method = source.choice(("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"))
    post = Post(path=_CHAT, method=method, headers=_key(key))
    return f"{method} for an answer", post, frozenset({404, 405}), False


def _release(source: random.Random, key: str) -> tuple[str, Post, Statuses, bool]:
    body = source.choice((b"", b"[]", b"{", b'{"program_id": 3}', b'{"program_id": "none"}',
                          b'{"program_id": ""}', b"[" * 60_000, b"x" * 70_000))  # fmt: skip
    post = Post(path="/programs/release", headers=_key(key), body=body)
    return "release", post, frozenset({400, 404, 413}), False


def _raw(source: random.Random, key: str) -> tuple[str, Post, Statuses, bool]:
    head = f"POST {_CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n".encode()
    raws = {
        "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "no version": b"GET /\r\n\r\n",
        "two lengths": head + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}",
        "length and chunks": head
        + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "length below nothing": head + b"Content-Length: -5\r\n\r\n{}",
        "a header that is none": head + b"this is none\r\n\r\n",
        "a bare CR": head + b"X-A: b\rX-Forged: c\r\nContent-Length: 0\r\n\r\n",
        # The server's parser answers it with a 400 of its own, of which the gateway never hears.
        "control characters": head + b"X-A: \x01\x02\x7f\r\nContent-Length: 0\r\n\r\n",
        "a zero": head + b"X-A: b\x00c\r\nContent-Length: 0\r\n\r\n",
        "chunks of no size": head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        "a long head": head + b"X-A: " + b"y" * 100_000 + b"\r\n\r\n",
        "a path of bytes": b"POST /v1/\xff\xfe HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    }
    what, raw = source.choice(tuple(raws.items()))
    return what, Post(raw=raw, manner="leaves queued", leave_s=2.0), _NOT_HTTP, True


def _odd_headers(source: random.Random, key: str) -> tuple[str, Post, Statuses, bool]:
    """HTTP, if odd: what goes on to an engine must still be one request."""
    odd = source.choice(
        (
            {"X-Session-ID": "\xe9\xff\x80"},
            {"X-Session-ID": "a" * 5_000},
            {"X-Request-ID": "r" * 5_000},
            {"X-Request-ID": "\xff\t\xfe"},
            {"Connection": "x-soak, authorization, close", "X-Stainless-Retry-Count": "-1"},
            {"Expect": "100-continue"},
            {"Content-Type": "text/plain; charset=\xff"},
            {"Accept-Encoding": "gzip, br"},
            {"Upgrade": "websocket", "X-B": "b"},
        )
    )
    return f"headers {odd!r:.60}", Post(headers=_key(key) | odd, body=_OK), _ANY, True


def _cut(source: random.Random, key: str) -> tuple[str, Post, Statuses, bool]:
    """It promises more than it sends, and goes."""
    head = f"POST {_CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    raw = f'{head}Content-Length: 500\r\n\r\n{{"model": '.encode()[: source.randrange(20, 200)]
    post = Post(raw=raw, manner="leaves queued", leave_s=0.05, is_reset=source.random() < 0.5)
    return "cut", post, frozenset({0}), True


def _key(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


_ANY = frozenset({400, 404, 410, 413, 422, 429, 502, 503})
_KINDS: tuple[Callable[[random.Random, str], tuple[str, Post, Statuses, bool]], ...] = (
    _body,
    _body,
    _fields,
    _fields,
    _fields,
    _huge,
    _no_key,
    _path,
    _method,
    _release,
    _raw,
    _odd_headers,
    _cut,
)
