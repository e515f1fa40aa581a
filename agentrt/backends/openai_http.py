"""Any server that speaks OpenAI's chat format over HTTP."""

from __future__ import annotations

import asyncio

import httpx2

from agentrt.backends.base import OnChunk
from agentrt.backends.engine_features import features_of
from agentrt.backends.engine_pages import EngineLimits, asked_of
from agentrt.backends.hints import HintFields, joined
from agentrt.backends.http_connection import Exchange, HttpConnection, HttpSettings
from agentrt.backends.http_errors import message_in
from agentrt.backends.limits import RateLimiter, estimated_tokens
from agentrt.backends.prompt_marking import PromptMarking
from agentrt.backends.schema_acceptance import SchemaAcceptance
from agentrt.backends.sent_hints import SentHints
from agentrt.backends.server_kind import (
    GENERIC,
    ModelList,
    ServerKind,
    kind_of_host,
    read_models,
)
from agentrt.backends.wire import JsonObject, parse_completion, parse_json, request_body
from agentrt.backends.wire_stream import StreamedCompletion
from agentrt.errors import (
    BackendError,
    InvalidAnswer,
    RateLimited,
    RequestRejected,
)
from agentrt.ir.engine_fields import EngineFields
from agentrt.ir.request import Capabilities, Chunk, Completion, Request
from agentrt.ir.schema import Schema

__all__ = ["HttpSettings", "OpenAIBackend"]

# One event may be a whole tool call's arguments; httpx2 stops at 1 MiB unless told otherwise.
_MAX_EVENT_BYTES = 16 * 2**20
_LAST_BYTE_WITHIN_S = 0.25
_UNKNOWN_FIELD_STATUSES = {400, 422, 501}


class OpenAIBackend:
    """The server at `url` (`http://host:8000`, `https://api.openai.com/v1`).

    Hints of a request are sent where the server is known to take them, which `capabilities` finds out;
    one that refuses a request with hints and takes it without is sent none any more.

    Structured output is asked for with `response_format`. A request refused with it is made again
    without, and that schema is not sent again; from a server that takes none, none is asked for any
    more and `capabilities().json_schema` is False.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        settings: HttpSettings | None = None,
        kind: ServerKind | None = None,
    ) -> None:
        """Nothing is sent yet. Without `model` the one that the server serves is taken.

        `kind` is what the server is known to be; otherwise its list of models tells, or nothing.

        Raises:
            InputError: `url` is no HTTP URL, or it or the key cannot be used.
        """
        settings = settings or HttpSettings()
        self.connection = HttpConnection(url, api_key=api_key, settings=settings)
        if kind is None:
            kind = kind_of_host(self.connection.host)
        self._kind = kind
        self._model = model
        self._limiter = None if settings.limits is None else RateLimiter(settings.limits)
        self._listing = asyncio.Lock()
        self._models: ModelList | None = None
        self._engine: EngineLimits | None = None
        self._takes: EngineFields | None = None
        self._schemas = SchemaAcceptance()
        self._grammars = SchemaAcceptance()
        self._hints = SentHints(settings.dialects)
        self._takes_markers = settings.takes_markers
        self._marking = PromptMarking()

    def __repr__(self) -> str:
        return f"OpenAIBackend({self.name!r})"

    @property
    def name(self) -> str:
        return self.connection.url

    async def capabilities(self) -> Capabilities:
        """From what it lists and says of its engine, and what its kind does; `probe` asks more.

        Nothing that is asked reaches the engine.
        """
        models = await self._listed()
        kind = self.kind
        limits = await self._limits()
        takes_schema = not self._schemas.is_given_up
        notes = () if takes_schema else ("the server refused response_format",)
        return Capabilities(
            models=(self._model,) if self._model else models.names,
            json_schema=takes_schema,
            tools=True,
            streaming=True,
            reports_cached_tokens=kind.reports_cached_tokens,
            metrics=kind.has_metrics,
            max_concurrency=limits.max_running,
            # A list may say what the model was trained for; the engine's page has what it was started with.
            context_tokens=limits.context_tokens or models.context_tokens,
            kv_tokens=limits.kv_tokens,
            shares_prefixes=kind.shares_prefixes,
            server=kind.name,
            notes=notes,
            takes=await self._fields(models),
        )

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        model = request.options.model or self._model or await self._only_model()
        if self._limiter is not None:
            await self._admit(request)
        schema, known = self._constraint(request)
        if schema is None or not known.is_worth_sending(schema):
            return await self._attempt(request, model, on_chunk, has_schema=False)
        try:
            completion = await self._attempt(request, model, on_chunk, has_schema=True)
        except RequestRejected as refusal:
            if refusal.status not in _UNKNOWN_FIELD_STATUSES:
                raise
            try:
                completion = await self._attempt(request, model, on_chunk, has_schema=False)
            except RequestRejected:
                # It was not the schema: the first refusal is the honest one.
                raise refusal from None
            known.refused(schema, str(refusal))
            return completion
        known.accepted()
        return completion

    async def aclose(self) -> None:
        await self.connection.aclose()

    @property
    def kind(self) -> ServerKind:
        """What the server is known to be so far."""
        found = self._models.kind if self._models else None
        return self._kind or found or GENERIC

    async def _admit(self, request: Request) -> None:
        assert self._limiter is not None  # noqa: S101  the caller looked
        try:
            await self._limiter.admit(estimated_tokens(request))
        except RateLimited as error:
            error.url = self.name
            raise

    def _constraint(self, request: Request) -> tuple[Schema | None, SchemaAcceptance]:
        """What the answer is to fit, and what the server is known to make of such."""
        if request.output_schema is None and request.grammar is not None and self.kind.grammar_path:
            return {"grammar": request.grammar}, self._grammars
        return request.output_schema, self._schemas

    async def _attempt(
        self, request: Request, model: str, on_chunk: OnChunk | None, *, has_schema: bool
    ) -> Completion:
        fields = self._hints.fields(request, self._takes)
        body = self._body(request, model, is_streamed=on_chunk is not None, has_schema=has_schema)
        marked = self._marked(body, request)
        is_marked = marked != body
        try:
            completion = await self._exchanged(marked, fields, request, on_chunk)
        except RequestRejected as refusal:
            is_unknown = refusal.status in _UNKNOWN_FIELD_STATUSES
            if not is_unknown or not self._hints.is_in_question(fields, is_marked=is_marked):
                raise
            least = self._hints.least(request, self._takes)
            completion = await self._exchanged(body, least, request, on_chunk)
            self._hints.refused()
            return completion
        self._hints.taken(fields, is_marked=is_marked)
        return completion

    def _marked(self, body: JsonObject, request: Request) -> JsonObject:
        """With markers for the server's prompt cache, where it takes them and they pay."""
        takes = self.kind.takes_markers if self._takes_markers is None else self._takes_markers
        if not takes or self._hints.is_refused:
            return body
        return self._marking.marked(body, request, now=asyncio.get_running_loop().time())

    def _body(
        self, request: Request, model: str, *, is_streamed: bool, has_schema: bool
    ) -> JsonObject:
        return request_body(
            request,
            model=model,
            is_streamed=is_streamed,
            has_schema=has_schema,
            limit_field=self.kind.limit_field,
            grammar_path=self.kind.grammar_path,
        )

    async def _exchanged(
        self, body: JsonObject, fields: HintFields, request: Request, on_chunk: OnChunk | None
    ) -> Completion:
        exchanged = self.connection.exchange(
            "POST",
            f"{self.name}/chat/completions",
            joined(body, fields),
            timeout_s=request.options.timeout_s,
            headers=fields.headers,
        )
        if on_chunk is None:
            async with exchanged as exchange:
                return await self._read_whole(exchange)
        stream = StreamedCompletion(url=self.name, clock=asyncio.get_running_loop().time)
        try:
            async with exchanged as exchange:
                if not _is_event_stream(exchange.response):
                    # Asked for a stream, some servers answer in one piece.
                    completion = await self._read_whole(exchange)
                    on_chunk(Chunk(completion.text))
                    return completion
                await _read_stream(exchange, stream, on_chunk)
        except BackendError:
            # What goes wrong after the answer's end does not take it back.
            if not stream.is_whole:
                raise
        return stream.completion()

    async def _read_whole(self, exchange: Exchange) -> Completion:
        content = await self.connection.read(exchange)
        return parse_completion(parse_json(content), url=self.name)

    async def _only_model(self) -> str:
        names = (await self._listed()).names
        if len(names) == 1:
            return names[0]
        which = f"serves {', '.join(names[:20])}" if names else "does not say what it serves"
        raise RequestRejected(
            f"{self.name} {which}: say which model to ask for (the model option)", url=self.name
        )

    async def _listed(self) -> ModelList:
        """What `/v1/models` says, asked once; a server without it is one without a list."""
        async with self._listing:
            if self._models is None:
                self._models = await self._list_models()
            return self._models

    async def _limits(self) -> EngineLimits:
        """What the engine has room for, asked once."""
        async with self._listing:
            if self._engine is None:
                self._engine = await asked_of(self.connection, self.kind)
            return self._engine

    async def _fields(self, models: ModelList) -> EngineFields:
        """What it takes beside OpenAI's fields, asked once."""
        model = self._model or next(iter(models.names), "")
        async with self._listing:
            if self._takes is None:
                self._takes = await features_of(self.connection, self.kind, model=model)
            return self._takes

    async def _list_models(self) -> ModelList:
        try:
            content = await self.connection.get(f"{self.name}/models")
        except RequestRejected as error:
            if error.status in {404, 405} and self._model:
                return ModelList()
            raise
        models = read_models(parse_json(content))
        if models is None:
            shown = message_in(content[:20_000].decode(errors="replace"))
            raise InvalidAnswer(
                f"{self.name}/models is no list of models: {shown}", url=self.name, retryable=False
            )
        return models


async def _read_stream(exchange: Exchange, stream: StreamedCompletion, on_chunk: OnChunk) -> None:
    """Feed `stream` to its end."""
    events = httpx2.EventSource(exchange.response, max_event_size=_MAX_EVENT_BYTES)
    async for event in events:
        piece = stream.feed(event.data)
        if stream.is_done:
            # Reading on to the end is what makes the connection reusable.
            exchange.patience.end_within(_LAST_BYTE_WITHIN_S)
        else:
            on_chunk(Chunk(piece, stream.take_finished_calls()))


def _is_event_stream(response: httpx2.Response) -> bool:
    return "event-stream" in response.headers.get("content-type", "").lower()
