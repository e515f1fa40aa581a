"""The gateway's HTTP application: what is at which path, and who is let in."""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, TypeAlias

from starlette.applications import Starlette

from agentrt.gateway.asked import Endpoint
from agentrt.gateway.client_answer import AsgiSend, ClientConnection
from agentrt.gateway.errors_json import Refusal, send_refusal
from agentrt.gateway.held_bodies import HeldBodies
from agentrt.gateway.pages import pages
from agentrt.gateway.post import GatewayLimits, Post
from agentrt.gateway.request_body import AsgiReceive
from agentrt.gateway.services import Answered, Headers, Services

AsgiScope: TypeAlias = MutableMapping[str, Any]

__all__ = ["GatewayApp", "GatewayLimits", "create_app"]

_POSTS: Mapping[str, Endpoint] = {
    "/v1/chat/completions": "chat/completions",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/embeddings": "embeddings",
}
_STOPPING = Refusal(
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    message="the gateway is being stopped",
    code="stopping",
    retry_after_s=5.0,
)
_FULL = Refusal(
    status=HTTPStatus.TOO_MANY_REQUESTS,
    message="the gateway has as many requests under way as it may",
    code="rate_limit_exceeded",
    retry_after_s=1.0,
)


_STOP_WITHIN_S = 5.0
"""How long those that were stopped may take to tell their clients."""
_ID_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-_.:")
_MOST_ID_CHARACTERS = 128


class GatewayApp:
    """An ASGI application. What asks for an answer goes the shortest way, all else through Starlette.

    Attributes:
        is_draining: New work is refused, what is under way goes on.
        bodies: Those of all requests under way.
    """

    def __init__(self, services: Services, limits: GatewayLimits | None = None) -> None:
        self.is_draining = False
        self._services = services
        self._limits = limits or GatewayLimits()
        self.bodies = HeldBodies(self._limits.max_bodies_bytes)
        self._posts: set[Post] = set()
        self._idle = asyncio.Event()
        self._pages: Starlette = pages(services, is_draining=lambda: self.is_draining)

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = _POSTS.get(scope["path"])
            if endpoint is not None:
                await self._post(endpoint, scope, receive, send)
                return
        await self._pages(scope, receive, send)

    @property
    def under_way(self) -> int:
        """Requests for answers that are not over."""
        return len(self._posts)

    async def drain(self, within_s: float) -> None:
        """Refuse new work, let what is under way end, and stop what has not in time."""
        self.is_draining = True
        if not await self._is_idle(within_s):
            for post in list(self._posts):
                post.stop()
            await self._is_idle(_STOP_WITHIN_S)

    async def _post(
        self, endpoint: Endpoint, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend
    ) -> None:
        headers = headers_of(scope)
        request_id = _request_id(headers)
        if self.is_draining or len(self._posts) >= self._limits.max_requests:
            refusal = _STOPPING if self.is_draining else _FULL
            self._services.observe(
                Answered(
                    request_id=request_id,
                    endpoint=endpoint,
                    status=refusal.status,
                    code=refusal.code,
                )
            )
            await send_refusal(refusal, send, request_id=request_id)
            return
        post = Post(
            self._services,
            self._limits,
            endpoint=endpoint,
            headers=headers,
            request_id=request_id,
            connection=_connection(scope),
        )
        self._posts.add(post)
        try:
            await post.serve(receive, send, self.bodies)
        finally:
            self._posts.discard(post)
            if not self._posts:
                self._idle.set()

    async def _is_idle(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                while self._posts:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            return False
        return True


def create_app(services: Services, limits: GatewayLimits | None = None) -> GatewayApp:
    """The application, for uvicorn or any other ASGI server."""
    return GatewayApp(services, limits)


def headers_of(scope: AsgiScope) -> Headers:
    """By their names in lower case; of those that come twice, the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _connection(scope: AsgiScope) -> ClientConnection:
    given = scope.get("extensions", {}).get("agentrt.connection", {})
    return ClientConnection(given.get("abort"), given.get("write"))


def _request_id(headers: Headers) -> str:
    """The client's own, if it can stand in a log and a header, or a new one."""
    given = headers.get("x-request-id", "")
    if given and len(given) <= _MOST_ID_CHARACTERS and _ID_CHARACTERS.issuperset(given):
        return given
    return "req-" + secrets.token_hex(12)
