"""The pages on which servers say what their engines have room for. Reading them is pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from agentrt.backends.http_connection import HttpConnection
from agentrt.backends.json_shape import is_object
from agentrt.backends.server_kind import LLAMACPP, SGLANG, VLLM, ServerKind
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


async def asked_of(connection: HttpConnection, *kinds: ServerKind) -> EngineLimits:
    """What the first page says that a server of one of `kinds` has; nothing, where none does.

    A page that is not there, is damaged or does not come within seconds says nothing.
    """
    for kind in kinds:
        page = _PAGES.get(kind.name)
        if page is None:
            continue
        path, read = page
        try:
            content = await connection.get(f"{connection.root_url}{path}", timeout_s=_QUICK_S)
        except BackendError:
            continue
        found = read(content.decode(errors="replace"))
        if found is not None:
            return found
    return EngineLimits()


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


_PAGES: dict[str, tuple[str, Callable[[str], EngineLimits | None]]] = {
    VLLM.name: ("/metrics", read_vllm_metrics),
    SGLANG.name: ("/get_server_info", read_sglang_info),
    LLAMACPP.name: ("/props", read_llamacpp_props),
}


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
