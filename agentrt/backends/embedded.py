"""A model on this machine: llama.cpp in a process of its own, started and ended with the backend."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from agentrt.backends import models
from agentrt.backends.base import OnChunk
from agentrt.backends.embedded_drafting import Drafting
from agentrt.backends.embedded_engine import Engine, EngineSettings
from agentrt.backends.embedded_loading import Running, http_to, loaded, look_at, open_saves
from agentrt.backends.embedded_prefixes import ENGINES_CHOICE, Place, PrefixSharing
from agentrt.backends.embedded_requests import EngineRequests
from agentrt.backends.embedded_saves import SaveArea
from agentrt.backends.embedded_settings import EmbeddedSettings
from agentrt.backends.engine_pages import asked_of
from agentrt.backends.server_kind import LLAMACPP
from agentrt.backends.written_calls import HeldBackCalls, with_written_calls
from agentrt.errors import BackendError, BackendUnavailable, ModelUnavailable
from agentrt.ir.request import Capabilities, Chunk, Completion, Request

__all__ = ["EmbeddedBackend", "EmbeddedSettings"]


class EmbeddedBackend:
    """llama.cpp, loaded at the first use and gone after `aclose`.

    Answers are those of any other backend, with these differences: a request that names another
    model is refused; a JSON schema that the engine cannot turn into a grammar does not constrain the
    answer (whoever asked validates it in any case); a tool whose schema it cannot turn into one is
    shown with the names and plain types of its arguments.
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
        self._loading: asyncio.Task[Running] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._starting: Engine | None = None
        self._stop = threading.Event()
        self._in_flight: set[asyncio.Timeout] = set()
        self._requests = EngineRequests(self._model, self._settings, url=self.name)
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
        request = self._requests.prepared(request)
        offered = {tool.name for tool in request.tools}
        # Streamed in any case: the engine notices sooner that nobody is waiting any more.
        streamed = HeldBackCalls(on_chunk or _ignore, offered)
        async with self._until_closed(), self._place(running, request) as place:
            extra = {**request.extra, "id_slot": place.slot_id}
            request = replace(request, extra=extra)
            completion = await self._requests.complete(running.http, request, streamed)
        self.drafting.answered(request, completion)
        self._look_at_drafting(running)
        # What was computed for this request alone is no hit, though it came in two steps.
        usage = completion.usage
        cached = max(0, usage.cached_tokens - place.computed_tokens)
        completion = with_written_calls(completion, offered, turn=len(request.messages))
        streamed.finish(completion)
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
        await running.end()

    def _look_at_drafting(self, running: Running) -> None:
        """With nothing under way, have requests wait while the engine is timed or started anew."""
        is_idle = not self._in_flight and not self._stop.is_set()
        if not (self.drafting.wants_measuring or self.drafting.wants_turn) or not is_idle:
            return
        if loaded(self._loading) is not running:
            return  # the engine is another one already
        self._loading = asyncio.create_task(self._with_drafting_judged(running))
        self._loading.add_done_callback(look_at)

    async def _with_drafting_judged(self, running: Running) -> Running:
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
        try:
            engine = await self._start(running.saves)
        except ModelUnavailable:
            self.drafting.give_up()  # the engine ran as it was before
            return await self._load(None)
        http = http_to(engine, self._model)
        await running.sharing.move(http.connection, files)
        return replace(running, engine=engine, http=http)

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

    async def _running(self) -> Running:
        if self._stop.is_set():
            raise self._closed()
        loading, known = self._loading, loaded(self._loading)
        dead = None if known is None or known.engine.is_alive else known
        if loading is None or dead is not None:
            # A dead one's process is gone, and requests under way have failed: start anew.
            loading = self._loading = asyncio.create_task(self._load(dead))
            loading.add_done_callback(look_at)
        try:
            # Shared by all who wait: one of them being cancelled must not take it from the others.
            return await asyncio.shield(loading)
        except Exception as error:
            if self._loading is loading:
                self._loading = None  # The next call may find the model there.
            if self._stop.is_set():
                raise self._closed() from error
            raise

    async def _load(self, dead: Running | None) -> Running:
        if dead is not None:
            await dead.end()
        saves = open_saves(self.name)
        engine = await self._start(saves)
        http = http_to(engine, self._model)
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
        return Running(engine, http, saves, sharing, context_tokens)

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

    @asynccontextmanager
    async def _place(self, running: Running, request: Request) -> AsyncGenerator[Place]:
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


def _ignore(_chunk: Chunk) -> None:
    """Nobody asked for it."""
