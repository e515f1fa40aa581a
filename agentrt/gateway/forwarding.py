"""`Forwarding`: one request to a replica, and its answer to the client, as often as it takes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from agentrt.backends.hints import HintFields
from agentrt.backends.http_errors import error_for
from agentrt.backends.passthrough import PassedAnswer, Passthrough
from agentrt.errors import BackendError, InvalidAnswer, RequestRejected, RunCancelled
from agentrt.gateway.answers import AnswerReader
from agentrt.gateway.asked import Asked
from agentrt.gateway.client_answer import ClientAnswer, RawHeaders
from agentrt.gateway.passed_headers import to_client, to_server
from agentrt.gateway.sent_body import body_to_send
from agentrt.gateway.services import Headers, Services
from agentrt.ir.hints import Hints
from agentrt.ir.request import Completion
from agentrt.runtime.pool import Replica

_SUCCESS = 2
_UNKNOWN_FIELD_STATUSES = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
_ABOUT_OUR_KEY = {HTTPStatus.UNAUTHORIZED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED}
_DONE = (b"data: [DONE]\n\n", b"data: [DONE]\r\n\r\n")
_EVENT_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")
_END_WITHIN_S = 1.0
"""How long a server may take to end a stream after it has said that this was all."""
_ROOM_WITHIN_S = 30.0
"""How long a client may hold a server's slot by reading slowly, once all that is kept for it is full."""


