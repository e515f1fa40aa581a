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
from agentrt.ir.engine_fields import PriorityOrder

_QUICK_S = 5.0
_MOST_DIGITS = 15
_FIGURES = (
    "cache_config_info",
    "cache_hit_rate",
    "gpu_cache_usage_perc",
    "kv_cache_usage_perc",
    "num_preemptions_total",
    "num_queue_reqs",
    "num_requests_running",
    "num_requests_waiting",
    "num_running_reqs",
    "prefix_cache_hits_total",
    "prefix_cache_queries_total",
    "token_usage",
)
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
    """`/metrics` of vLLM: `vllm:cache_config_info` has the blocks and their size.

    Newer versions say the tokens too, which with several kinds of layers is not blocks times size.
    """
    line = next((x for x in page.splitlines() if x.startswith("vllm:cache_config_info{")), "")
    labels = dict(_LABEL.findall(line))
    blocks, size = _count(labels.get("num_gpu_blocks")), _count(labels.get("block_size"))
    tokens = _count(labels.get("kv_cache_size_tokens"))
    if tokens is not None:
        return EngineLimits(kv_tokens=tokens)
    found = None if blocks is None or size is None else _count(blocks * size)
    return None if found is None else EngineLimits(kv_tokens=found)


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


@dataclass(frozen=True, slots=True)
class SglangOptions:
    """How an SGLang server was started, as far as hints go."""

    priority: PriorityOrder | None = None
    has_kv_events: bool = False


def read_sglang_options(page: str) -> SglangOptions:
    """`/get_server_info` of SGLang has all of its options; without the right one it takes no priority."""
    info = _object(page)
    order: PriorityOrder | None = None
    if info.get("enable_priority_scheduling") is True:
        is_low_first = info.get("schedule_low_priority_values_first") is True
        order = "lower_first" if is_low_first else "higher_first"
    return SglangOptions(order, bool(info.get("kv_events_config")))


def metric_names(page: str, prefix: str) -> tuple[str, ...]:
    """Which of the figures that tell of load and cache are on a `/metrics` page, without prefix."""
    there = {line.partition("{")[0].partition(" ")[0] for line in page.splitlines()}
    return tuple(name for name in _FIGURES if prefix and prefix + name in there)


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
    """A whole number from 1 on, written as one or as text, and of a size that tokens come in."""
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) <= _MOST_DIGITS
    ):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 1 <= value < 10**_MOST_DIGITS else None
