"""A model on this machine: llama.cpp in a process of its own, started and ended with the backend."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from agentrt.backends import models
from agentrt.backends.base import OnChunk
from agentrt.backends.embedded_drafting import Drafting
from agentrt.backends.embedded_engine import Engine, EngineSettings
from agentrt.backends.embedded_prefixes import ENGINES_CHOICE, Place, PrefixSharing
from agentrt.backends.embedded_saves import SaveArea, open_save_area
from agentrt.backends.embedded_schema import constrainable
from agentrt.backends.embedded_settings import EmbeddedSettings
from agentrt.backends.engine_pages import asked_of
from agentrt.backends.openai_http import HttpSettings, OpenAIBackend
from agentrt.backends.server_kind import LLAMACPP
from agentrt.backends.wire import response_format
from agentrt.backends.written_calls import with_written_calls
from agentrt.errors import BackendError, BackendUnavailable, RequestRejected
from agentrt.ir.request import Capabilities, Chunk, Completion, Request
from agentrt.ir.schema import content_hash

__all__ = ["EmbeddedBackend", "EmbeddedSettings"]

_REFUSED_SCHEMAS_KEPT = 256


class EmbeddedBackend:
    """llama.cpp, loaded at the first use and gone after `aclose`.

    Answers are those of any other backend, with these differences: a request that names another
    model is refused; a JSON schema that the engine cannot turn into a grammar does not constrain the
    answer (whoever asked validates it in any case).
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        settings: EmbeddedSettings | None = None,
        on_progress: models.OnProgress | None = None,
    ) -> None:
        """Nothing is loaded or downloaded yet.

        Args:
            model: A name of the catalogue, `hf:owner/repo[:file]` or the path of a GGUF file; None:
                the default model.
            settings: How the engine is set up.
            on_progress: Told (bytes so far, bytes in all or None) while a model is downloaded, from
                another thread.
        """
        self._model = model or models.DEFAULT_MODEL
        self._settings = settings or EmbeddedSettings()
        self._on_progress = on_progress
        self._slots = asyncio.Semaphore(self._settings.slots)
        self._loading: asyncio.Task[_Running] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._starting: Engine | None = None
        self._stop = threading.Event()
        self._in_flight: set[asyncio.Timeout] = set()
        self._refused_schemas: OrderedDict[str, None] = OrderedDict()
        self.drafting = Drafting(self._settings.drafting)
        """What it goes by where drafts are switched on by measurement."""

    def __repr__(self) -> str:
        return f"EmbeddedBackend({self._model!r})"

    @property
    def name(self) -> str:
        return f"local:{self._model}"

    async def capabilities(self) -> Capabilities:
        """Loads the model.

        Raises:
            ModelUnavailable: it is not here and cannot be had, or is no model.
            BackendUnavailable: the engine is not installed, or was closed.
        """
        running = await self._running()
        return Capabilities(
            models=(self._model,),
            json_schema=True,
            tools=True,
            streaming=True,
            reports_cached_tokens=True,
            max_concurrency=self._settings.slots,
            context_tokens=running.context_tokens,
            kv_tokens=self._settings.slots * running.context_tokens,
            server=f"llama.cpp (xllamacpp {running.engine.version})",
        )

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        running = await self._running()
        request = self._prepared(request)
        async with self._until_closed(), self._place(running, request) as place:
            extra = {**request.extra, "id_slot": place.slot_id}
            request = replace(request, extra=extra)
            completion = await self._complete(running.http, request, on_chunk or _ignore)
        self.drafting.answered(request, completion)
        self._look_at_drafting(running)
        # What was computed for this request alone is no hit, though it came in two steps.
        usage = completion.usage
        cached = max(0, usage.cached_tokens - place.computed_tokens)
        offered = {tool.name for tool in request.tools}
        completion = with_written_calls(completion, offered, turn=len(request.messages))
        return replace(completion, model=self._model, usage=replace(usage, cached_tokens=cached))

    async def aclose(self) -> None:
        """Break off what is under way, stop the engine, free its memory. Idempotent."""
        self._stop.set()
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)  # who stops waiting for the end does not undo it

    async def _close(self) -> None:
        loading, self._loading = self._loading, None
        if loading is None:
            return
        if self._starting is not None:
            await asyncio.to_thread(self._starting.close)  # it may load for minutes, or for ever
        for scope in self._in_flight:
            scope.reschedule(0.0)
        for _ in range(self._settings.slots):  # until all of them are out
            await self._slots.acquire()
        try:
            running = await loading
        except Exception:  # noqa: BLE001  it was never loaded; who asked for it was told why
            return
        await self._end(running)

    def _look_at_drafting(self, running: _Running) -> None:
        """With nothing under way, have requests wait while the engine is timed or started anew."""
        is_idle = not self._in_flight and not self._stop.is_set()
        if not (self.drafting.wants_measuring or self.drafting.wants_turn) or not is_idle:
            return
        if _loaded(self._loading) is not running:
            return  # the engine is another one already
        self._loading = asyncio.create_task(self._with_drafting_judged(running))
        self._loading.add_done_callback(_look_at)

    async def _with_drafting_judged(self, running: _Running) -> _Running:
        """The engine, another one where it drafts now or does no more."""
        try:
            async with self._until_closed():
                if self.drafting.wants_measuring:
                    async with running.sharing.spare_slot() as slot_id:
                        await self.drafting.measure(running.http.connection, slot_id)
                if not self.drafting.wants_turn:
                    return running
                files = await running.sharing.put_by()
        except BackendError:
            return running  # it was closed; or it has died, and the next request starts another
        await running.http.aclose()
        await asyncio.to_thread(running.engine.close)
        self.drafting.turn()
        engine = await self._start(running.saves)
        http = self._http(engine)
        await running.sharing.move(http.connection, files)
        return replace(running, engine=engine, http=http)

    async def _end(self, running: _Running) -> None:
        await running.http.aclose()
        await asyncio.to_thread(running.engine.close)
        running.saves.close()

    async def _complete(
        self, http: OpenAIBackend, request: Request, on_chunk: OnChunk
    ) -> Completion:
        schema = request.output_schema
        # As a field of the body, so that a refusal is of this schema and not of all of them.
        request = replace(request, output_schema=None)
        slim = None if schema is None else constrainable(schema)
        key = None if slim is None else content_hash(slim)
        if slim is None or key is None or key in self._refused_schemas:
            return await http.complete(request, on_chunk=on_chunk)
        extra = {**request.extra, "response_format": response_format(slim)}
        try:
            return await http.complete(replace(request, extra=extra), on_chunk=on_chunk)
        except RequestRejected:
            completion = await http.complete(request, on_chunk=on_chunk)
            self._refused_schemas[key] = None
            if len(self._refused_schemas) > _REFUSED_SCHEMAS_KEPT:
                self._refused_schemas.popitem(last=False)
            return completion

    def _prepared(self, request: Request) -> Request:
        options = request.options
        if options.model is not None and options.model != self._model:
            raise RequestRejected(
                f"the embedded engine serves {self._model}, not {options.model}", url=self.name
            )
        settings = self._settings
        options = replace(
            options,
            model=None,
            max_tokens=settings.max_tokens if options.max_tokens is None else options.max_tokens,
            temperature=(
                settings.temperature if options.temperature is None else options.temperature
            ),
        )
        return replace(request, options=options)

    @asynccontextmanager
    async def _until_closed(self) -> AsyncGenerator[None]:
        """A block that `aclose` breaks off."""
        try:
            async with asyncio.timeout(None) as scope:
                if self._stop.is_set():
                    raise self._closed()
                self._in_flight.add(scope)
                try:
                    yield
                finally:
                    self._in_flight.discard(scope)
        except TimeoutError as error:
            raise self._closed() from error

    async def _running(self) -> _Running:
        if self._stop.is_set():
            raise self._closed()
        loading, loaded = self._loading, _loaded(self._loading)
        dead = None if loaded is None or loaded.engine.is_alive else loaded
        if loading is None or dead is not None:
            # A dead one's process is gone, and requests under way have failed: start anew.
            loading = self._loading = asyncio.create_task(self._load(dead))
            loading.add_done_callback(_look_at)
        try:
            # Shared by all who wait: one of them being cancelled must not take it from the others.
            return await asyncio.shield(loading)
        except Exception as error:
            if self._loading is loading:
                self._loading = None  # The next call may find the model there.
            if self._stop.is_set():
                raise self._closed() from error
            raise

    async def _load(self, dead: _Running | None) -> _Running:
        if dead is not None:
            await self._end(dead)
        try:
            saves = open_save_area()
        except OSError as error:
            raise BackendUnavailable(
                f"{self.name} has nowhere to save what slots hold: {error}",
                url=self.name,
                retryable=False,
            ) from error
        engine = await self._start(saves)
        http = self._http(engine)
        # A slot has no more than the model was trained for, whatever it was asked for.
        limits = await asked_of(http.connection, LLAMACPP)
        sharing = PrefixSharing(
            http.connection,
            saves,
            free=self._slots,
            slots=self._settings.slots,
            max_bytes=self._settings.saved_prefixes_mib * 2**20,
            remembers=self._settings.cache_ram_mib > 0,
        )
        context_tokens = limits.context_tokens or self._settings.context_tokens
        return _Running(engine, http, saves, sharing, context_tokens)

    async def _start(self, saves: SaveArea) -> Engine:
        """An engine that saves to `saves`; closes that if there is none to be had."""
        clock = asyncio.get_running_loop().time
        try:
            path = await asyncio.to_thread(self._get_model)
            began_s = clock()
            settings = self._engine_settings(path, saves)
            engine = await asyncio.to_thread(Engine, settings, on_process=self._on_process)
        except BaseException:
            saves.close()
            raise
        finally:
            self._starting = None
        self.drafting.started(took_s=clock() - began_s)
        return engine

    def _on_process(self, engine: Engine) -> None:
        """From the thread that loads it: `aclose` can end it from now on."""
        self._starting = engine
        if self._stop.is_set():
            raise self._closed()

    def _http(self, engine: Engine) -> OpenAIBackend:
        return OpenAIBackend(
            engine.url,
            model=self._model,
            api_key=engine.api_key,
            # Nothing is sent while it works on a long prompt, and it is not going to hang up.
            settings=HttpSettings(timeout_s=86_400.0, stall_timeout_s=86_400.0),
            kind=LLAMACPP,
        )

    @asynccontextmanager
    async def _place(self, running: _Running, request: Request) -> AsyncGenerator[Place]:
        if self._settings.share_prefixes:
            async with running.sharing.place(request) as place:
                yield place
        else:
            async with self._slots:
                yield ENGINES_CHOICE

    def _engine_settings(self, path: Path, saves: SaveArea) -> EngineSettings:
        settings = self._settings
        return EngineSettings(
            model=path,
            slots=settings.slots,
            context_tokens=settings.context_tokens,
            threads=settings.threads,
            cache_ram_mib=settings.cache_ram_mib,
            save_folder=saves.folder,
            draft_tokens=self.drafting.draft_tokens,
        )

    def _get_model(self) -> Path:
        cache_dir = self._settings.cache_dir
        if self._settings.pull_if_missing:
            return models.pull(self._model, on_progress=self._progress, cache_dir=cache_dir)
        return models.resolve(self._model, cache_dir=cache_dir)

    def _progress(self, done: int, total: int | None) -> None:
        if self._stop.is_set():
            raise self._closed()
        if self._on_progress is not None:
            self._on_progress(done, total)

    def _closed(self) -> BackendUnavailable:
        return BackendUnavailable(f"{self.name} was closed", url=self.name, retryable=False)


@dataclass(frozen=True, slots=True)
class _Running:
    engine: Engine
    http: OpenAIBackend
    saves: SaveArea
    sharing: PrefixSharing
    context_tokens: int


def _loaded(loading: asyncio.Task[_Running] | None) -> _Running | None:
    """What was loaded, if it was; its engine may have ended by itself since."""
    if loading is None or not loading.done() or loading.cancelled() or loading.exception():
        return None
    return loading.result()


def _look_at(loading: asyncio.Task[_Running]) -> None:
    """Whoever waited was told; if all of them were cancelled, nobody needs to be."""
    if not loading.cancelled():
        loading.exception()


def _ignore(_chunk: Chunk) -> None:
    """Streamed all the same: the engine notices sooner that nobody is waiting any more."""
