"""What is at a backend's URL, found out by asking: for `agentrt doctor`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from agentrt.backends.base import Backend
from agentrt.backends.engine_features import asked_fields, asked_for_holds
from agentrt.backends.openai_http import HttpSettings, OpenAIBackend
from agentrt.backends.probe_fields import HOLDS_HINT, field_checks
from agentrt.backends.registry import connect
from agentrt.backends.server_kind import GENERIC, KINDS, ServerKind
from agentrt.errors import BackendError, ModelUnavailable
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Capabilities, Chunk, Completion, Message, Request
from agentrt.ir.tool import ToolSpec

_QUICK_S = 5.0
# A list of models takes no engine; a token may take one on a processor a while.
_LIST_S = 30.0
_TOKENS_S = 120.0
# Several KV blocks of any engine; no two words alike, so that it is about as many tokens.
_LONG_PROMPT = " ".join(f"{word}-{word * 7}" for word in range(60))
_SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}
_TOOL = ToolSpec(
    name="current_time",
    description="The time now.",
    parameters={"type": "object", "properties": {}},
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing asked, and how it came out. `detail` says what to do where it is not fine."""

    name: str
    is_ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `probe` found.

    Attributes:
        backend: Its name, without credentials.
        capabilities: As asserted by what was tried; None: nobody answers there.
        checks: In the order they were made.
    """

    backend: str
    capabilities: Capabilities | None = None
    checks: tuple[Check, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether a run could use it: it answers, and gives a completion where one was asked for."""
        return self.capabilities is not None and all(
            check.is_ok for check in self.checks if check.name in {"reachable", "completion"}
        )


async def probe(
    url: str,
    *,
    model: str | None = None,
    is_thorough: bool = True,
    settings: HttpSettings | None = None,
    environ: Mapping[str, str] | None = None,
) -> Report:
    """Ask the backend at `url` (see `agentrt.backends.registry`) what it is and can do.

    Thorough checks make six or seven tiny completions; the others cost the engine nothing. What goes wrong
    is told in the report.

    Raises:
        InputError: `url` is no backend's.
    """
    backend = connect(url, model=model, settings=settings, environ=environ)
    probing = _Probe(backend)
    try:
        await probing.run(is_thorough=is_thorough)
    finally:
        await backend.aclose()
    return Report(
        backend=backend.name,
        capabilities=probing.capabilities,
        checks=tuple(probing.checks),
    )


