"""The vLLM servers of `tests.benchmarks.gateway_real`: what they say of themselves, and when they are idle."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from agentrt.backends.base import Backend
from agentrt.runtime.workload_endpoint import HttpEndpoint

IDLE_S = 120.0
_SAMPLE = re.compile(r"^([a-zA-Z_:]+)(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.MULTILINE)
_AT_WORK = ("vllm:num_requests_running", "vllm:num_requests_waiting")
_LOOKED_UP, _FOUND = "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total"


@dataclass(frozen=True, slots=True)
class Servers:
    """By their root URLs."""

    roots: Sequence[str]

    async def idle(self) -> None:
        """Until no server works on anything.

        Raises:
            TimeoutError: one still does after two minutes.
        """
        async with asyncio.timeout(IDLE_S):
            while await self._sum(*_AT_WORK) > 0:  # noqa: ASYNC110  the event is elsewhere
                await asyncio.sleep(0.5)

    async def computed_tokens(self) -> float:
        """Prompt tokens computed since they were started, by their own count, whoever asked for them."""
        return await self._sum(_LOOKED_UP) - await self._sum(_FOUND)

    async def _sum(self, *names: str) -> float:
        total = 0.0
        async with httpx2.AsyncClient(trust_env=False, timeout=30.0) as client:
            for root in self.roots:
                page = (await client.get(f"{root}/metrics")).text
                total += sum(float(value) for name, value in _SAMPLE.findall(page) if name in names)
        return total


class Dealt:
    """Several endpoints, and programs dealt out to them in turn, each staying where it is."""

    def __init__(self, endpoints: Sequence[HttpEndpoint]) -> None:
        self._endpoints = endpoints

    @property
    def url(self) -> str:
        return " ".join(endpoint.url for endpoint in self._endpoints)

    def backend(self, program_id: str) -> Backend:
        return self._of(program_id).backend(program_id)

    def fields(self, program_id: str) -> Mapping[str, Any]:
        return self._of(program_id).fields(program_id)

    async def release(self, program_id: str) -> None:
        await self._of(program_id).release(program_id)

    def _of(self, program_id: str) -> HttpEndpoint:
        # A replay's ids end in the program's number.
        return self._endpoints[int(program_id.rpartition("-")[2]) % len(self._endpoints)]
