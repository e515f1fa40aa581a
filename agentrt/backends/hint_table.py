"""The one table of hints: what each kind of server calls what agentrt knows of a call. Pure.

Not in it, on purpose: vLLM's `kv_hints` and `retention_directives` (transported or proposed, nothing
acts on them yet), SGLang's `session_params` (an engine session with its own append-only rules), llm-d's
objectives (names that each operator makes up) and `x-session-token` (only an echo of its own), Dynamo's
`X-Dynamo-Session-Final` (documented for a request of its own, which no model answers), and
ThunderAgent's release, which is another request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentrt.ir.engine_fields import EngineFields
from agentrt.ir.hints import Hints
from agentrt.ir.schema import Json

Purpose: TypeAlias = Literal["isolation", "identity", "order", "load", "caching"]
"""What a hint is for. `caching` is advice whose worth shows in cached tokens; the others are not."""

_IN_MEMORY_S = 600.0
"""What OpenAI keeps in memory after the last use at the least: 5 to 10 minutes."""
_EPHEMERAL_S = 300.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One field or header.

    Attributes:
        path: Keys into the request's body, or a header's name alone.
        value: What to write there; None: nothing, for these hints at this server.
        is_asked: It is sent only to servers that were found to know `path[0]`.
    """

    purpose: Purpose
    path: tuple[str, ...]
    value: Callable[[Hints, EngineFields], Json]
    is_header: bool = False
    is_asked: bool = False


def _priority(hints: Hints, takes: EngineFields) -> int | None:
    if hints.priority is None or takes.priority is None:
        return None
    return -hints.priority if takes.priority == "lower_first" else hints.priority


def _objective_ms(hints: Hints, _: EngineFields) -> str | None:
    if hints.deadline_s is None:
        return None
    return str(max(1, round(hints.deadline_s * 1000)))


def _hold_s(hints: Hints, _: EngineFields) -> float | None:
    return 0.0 if hints.is_last else hints.hold_s


def _last(hints: Hints, _: EngineFields) -> int | None:
    return 1 if hints.is_last and hints.program_id else None


def _retention(hints: Hints, _: EngineFields) -> str | None:
    is_long = not hints.is_last and hints.hold_s is not None and hints.hold_s > _IN_MEMORY_S
    return "24h" if is_long else None


def _breakpoint(hints: Hints, _: EngineFields) -> Json:
    """Nothing where the context is not needed again: a write to that cache costs more than a read."""
    if hints.is_last or hints.hold_s == 0:
        return None
    is_long = hints.hold_s is not None and hints.hold_s > _EPHEMERAL_S
    return {"type": "ephemeral", "ttl": "1h" if is_long else "5m"}


def _program(hints: Hints, _: EngineFields) -> str | None:
    return hints.program_id or None


def _cache_key(hints: Hints, _: EngineFields) -> str | None:
    return hints.cache_key or hints.program_id or None


def _parent(hints: Hints, _: EngineFields) -> str | None:
    return hints.parent_id or None


def _tenant(hints: Hints, _: EngineFields) -> str | None:
    return hints.tenant or None


def _salt(hints: Hints, _: EngineFields) -> str | None:
    return hints.cache_salt or None


def _next_tool(hints: Hints, _: EngineFields) -> str | None:
    return hints.next_tool or None


def _raw_priority(hints: Hints, _: EngineFields) -> int | None:
    return hints.priority


def _completion_tokens(hints: Hints, _: EngineFields) -> int | None:
    return hints.completion_tokens


def _is_wasted(hints: Hints, _: EngineFields) -> bool | None:
    return True if hints.is_last or hints.hold_s == 0 else None


TABLE: Mapping[str, tuple[Entry, ...]] = {
    "vllm": (
        Entry("isolation", ("cache_salt",), _salt, is_asked=True),
        Entry("order", ("priority",), _priority, is_asked=True),
        # It goes into KV events and to connectors; the scheduler does nothing with it.
        Entry("identity", ("session_id",), _program, is_asked=True),
    ),
    "vllm-holds": (
        Entry("caching", ("vllm_xargs", "agentrt_program"), _program, is_asked=True),
        Entry("caching", ("vllm_xargs", "agentrt_hold_s"), _hold_s, is_asked=True),
        Entry("caching", ("vllm_xargs", "agentrt_last"), _last, is_asked=True),
    ),
    "vllm-continuum": (
        Entry("caching", ("vllm_xargs", "job_id"), _program, is_asked=True),
        Entry("caching", ("vllm_xargs", "this_func_call"), _next_tool, is_asked=True),
        Entry("caching", ("vllm_xargs", "is_last_step"), _last, is_asked=True),
    ),
    "sglang": (
        Entry("isolation", ("cache_salt",), _salt, is_asked=True),
        Entry("order", ("priority",), _priority, is_asked=True),
    ),
    "dynamo": (
        Entry("isolation", ("nvext", "cache_salt"), _salt),
        Entry("order", ("nvext", "agent_hints", "priority"), _raw_priority),
        Entry("load", ("nvext", "agent_hints", "osl"), _completion_tokens),
        Entry("identity", ("X-Dynamo-Session-ID",), _program, is_header=True),
        Entry("identity", ("X-Dynamo-Parent-Session-ID",), _parent, is_header=True),
    ),
    "llm-d": (
        Entry("order", ("x-llm-d-inference-fairness-id",), _tenant, is_header=True),
        Entry("order", ("x-llm-d-slo-ttft-ms",), _objective_ms, is_header=True),
        # As it was called before 0.8.
        Entry("order", ("x-gateway-inference-fairness-id",), _tenant, is_header=True),
        Entry("order", ("x-slo-ttft-ms",), _objective_ms, is_header=True),
    ),
    "lmcache": (
        # A tag is part of the key under which KV is stored: it must be nothing finer than a tenant.
        Entry("isolation", ("kv_transfer_params", "lmcache.tag.cache_salt"), _salt, is_asked=True),
        Entry("caching", ("kv_transfer_params", "lmcache.skip_save"), _is_wasted, is_asked=True),
    ),
    "production-stack": (Entry("identity", ("",), _program, is_header=True),),
    "thunderagent": (Entry("identity", ("program_id",), _program),),
    "openai": (
        Entry("caching", ("prompt_cache_key",), _cache_key, is_asked=True),
        Entry("caching", ("prompt_cache_retention",), _retention, is_asked=True),
    ),
    "anthropic": (Entry("caching", ("cache_control",), _breakpoint, is_asked=True),),
}
"""By dialect. Several may hold for one server: llm-d in front of vLLM understands both. `vllm-holds` is
`agentrt.backends.vllm_holds`; `vllm-continuum` is a plugin that works out its own TTLs. A header with
an empty name is the one that `EngineFields.session_header` says."""
