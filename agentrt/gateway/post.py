"""`Post`: one request for an answer, from its head to the last byte that the client takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from agentrt.errors import AgentRTError, BackendError, BackendUnavailable, InvariantError
from agentrt.gateway.asked import Asked, Endpoint
from agentrt.gateway.client_answer import AsgiSend, ClientAnswer, ClientConnection
from agentrt.gateway.errors_json import Refusal, refusal_of
from agentrt.gateway.forwarding import Forwarding
from agentrt.gateway.held_bodies import HeldBodies, HeldBody
from agentrt.gateway.reading import read_request
from agentrt.gateway.request_body import AsgiReceive, ClientGone, read_body
from agentrt.gateway.services import CLIENT_GONE, Answered, Headers, Services
from agentrt.gateway.turns import Caller
from agentrt.ir.request import Usage

_LOG = logging.getLogger("agentrt.gateway")
_CLIENT_GONE = 499
_CHARACTERS_PER_TOKEN = 4
_MOST_BESIDE_TEXT = 50_000
"""Characters that tools, and what a body is written with, may have; what is more is pictures, and those cost
as many tokens as `Asked.request` has for them, however many bytes they are."""
_CUT_SHORT = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
}
"""What may be said to a body that has not been read to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLimits:
    """How much is put up with.

    Attributes:
        max_requests: Under way, those that wait included; what comes then is refused with 429.
        max_body_bytes: The longest body of a request.
        max_bodies_bytes: Of all bodies that are held at once; what comes then is refused with 429.
        body_timeout_s: How long its body may take to come.
        max_kept_bytes: What is kept of a streamed answer for a client that reads slowly.
        client_stall_s: How long a client may take none of what is there for it.
    """

    max_requests: int = 20_000
    max_body_bytes: int = 64 << 20
    max_bodies_bytes: int = 1 << 30
    body_timeout_s: float = 60.0
    max_kept_bytes: int = 16 << 20
    client_stall_s: float = 120.0


