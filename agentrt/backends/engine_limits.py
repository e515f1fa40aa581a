"""What a server says about its engine: how much KV it has room for, how many it works on at once."""

from __future__ import annotations

from dataclasses import replace

from agentrt.backends.base import Backend
from agentrt.backends.embedded_engine import BATCH_TOKENS
from agentrt.backends.engine_pages import EngineLimits, asked_of
from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.server_kind import GENERIC, KINDS

__all__ = ["EngineLimits", "engine_limits"]


async def engine_limits(backend: Backend) -> EngineLimits:
    """What the server at `backend` says; one of no known kind is asked for the pages of all.

    Raises:
        BackendError: nobody answers there at all.
    """
    capabilities = await backend.capabilities()
    context, at_once = capabilities.context_tokens, capabilities.max_concurrency
    if isinstance(backend, OpenAIBackend):
        kind = backend.kind
        found = await asked_of(backend.connection, *(KINDS if kind is GENERIC else (kind,)))
        return replace(found, context_tokens=found.context_tokens or context)
    if context is None or at_once is None or capabilities.kv_tokens != context * at_once:
        return EngineLimits(
            kv_tokens=capabilities.kv_tokens, max_running=at_once, context_tokens=context
        )
    return EngineLimits(
        kv_tokens=capabilities.kv_tokens,
        max_running=at_once,
        max_batch_tokens=BATCH_TOKENS,
        context_tokens=context,
        cache="slots",
    )
