"""What a server says about its engine: how much KV it has room for, how many it works on at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from agentrt.backends.base import Backend
from agentrt.backends.embedded_engine import BATCH_TOKENS
from agentrt.backends.json_shape import is_object
from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.wire import parse_json
from agentrt.errors import BackendError

_QUICK_S = 5.0
_MOST_DIGITS = 15
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """None: the server does not say.

    Attributes:
        cache: Whether KV is shared by all sequences in blocks, or each slot has its own.
    """

    kv_tokens: int | None = None
    max_running: int | None = None
    max_batch_tokens: int | None = None
    context_tokens: int | None = None
    cache: Literal["paged", "slots"] = "paged"


async def engine_limits(backend: Backend) -> EngineLimits:
    """What the server at `backend` says. A page that is not there, or is damaged, says nothing.

    Raises:
        BackendError: nobody answers there at all.
    """
    capabilities = await backend.capabilities()
    context, at_once = capabilities.context_tokens, capabilities.max_concurrency
    if not isinstance(backend, OpenAIBackend):
        if context is None or at_once is None:
            return EngineLimits(max_running=at_once, context_tokens=context)
        return EngineLimits(
            kv_tokens=context * at_once,
            max_running=at_once,
            max_batch_tokens=BATCH_TOKENS,
            context_tokens=context,
            cache="slots",
        )
    for path, read in _PAGES:
        if not _may_have(backend, path):
            continue
        try:
            page = await backend.connection.get(
                f"{backend.connection.root_url}{path}", timeout_s=_QUICK_S
            )
        except BackendError:
            continue
        found = read(page.decode(errors="replace"))
        if found is not None:
            return _with_context(found, context)
    return EngineLimits(context_tokens=context)


def read_vllm_metrics(page: str) -> EngineLimits | None:
    """`/metrics` of vLLM: `vllm:cache_config_info` has the blocks and their size."""
    line = next((x for x in page.splitlines() if x.startswith("vllm:cache_config_info{")), "")
    labels = dict(_LABEL.findall(line))
    blocks, size = _count(labels.get("num_gpu_blocks")), _count(labels.get("block_size"))
    if blocks is None or size is None:
        return None
    return EngineLimits(kv_tokens=blocks * size)


def read_sglang_info(page: str) -> EngineLimits | None:
    """`/get_server_info` of SGLang."""
    info = _object(page)
    found = _count(info.get("max_total_num_tokens"))
    if found is None:
        return None
    return EngineLimits(
        kv_tokens=found,
        max_running=_count(info.get("max_running_requests")),
        max_batch_tokens=_count(info.get("chunked_prefill_size")),
    )


def read_llamacpp_props(page: str) -> EngineLimits | None:
    """`/props` of llama-server: `n_ctx` there is a slot's."""
    info = _object(page)
    slots = _count(info.get("total_slots"))
    settings = info.get("default_generation_settings")
    context = _count(settings.get("n_ctx")) if is_object(settings) else None
    if slots is None or context is None:
        return None
    return EngineLimits(
        kv_tokens=slots * context, max_running=slots, context_tokens=context, cache="slots"
    )


_PAGES: tuple[tuple[str, Callable[[str], EngineLimits | None]], ...] = (
    ("/metrics", read_vllm_metrics),
    ("/get_server_info", read_sglang_info),
    ("/props", read_llamacpp_props),
)


def _may_have(backend: OpenAIBackend, path: str) -> bool:
    """A server of a known kind is not asked for the pages of others."""
    kind = backend.kind.name
    return kind == "openai" or path in {
        "vllm": ("/metrics",),
        "sglang": ("/get_server_info",),
        "llama.cpp": ("/props",),
    }.get(kind, ())


def _with_context(found: EngineLimits, context: int | None) -> EngineLimits:
    return EngineLimits(
        kv_tokens=found.kv_tokens,
        max_running=found.max_running,
        max_batch_tokens=found.max_batch_tokens,
        context_tokens=found.context_tokens or context,
        cache=found.cache,
    )


def _object(page: str) -> dict[str, Any]:
    try:
        value = parse_json(page)
    except BackendError:
        return {}
    return value if is_object(value) else {}


def _count(value: object) -> int | None:
    """A whole number from 1 on, written as one or as text."""
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) <= _MOST_DIGITS
    ):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return None
    return value
