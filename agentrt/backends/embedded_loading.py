"""What there is of an embedded engine once it is loaded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agentrt.backends.embedded_engine import Engine
from agentrt.backends.embedded_prefixes import PrefixSharing
from agentrt.backends.embedded_saves import SaveArea, open_save_area
from agentrt.backends.openai_http import HttpSettings, OpenAIBackend
from agentrt.backends.server_kind import LLAMACPP
from agentrt.errors import BackendUnavailable


@dataclass(frozen=True, slots=True)
class Running:
    """An engine and what belongs to it.

    Attributes:
        context_tokens: Of each slot, as it turned out.
    """

    engine: Engine
    http: OpenAIBackend
    saves: SaveArea
    sharing: PrefixSharing
    context_tokens: int

    async def end(self) -> None:
        """Nothing of it is left."""
        await self.http.aclose()
        await asyncio.to_thread(self.engine.close)
        self.saves.close()


def loaded(loading: asyncio.Task[Running] | None) -> Running | None:
    """What was loaded, if it was; its engine may have ended by itself since."""
    if loading is None or not loading.done() or loading.cancelled() or loading.exception():
        return None
    return loading.result()


def look_at(loading: asyncio.Task[Running]) -> None:
    """Whoever waited was told; if all of them were cancelled, nobody needs to be."""
    if not loading.cancelled():
        loading.exception()


def http_to(engine: Engine, model: str) -> OpenAIBackend:
    """To ask the engine."""
    return OpenAIBackend(
        engine.url,
        model=model,
        api_key=engine.api_key,
        # Nothing is sent while it works on a long prompt, and it is not going to hang up.
        settings=HttpSettings(timeout_s=86_400.0, stall_timeout_s=86_400.0),
        kind=LLAMACPP,
    )


def open_saves(name: str) -> SaveArea:
    """Where slots are saved.

    Raises:
        BackendUnavailable: the system has no room for it.
    """
    try:
        return open_save_area()
    except OSError as error:
        raise BackendUnavailable(
            f"{name} has nowhere to save what slots hold: {error}", url=name, retryable=False
        ) from error