class Forwarding:
    """A `Forward` of one request.

    A streamed answer goes on to the client as it comes. Any other is kept until all of it is here,
    so that another replica can give it should this one be lost.

    Attributes:
        replica_id: Where it was sent last; empty: nowhere yet.
        program_id: What the servers are told of whose it is.
    """

    def __init__(
        self,
        services: Services,
        asked: Asked,
        *,
        headers: Headers,
        request_id: str,
        answer: ClientAnswer,
    ) -> None:
        self._services = services
        self._asked = asked
        self._headers = headers
        self._request_id = request_id
        self._answer = answer
        self._refused: tuple[BackendError, int, RawHeaders, bytes] | None = None
        self._url = ""
        self._passed = b""
        self.replica_id = ""
        self.program_id = ""

    async def __call__(self, replica: Replica, hints: Hints) -> Completion:
        """As `Forward` says.

        Raises:
            InvalidAnswer: the client has some of another answer already, or this one broke off.
        """
        if self._answer.has_begun:
            # Of no server's doing: another one than this has broken off.
            said = "the replica was lost after the client had some of its answer"
            raise InvalidAnswer(said, retryable=False)
        self.replica_id = replica.replica_id
        self.program_id = hints.program_id
        told = self._services.hinting(replica, hints)
        try:
            return await self._exchanged(replica, told)
        except RequestRejected as refusal:
            if refusal.status not in _UNKNOWN_FIELD_STATUSES:
                raise
            again = self._services.isolating(replica, hints)
            if self._is_wish_refused:
                self._asked = replace(self._asked, has_usage=True)
                again = told
            elif again == told:
                raise
        # It may be what was added that the server does not take, though it said that it knows it.
        completion = await self._exchanged(replica, again)
        if again != told:
            self._services.hints_refused(replica.replica_id)
        return completion

    @property
    def _is_wish_refused(self) -> bool:
        """Whether it is the usage that the server does not want to be asked for."""
        has_wish = self._asked.is_streamed and not self._asked.has_usage
        return has_wish and self._refused is not None and b"stream_options" in self._refused[-1]

    async def _exchanged(self, replica: Replica, told: HintFields) -> Completion:
        """Send it with `told` added, and the answer to the client."""
        body = body_to_send(self._asked, told)
        passthrough = self._services.passthrough(replica)
        headers: Mapping[str, str] = to_server(self._headers, request_id=self._request_id) | {
            name.lower(): value for name, value in told.headers.items()
        }
        self._url = passthrough.url
        url = f"{passthrough.url}/{self._asked.endpoint}"
        async with passthrough.exchange("POST", url, body, headers=headers) as passed:
            if passed.status // 100 != _SUCCESS:
                raise await self._refusal(passthrough, passed)
            reader = AnswerReader(self._asked)
            if passed.is_event_stream:
                if not await self._stream(passed, reader, replica):
                    # A task of its own: not all that waits for the answer wakes up with each piece.
                    await asyncio.create_task(self._stream(passed, reader, replica))
            else:
                await self._keep(passed, reader, replica)
            return reader.completion()

    @property
    def is_amid_event(self) -> bool:
        """Whether the client has some of an event, and not its end."""
        return bool(self._passed) and not self._passed.endswith(_EVENT_ENDS)

    def give_refusal(self, error: BaseException) -> bool:
        """Give the client what the server said, if `error` came of that; False: it did not."""
        if self._refused is None or self._refused[0] is not error:
            return False
        _, status, headers, body = self._refused
        self._answer.begin(status, headers)
        self._answer.end(body)
        return True

    async def _refusal(self, passthrough: Passthrough, passed: PassedAnswer) -> BackendError:
        body = passthrough.redacted(await passed.read())
        said = body.decode(errors="replace")
        error = error_for(passed.status, said, url=passthrough.url, headers=passed.text_headers)
        # That the gateway's own key is wrong, or its address, is nothing that the client could mend.
        if passed.status >= HTTPStatus.BAD_REQUEST and passed.status not in _ABOUT_OUR_KEY:
            headers = to_client(passed.headers, request_id=self._request_id)
            headers.append((b"content-length", str(len(body)).encode()))
            self._refused = (error, passed.status, headers, body)
        return error

    async def _stream(self, passed: PassedAnswer, reader: AnswerReader, replica: Replica) -> bool:
        """Pass it on, to its first token, or from there to its end: whether that has come."""
        answer = self._answer
        has_begun = reader.has_begun
        while piece := await passed.piece():
            for_client = reader.feed(piece)
            is_last = _is_last(piece) and reader.is_whole
            if is_last:
                for_client += reader.end()
            if for_client:
                self._begin(passed)
                self._passed = for_client
                # Clients may go as soon as they have read that this is all: they have the answer.
                answer.end(for_client) if is_last else answer.add(for_client)
            is_first = not has_begun and reader.has_begun
            if is_first:
                await asyncio.sleep(0)  # the client has its first token, and then others hear of it
                replica.first_token()
            if is_last and for_client:
                await passed.read_out(_END_WITHIN_S)
                return True
            if answer.is_full:
                await self._room()
            if is_first:
                return False
        rest = reader.end()
        is_lost = not reader.is_whole and reader.is_understood and reader.error is None
        if is_lost or not (answer.status or rest or reader.error):
            raise InvalidAnswer("the stream ended before the answer did", url=self._url)
        self._begin(passed)
        answer.end(rest)
        if reader.error is not None:
            raise reader.error  # the client has it in the server's words
        return True

    def _begin(self, passed: PassedAnswer) -> None:
        if not self._answer.status:
            headers = to_client(passed.headers, request_id=self._request_id)
            self._answer.begin(passed.status, headers)

    async def _room(self) -> None:
        try:
            async with asyncio.timeout(_ROOM_WITHIN_S):
                await self._answer.room()
        except TimeoutError:
            # Not a `BackendError`: the server has done nothing wrong.
            raise RunCancelled("the client reads its answer much slower than it is made") from None

    async def _keep(self, passed: PassedAnswer, reader: AnswerReader, replica: Replica) -> None:
        body = await passed.read()
        for_client = reader.feed(body) + reader.end()
        if not reader.is_understood and not _is_json(body):
            raise InvalidAnswer("the answer is not JSON", url=self._url)
        replica.first_token()
        headers = to_client(passed.headers, request_id=self._request_id)
        headers.append((b"content-length", str(len(for_client)).encode()))
        self._answer.begin(passed.status, headers)
        self._answer.end(for_client)


def _is_last(piece: bytes) -> bool:
    """Whether it ends with the event that says so, and nothing of that is still to come."""
    return piece.endswith(_DONE)


def _is_json(body: bytes) -> bool:
    """Whether it is something that only we do not know."""
    try:
        json.loads(body)
    except ValueError:
        return False
    except RecursionError:
        return True
    return True
