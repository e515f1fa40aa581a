"""Where the calls of a replay go: one OpenAI-compatible URL, as programs that know no scheduler see it."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from agentrt.backends.base import Backend, OnChunk
from agentrt.backends.http_connection import HttpSettings
from agentrt.backends.made_text import TextSizes, measure_sizes
from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.registry import connect
from agentrt.errors import BackendError, InputError, InvariantError, RequestRejected
from agentrt.ir.request import Capabilities, Completion, Request

SESSION_HEADER = "X-Session-ID"
_HTTP = re.compile(r"(?:(?:openai|vllm|sglang)\+)?https?://", re.ASCII)
_NOT_FOUND = 404
_NO_LIST = {_NOT_FOUND, 405}
_CONNECTIONS = 4096
_RELEASE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOptions:
    """What calls say beside their prompt.

    Attributes:
        model: The model to ask for; None: the one that is served.
        has_session_header: Each program names itself in `X-Session-ID`. Without it the server has
            nothing but the prompts to tell programs by.
        program_field: A field of the body in which each program names itself (`a.b` is in an object
            `a`); empty: none.
        release_path: Where a program's end is told (a POST of `program_field`), from the root of the
            server; empty: nowhere.
        fields: Further fields of every body.
        timeout_s: One attempt of a call, from sending it to its last byte.
    """

    model: str | None = None
    has_session_header: bool = False
    program_field: str = ""
    release_path: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    timeout_s: float = 600.0


_DEFAULTS = EndpointOptions()


class Endpoint(Protocol):
    """What a replay needs of one."""

    @property
    def url(self) -> str:
        """How errors and reports name it."""
        ...

    def backend(self, program_id: str) -> Backend:
        """Whom a program asks."""
        ...

    def fields(self, program_id: str) -> Mapping[str, Any]:
        """What its bodies say beside the prompt."""
        ...

    async def release(self, program_id: str) -> None:
        """The program has ended, or was given up."""
        ...


class HttpEndpoint:
    """An endpoint at a URL as `agentrt.backends.registry.connect` takes it.

    Programs that name themselves in a header have connections of their own, as programs have that
    are processes of their own.
    """

    def __init__(self, url: str, options: EndpointOptions = _DEFAULTS) -> None:
        """Nothing is sent yet.

        Raises:
            InputError: not the URL of an HTTP server.
        """
        if not _HTTP.match(url):
            # It may hold a key.
            raise InputError(
                f"a server at {url.partition(':')[0]}: is not asked over HTTP: give http://HOST[:PORT][/v1]"
            )
        self._given = url
        self._options = options
        self._model = options.model
        self._served: tuple[str, ...] = ()
        self._backend = self._connected()
        self._of_programs: dict[str, OpenAIBackend] = {}

    @property
    def url(self) -> str:
        return self._backend.name

    async def open(self) -> Capabilities:
        """Ask what is served there.

        Raises:
            BackendError: nobody answers, the model is not there, or several are and none was named.
        """
        self._model = None
        lister = self._connected()
        try:
            found = await lister.capabilities()
        except RequestRejected as error:
            if error.status not in _NO_LIST or self._options.model is None:
                raise
            found = Capabilities()
        finally:
            await lister.aclose()
        self._model = self._options.model or next(iter(found.models), None)
        if self._model is None or (len(found.models) > 1 and self._options.model is None):
            raise RequestRejected(
                f"{self.url} serves {_listed(found.models)}: say which model to ask for",
                url=self.url,
            )
        self._served = found.models
        self._backend = self._connected()
        return found

    async def sizes(self) -> TextSizes:
        """What text comes to at the server: a few requests, each of a token.

        Raises:
            BackendError: it fails, or does not count tokens.
        """
        name = f"sizes-{random.SystemRandom().getrandbits(32):08x}"
        try:
            return await measure_sizes(_Named(self.backend(name), self.fields(name)), _rng())
        except RequestRejected as error:
            # Some routers list a name that is none, so the list alone proves nothing.
            if error.status != _NOT_FOUND or self._model in self._served:
                raise
            raise RequestRejected(
                f"{self.url} does not serve {self._model!r}; it lists {_listed(self._served)}\n"
                "the URL ends where an OpenAI client's base URL does, as in http://HOST:PORT/v1",
                url=self.url,
                status=error.status,
            ) from error
        finally:
            await self.release(name)

    def backend(self, program_id: str) -> Backend:
        if not self._options.has_session_header:
            return self._backend
        if program_id not in self._of_programs:
            self._of_programs[program_id] = self._connected({SESSION_HEADER: program_id})
        return self._of_programs[program_id]

    def fields(self, program_id: str) -> Mapping[str, Any]:
        return {**self._options.fields, **self._naming(program_id)}

    async def release(self, program_id: str) -> None:
        """As `Endpoint`; a server that does not want to hear of it is no error."""
        of_program = self._of_programs.pop(program_id, None)
        if of_program is not None:
            await of_program.aclose()
        if self._options.release_path:
            connection = self._backend.connection
            url = connection.root_url + self._options.release_path
            body = dict(self._naming(program_id))
            with suppress(BackendError):
                async with connection.exchange("POST", url, body, timeout_s=_RELEASE_S) as exchange:
                    await connection.read(exchange)

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        for backend in [self._backend, *self._of_programs.values()]:
            await backend.aclose()
        self._of_programs.clear()

    def _naming(self, program_id: str) -> Mapping[str, Any]:
        if not self._options.program_field:
            return {}
        *outer, inner = self._options.program_field.split(".")
        value: dict[str, Any] = {inner: program_id}
        for name in reversed(outer):
            value = {name: value}
        return value

    def _connected(self, headers: Mapping[str, str] | None = None) -> OpenAIBackend:
        settings = HttpSettings(
            timeout_s=self._options.timeout_s,
            # What stands in front of engines may begin to answer long before they do.
            stall_timeout_s=self._options.timeout_s,
            max_connections=_CONNECTIONS,
            headers=headers or {},
        )
        backend = connect(self._given, model=self._model, settings=settings)
        if not isinstance(backend, OpenAIBackend):
            raise InvariantError(f"{backend.name} is not asked over HTTP")
        return backend


class _Named:
    """A backend whose requests all say the same beside their prompt."""

    def __init__(self, backend: Backend, fields: Mapping[str, Any]) -> None:
        self._backend = backend
        self._fields = fields

    @property
    def name(self) -> str:
        return self._backend.name

    async def capabilities(self) -> Capabilities:
        return await self._backend.capabilities()

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        named = replace(request, extra={**request.extra, **self._fields})
        return await self._backend.complete(named, on_chunk=on_chunk)

    async def aclose(self) -> None:
        await self._backend.aclose()


def _listed(models: tuple[str, ...]) -> str:
    return ", ".join(models[:20]) or "no model that it names"


def _rng() -> random.Random:
    # Not the same words each time: they would be found in a cache, and some proxies learn from that.
    return random.Random(random.SystemRandom().getrandbits(64))