class _Probe:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.checks: list[Check] = []
        self.capabilities: Capabilities | None = None

    async def run(self, *, is_thorough: bool) -> None:
        async with self._check("reachable") as found:
            # The embedded engine loads its model meanwhile, and may have to download it.
            within_s = _LIST_S if isinstance(self._backend, OpenAIBackend) else None
            try:
                async with asyncio.timeout(within_s):
                    self.capabilities = await self._backend.capabilities()
            except TimeoutError:
                raise _NotFine(f"{self._backend.name} says nothing for {within_s:g} s") from None
            found.append("yes")
        if not self.checks[-1].is_ok:
            return
        if isinstance(self._backend, OpenAIBackend):
            await self._ask_server(self._backend)
            await self._ask_fields(self._backend, is_thorough=is_thorough)
        self._note_cache()
        self._note_model()
        if is_thorough and await self._completes():
            await self._streams()
            await self._reports_cached_tokens()
            await self._constrains()
            await self._calls_tools()
            await self._keeps_holds()

    @asynccontextmanager
    async def _check(self, name: str) -> AsyncGenerator[list[str]]:
        """A check that is fine if the block ends, with the texts it appends as its detail."""
        details: list[str] = []
        try:
            yield details
        except (BackendError, ModelUnavailable, _NotFine) as error:
            self.checks.append(Check(name, is_ok=False, detail=str(error)))
        else:
            self.checks.append(Check(name, is_ok=True, detail=", ".join(details)))

    def _learn(self, **found: object) -> None:
        self.capabilities = replace(self._found, **found)  # type: ignore[arg-type]  # fields of it

    def _note_model(self) -> None:
        capabilities = self._found
        names = capabilities.models
        is_clear = len(names) == 1
        detail = ", ".join(names[:20]) or "the server names none: say which with the model option"
        if len(names) > 1:
            detail += ": say which with the model option"
        if capabilities.context_tokens:
            detail += f" (context of {capabilities.context_tokens} tokens)"
        self.checks.append(Check("model", is_clear, detail))

    def _note_cache(self) -> None:
        capabilities = self._found
        if capabilities.kv_tokens is None:
            detail = "it does not say how much it has room for: Scheduling(kv_tokens=...) may"
        else:
            detail = f"{capabilities.kv_tokens:,} tokens"
            if capabilities.max_concurrency is not None:
                detail += f", {capabilities.max_concurrency:,} calls at once"
        self.checks.append(Check("kv_cache", capabilities.kv_tokens is not None, detail))

    async def _ask_server(self, backend: OpenAIBackend) -> None:
        connection = backend.connection
        kind = await _detect(backend)
        self._learn(server=kind.name)
        self.checks.append(
            Check("server", is_ok=True, detail=kind.name if kind is not GENERIC else "unknown kind")
        )
        async with self._check("health") as found:
            await connection.get(f"{connection.root_url}/health", timeout_s=_QUICK_S)
            found.append("/health")
        self._learn(metrics=False)
        async with self._check("metrics") as found:
            try:
                page = await connection.get(f"{connection.root_url}/metrics", timeout_s=_QUICK_S)
            except BackendError as error:
                raise _NotFine(f"{error}. {kind.metrics_hint}".rstrip(". ")) from error
            if kind.metrics_prefix and kind.metrics_prefix.encode() not in page:
                raise _NotFine(f"no {kind.metrics_prefix} metrics at /metrics")
            found.append("/metrics")
            self._learn(metrics=True)

    async def _ask_fields(self, backend: OpenAIBackend, *, is_thorough: bool) -> None:
        """What it takes of hints; one of no known kind is asked only where much is asked."""
        takes = self._found.takes
        if not backend.kind.tells_fields:
            if backend.kind is not GENERIC or not is_thorough:
                return
            model = next(iter(self._found.models), "")
            takes = replace(takes, body=await asked_fields(backend.connection, model=model))
            self._learn(takes=takes)
        self.checks += [Check(*told) for told in field_checks(takes)]

    async def _keeps_holds(self) -> None:
        backend, takes = self._backend, self._found.takes
        if not isinstance(backend, OpenAIBackend) or "vllm_xargs" not in takes.body:
            return
        async with self._check("holds") as found:
            model = next(iter(self._found.models), "")
            if not await asked_for_holds(backend.connection, model=model):
                raise _NotFine(f"not kept; {HOLDS_HINT}")
            found.append("kept")
            self._learn(takes=replace(takes, keeps_holds=True))

    @property
    def _found(self) -> Capabilities:
        assert self.capabilities is not None  # noqa: S101  only asked of who is reachable
        return self.capabilities

    async def _completes(self) -> bool:
        async with self._check("completion") as found:
            started = asyncio.get_running_loop().time()
            completion = await self._ask("Say: ok")
            took_s = asyncio.get_running_loop().time() - started
            found.append(f"{completion.usage.prompt_tokens} prompt tokens in {took_s:.2f} s")
        return self.checks[-1].is_ok

    async def _streams(self) -> None:
        self._learn(streaming=False)
        async with self._check("streaming") as found:
            chunks: list[Chunk] = []
            request = _request("Count to five.", max_tokens=16)
            await self._backend.complete(request, on_chunk=chunks.append)
            found.append(f"{len(chunks)} chunks")
            self._learn(streaming=True)

    async def _reports_cached_tokens(self) -> None:
        self._learn(reports_cached_tokens=False)
        async with self._check("cached_tokens") as found:
            await self._ask(_LONG_PROMPT)
            usage = (await self._ask(_LONG_PROMPT)).usage
            if usage.cached_tokens == 0:
                kind = _kind(self._backend)
                raise _NotFine(
                    f"none of {usage.prompt_tokens} repeated prompt tokens reported as cached. "
                    f"{kind.cached_tokens_hint}".rstrip(". ")
                )
            found.append(f"{usage.cached_tokens} of {usage.prompt_tokens} prompt tokens")
            self._learn(reports_cached_tokens=True)

    async def _constrains(self) -> None:
        self._learn(json_schema=False)
        async with self._check("json_schema") as found:
            request = replace(_request("Answer in JSON.", max_tokens=32), output_schema=_SCHEMA)
            completion = await self._backend.complete(request)
            if not (await self._backend.capabilities()).json_schema:
                raise _NotFine("refused; answers will be checked and asked for again")
            if not _fits(completion.text):
                raise _NotFine(f"accepted but not followed: {completion.text[:80]!r}")
            found.append("followed")
            self._learn(json_schema=True)

    async def _calls_tools(self) -> None:
        self._learn(tools=False)
        async with self._check("tools") as found:
            request = replace(_request("What time is it?", max_tokens=64), tools=(_TOOL,))
            completion = await self._backend.complete(request)
            found.append("called" if completion.tool_calls else "accepted, not called")
            self._learn(tools=True)

    async def _ask(self, prompt: str) -> Completion:
        return await self._backend.complete(_request(prompt, max_tokens=1))


class _NotFine(Exception):  # noqa: N818  not an error: a finding
    pass


async def _detect(backend: OpenAIBackend) -> ServerKind:
    """By who owns the models; else by a path that only one kind serves."""
    if backend.kind is not GENERIC:
        return backend.kind
    for kind in KINDS:
        try:
            await backend.connection.get(
                f"{backend.connection.root_url}{kind.info_path}", timeout_s=_QUICK_S
            )
        except BackendError:
            continue
        return kind
    return GENERIC


def _kind(backend: Backend) -> ServerKind:
    return backend.kind if isinstance(backend, OpenAIBackend) else GENERIC


def _request(prompt: str, *, max_tokens: int) -> Request:
    options = LLMOptions(max_tokens=max_tokens, temperature=0.0, timeout_s=_TOKENS_S)
    return Request(messages=(Message("user", prompt),), options=options)


def _fits(text: str) -> bool:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and isinstance(answer.get("ok"), bool)  # pyright: ignore[reportUnknownMemberType]
