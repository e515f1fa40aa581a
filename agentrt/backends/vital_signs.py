"""Whether a server lives, and whether it is still the one that it was."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from agentrt.backends.base import Backend
from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.server_kind import read_models
from agentrt.backends.wire import parse_json
from agentrt.errors import BackendError, RequestRejected

_KINDS = {
    "process_start_time_seconds": "started_at",
    "vllm:prompt_tokens_total": "tokens",
    "vllm:generation_tokens_total": "tokens",
    "sglang:prompt_tokens_total": "tokens",
    "sglang:generation_tokens_total": "tokens",
    "vllm:num_requests_running": "running",
    "sglang:num_running_reqs": "running",
    "vllm:kv_cache_usage_perc": "used_share",
    "vllm:gpu_cache_usage_perc": "used_share",
    "sglang:token_usage": "used_share",
}

_NEW_SHARE = 0.1
"""Of what the one before had worked on: a process that was started in between has less than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VitalSigns:
    """What a server says of itself that changes. None: it does not say.

    Attributes:
        models: What it serves.
        started_at: When its process began, on its clock.
        tokens: That it has worked on since; it never falls while the process lives.
        running: Calls that it works on.
        used_share: Of its KV cache, by calls that it works on.
    """

    models: frozenset[str] | None = None
    started_at: float | None = None
    tokens: float | None = None
    running: int | None = None
    used_share: float | None = None

    def is_same_process(self, later: VitalSigns) -> bool:
        """Whether `later` may be of the same process, as far as can be told.

        Where several processes answer at one address their figures take turns, and that is no reason
        to take any of them for new.
        """
        if self.started_at is not None and later.started_at is not None:
            return later.started_at <= self.started_at
        if self.tokens is not None and later.tokens is not None:
            return later.tokens >= self.tokens * _NEW_SHARE
        return True


async def vital_signs(backend: Backend, *, timeout_s: float) -> VitalSigns:
    """Ask whether `backend` lives. Backends in this process always do.

    Raises:
        BackendError: it does not answer, not in time, or says that it is not well.
    """
    if not isinstance(backend, OpenAIBackend):
        return VitalSigns()
    root = backend.connection.root_url
    try:
        await backend.connection.get(f"{root}/health", timeout_s=timeout_s)
    except RequestRejected as error:
        if error.status not in {404, 405}:
            raise
    models = await _models(backend, timeout_s)
    return replace(await _metrics(backend, timeout_s), models=models)


async def _models(backend: OpenAIBackend, timeout_s: float) -> frozenset[str] | None:
    try:
        page = await backend.connection.get(f"{backend.name}/models", timeout_s=timeout_s)
    except RequestRejected:
        return None
    listed = read_models(parse_json(page))
    return None if listed is None else frozenset(listed.names)


async def _metrics(backend: OpenAIBackend, timeout_s: float) -> VitalSigns:
    if not backend.kind.metrics_prefix:
        return VitalSigns()
    try:
        page = await backend.connection.get(
            f"{backend.connection.root_url}/metrics", timeout_s=timeout_s
        )
    except BackendError:
        return VitalSigns()
    return read_metrics(page.decode(errors="replace"))


def read_metrics(page: str) -> VitalSigns:
    """What a page of metrics says; of several engines behind one server, of all together."""
    found: dict[str, list[float]] = {}
    for line in page.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        kind = _KINDS.get(name)
        if kind is None:
            continue
        try:
            value = float(line.rpartition(" ")[2])
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            found.setdefault(kind, []).append(value)
    started, tokens = found.get("started_at"), found.get("tokens")
    running, used = found.get("running"), found.get("used_share")
    return VitalSigns(
        started_at=started[0] if started else None,
        tokens=sum(tokens) if tokens else None,
        running=round(sum(running)) if running else None,
        used_share=min(sum(used) / len(used), 1.0) if used else None,
    )