class Post:
    """Serves one request. `stop` ends it early, and honestly."""

    def __init__(
        self,
        services: Services,
        limits: GatewayLimits,
        *,
        endpoint: Endpoint,
        headers: Headers,
        request_id: str,
        connection: ClientConnection,
    ) -> None:
        self._services = services
        self._limits = limits
        self._endpoint: Endpoint = endpoint
        self._headers = headers
        self._request_id = request_id
        self._abort = connection.abort
        self._answer = ClientAnswer(max_bytes=limits.max_kept_bytes, write=connection.write)
        self._caller = Caller()
        self._asked: Asked | None = None
        self._forwarding: Forwarding | None = None
        self._turn: asyncio.Task[None] | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._usage = Usage()
        self._code = ""
        self._is_stopped = False

    async def serve(self, receive: AsgiReceive, send: AsgiSend, bodies: HeldBodies) -> None:
        """Answer it, whatever happens; a client that has gone gets nothing.

        Its body counts among `bodies` until all is over.
        """
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        held = HeldBody(bodies)
        try:
            asked = await self._read(receive, held)
            if asked is not None:
                await self._serve_turn(asked, receive, send)
            else:
                await self._answer.deliver(send)
        except ClientGone:
            self._answer.abandon()
        finally:
            held.give_back()
            self._services.observe(self._answered(began_at, loop.time()))

    def stop(self) -> None:
        """The gateway is going away, and this has taken too long."""
        if self._turn is not None:
            self._is_stopped = True
            # A task that has not begun could not tell its client.
            asyncio.get_running_loop().call_soon(self._turn.cancel)

    async def _read(self, receive: AsgiReceive, held: HeldBody) -> Asked | None:
        """What is asked; None: it has been refused."""
        limits = self._limits
        try:
            self._caller = self._services.authenticate(self._headers)
            body = await read_body(
                receive,
                self._headers,
                held,
                max_bytes=limits.max_body_bytes,
                timeout_s=limits.body_timeout_s,
            )
            self._asked = read_request(self._endpoint, self._headers, body)
        except AgentRTError as error:
            self._refuse(refusal_of(error))
            return None
        return self._asked

    async def _serve_turn(self, asked: Asked, receive: AsgiReceive, send: AsgiSend) -> None:
        loop = asyncio.get_running_loop()
        self._watch_client(loop)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._turn = tasks.create_task(self._take(asked))
                gone = tasks.create_task(self._notice_end(receive))
                await self._answer.deliver(send)
                gone.cancel()
        finally:
            if self._stall_timer is not None:
                self._stall_timer.cancel()

    async def _take(self, asked: Asked) -> None:
        """Have the request made a turn of its program; it ends with an answer, or a refusal."""
        services, answer = self._services, self._answer
        forwarding = self._forwarding = Forwarding(
            services,
            asked,
            headers=self._headers,
            request_id=self._request_id,
            answer=answer,
        )
        try:
            async with services.admitted(self._caller, _prompt_tokens(asked)) as spent:
                completion = await services.turns.take(asked, self._caller, forwarding)
                self._usage = completion.usage
                spent.tell(completion.usage)
            if not answer.is_whole:
                unanswered = InvariantError("a turn has ended, and the client has no answer")
                self._fail(unanswered, forwarding)
        except asyncio.CancelledError:
            if not self._is_stopped:
                raise
            stopped = BackendUnavailable("the gateway is being stopped")
            self._fail(stopped, forwarding)
        except Exception as error:  # noqa: BLE001  the client is told of whatever it is
            self._fail(error, forwarding)

    def _fail(self, error: Exception, forwarding: Forwarding) -> None:
        if not isinstance(error, AgentRTError) or isinstance(error, InvariantError):
            _LOG.error("request %s failed", self._request_id, exc_info=error)
        if self._answer.is_abandoned:
            return
        refusal = (
            refusal_of(error) if isinstance(error, AgentRTError) else refusal_of(AgentRTError())
        )
        if self._answer.is_whole:
            # What a server says in the middle of a stream, the client has in its words.
            self._code = refusal.code if isinstance(error, BackendError) else ""
        elif self._answer.has_begun:
            self._code = refusal.code
            # What the client has of an event would be one with this.
            between = b"\n\n" if forwarding.is_amid_event else b""
            self._answer.end(between + refusal.event(self._endpoint))
        elif forwarding.give_refusal(error):
            self._code = "upstream_refused"
        else:
            self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        self._code = refusal.code or "refused"
        body = refusal.body()
        headers = [
            *refusal.headers(),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", self._request_id.encode("latin-1")),
        ]
        if self._asked is None and refusal.status in _CUT_SHORT:
            # What is left of the body is not read.
            headers.append((b"connection", b"close"))
        self._answer.begin(refusal.status, headers)
        self._answer.end(body)

    async def _notice_end(self, receive: AsgiReceive) -> None:
        """Wait for the client to go away, and then break everything off."""
        message: MutableMapping[str, Any] = {}
        while message.get("type") != "http.disconnect":
            message = await receive()
        if self._turn is not None:
            self._turn.cancel()
        self._answer.abandon()

    def _watch_client(self, loop: asyncio.AbstractEventLoop) -> None:
        """Drop the connection of a client that takes nothing any more."""
        stall_s = self._limits.client_stall_s

        def look() -> None:
            since = self._answer.sending_since
            left_s = stall_s if since is None else since + stall_s - loop.time()
            if left_s > 0:
                self._stall_timer = loop.call_later(left_s, look)
            elif self._abort is not None:
                self._abort()  # and then the server says that it is gone

        self._stall_timer = loop.call_later(stall_s, look)

    def _answered(self, began_at: float, now: float) -> Answered:
        answer, asked, forwarding = self._answer, self._asked, self._forwarding
        first_at = answer.first_sent_at
        is_gone = answer.is_abandoned
        return Answered(
            request_id=self._request_id,
            endpoint=self._endpoint,
            status=answer.status or _CLIENT_GONE,
            code=CLIENT_GONE if is_gone else self._code,
            tenant=self._caller.tenant,
            program_id=forwarding.program_id if forwarding else "",
            model=asked.model if asked else "",
            replica_id=forwarding.replica_id if forwarding else "",
            is_streamed=asked.is_streamed if asked else False,
            usage=self._usage,
            first_byte_s=None if first_at is None else first_at - began_at,
            total_s=now - began_at,
        )


def _prompt_tokens(asked: Asked) -> int:
    """About as many as it has, until its answer says so."""
    characters = len(asked.raw)
    if asked.request.messages:
        text = sum(len(message.content) for message in asked.request.messages)
        characters = min(characters, text + _MOST_BESIDE_TEXT)
    return characters // _CHARACTERS_PER_TOKEN
