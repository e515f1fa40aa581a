"""A request's body, read from its client within limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, TypeAlias

from agentrt.errors import RateLimited, RequestRejected
from agentrt.gateway.held_bodies import HeldBody
from agentrt.gateway.services import Headers

AsgiReceive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]


_DISCARD_WITHIN_S = 2.0


class ClientGone(Exception):  # noqa: N818  nothing is wrong
    """There is nobody left to answer."""


async def read_body(
    receive: AsgiReceive, headers: Headers, held: HeldBody, *, max_bytes: int, timeout_s: float
) -> bytes:
    """All of it, counted in `held` as it comes.

    Raises:
        RequestRejected: 413, it is longer than `max_bytes`, or than all bodies may be; 408, it took
            longer than `timeout_s`; 415, it is packed.
        RateLimited: it and those of others are longer than all may be.
        ClientGone: it never came to its end.
    """
    max_bytes = min(max_bytes, held.most_bytes)
    if headers.get("content-encoding", "identity") != "identity":
        raise RequestRejected(
            "the body must not be packed: leave Content-Encoding out",
            status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )
    length = headers.get("content-length", "")
    if length.isdigit() and int(length[:20]) > max_bytes:
        await _discard(receive)
        raise _too_long(max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                piece: bytes = message.get("body", b"")
                if len(body) + len(piece) > max_bytes:
                    body.clear()
                    held.give_back()
                    await _discard(receive)
                    raise _too_long(max_bytes)
                try:
                    held.grow(len(piece))
                except RateLimited:
                    body.clear()
                    if message.get("more_body", False):
                        await _discard(receive)
                    raise
                if not message.get("more_body", False):
                    # Nearly all bodies come in one piece.
                    return bytes(body) + piece if body else piece
                body += piece
    except TimeoutError:
        raise RequestRejected(
            f"the body did not come within {timeout_s:g} s", status=HTTPStatus.REQUEST_TIMEOUT
        ) from None


async def _discard(receive: AsgiReceive) -> None:
    """Read on for a while: who is still writing when the connection closes never sees the answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_WITHIN_S):
            while (await receive()).get("more_body", False):
                pass


def _too_long(max_bytes: int) -> RequestRejected:
    return RequestRejected(
        f"the body is longer than {max_bytes} bytes",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )
