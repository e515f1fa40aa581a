"""Requests in the form that the embedded engine takes, and what it was found not to take."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from agentrt.backends.base import OnChunk
from agentrt.backends.embedded_schema import constrainable, plain_parameters, safe_parameters
from agentrt.backends.embedded_settings import EmbeddedSettings
from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.wire import response_format, tool_json
from agentrt.errors import ContextOverflow, RequestRejected
from agentrt.ir.request import Completion, Request
from agentrt.ir.schema import Schema, content_hash
from agentrt.ir.tool import ToolSpec

_MOST_KEPT = 256


class EngineRequests:
    """For one backend; outlives its engines."""

    def __init__(self, model: str, settings: EmbeddedSettings, *, url: str) -> None:
        self._model = model
        self._settings = settings
        self._url = url
        self._refused_schemas = _Refused()
        self._refused_tools = _Refused()

    def prepared(self, request: Request) -> Request:
        """`request` with what the settings add, and without what the engine would refuse.

        Raises:
            RequestRejected: it is for another model.
        """
        options, settings = request.options, self._settings
        if options.model is not None and options.model != self._model:
            raise RequestRejected(
                f"the embedded engine serves {self._model}, not {options.model}", url=self._url
            )
        options = replace(
            options,
            model=None,
            max_tokens=settings.max_tokens if options.max_tokens is None else options.max_tokens,
            temperature=(
                settings.temperature if options.temperature is None else options.temperature
            ),
        )
        tools = tuple(map(self._usable, request.tools))
        return replace(request, options=options, tools=tools)

    async def complete(
        self, http: OpenAIBackend, request: Request, on_chunk: OnChunk
    ) -> Completion:
        """The answer to a prepared request, with as much of its schemas as the engine takes.

        Raises:
            BackendError: as `http` does.
        """
        try:
            return await self._constrained(http, request, on_chunk)
        except ContextOverflow:
            raise
        except RequestRejected:
            await self._look_at_tools(http, request.tools)
            tools = tuple(map(self._usable, request.tools))
            if tools == request.tools:
                raise
        return await self._constrained(http, replace(request, tools=tools), on_chunk)

    async def _constrained(
        self, http: OpenAIBackend, request: Request, on_chunk: OnChunk
    ) -> Completion:
        schema = request.output_schema
        # As a field of the body, so that a refusal is of this schema and not of all of them.
        request = replace(request, output_schema=None)
        slim = None if schema is None else constrainable(schema)
        if slim is None or slim in self._refused_schemas:
            return await http.complete(request, on_chunk=on_chunk)
        extra = {**request.extra, "response_format": response_format(slim)}
        try:
            return await http.complete(replace(request, extra=extra), on_chunk=on_chunk)
        except RequestRejected:
            completion = await http.complete(request, on_chunk=on_chunk)
            self._refused_schemas.add(slim)
            return completion

    async def _look_at_tools(self, http: OpenAIBackend, tools: tuple[ToolSpec, ...]) -> None:
        """Which of them the engine refuses: it makes a grammar of them to render any prompt."""
        url = f"{http.connection.root_url}/apply-template"
        for tool in tools:
            body = {"messages": [{"role": "user", "content": "a"}], "tools": [tool_json(tool)]}
            try:
                async with http.connection.exchange("POST", url, body) as exchange:
                    await http.connection.read(exchange)
            except RequestRejected:
                self._refused_tools.add(tool.parameters)

    def _usable(self, tool: ToolSpec) -> ToolSpec:
        safe = safe_parameters(tool.parameters)
        if safe in self._refused_tools:
            safe = plain_parameters(tool.parameters)
        return tool if safe == tool.parameters else replace(tool, parameters=safe)


class _Refused:
    """The schemas that were refused last."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, schema: Schema) -> bool:
        return bool(self._hashes) and content_hash(schema) in self._hashes

    def add(self, schema: Schema) -> None:
        self._hashes[content_hash(schema)] = None
        if len(self._hashes) > _MOST_KEPT:
            self._hashes.popitem(last=False)
