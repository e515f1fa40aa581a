"""One replay of `tests.benchmarks.gateway_real`: what is replayed, and what it leaves."""

from __future__ import annotations

import math
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from agentrt.backends.made_text import TextSizes
from agentrt.clock import SystemClock
from agentrt.errors import BackendError
from agentrt.ir.workload import Workload
from agentrt.runtime.workload_client import ClientOptions, replay_as_client
from agentrt.runtime.workload_endpoint import HttpEndpoint
from agentrt.runtime.workload_figures import figures_of
from agentrt.runtime.workload_least import least_prefill_tokens
from agentrt.simulator.workloads import generate, live_blocks, preset, with_waits_cut
from agentrt.simulator.workloads.pressure import common_blocks
from tests.benchmarks.gateway_real_contenders import Contender, standing
from tests.benchmarks.gateway_real_report import Row
from tests.benchmarks.gateway_real_servers import Dealt, Servers

_MANY = 400
_WARM_PROGRAMS = 2
# At half the cache only a few programs fit: so many follow one another, or the mean is of three.
_LEAST_PROGRAMS = 12
_EVERY_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Programs that together need `times` the caches.

    Attributes:
        made: The preset that they are made by.
        at_once: How many there are at any time; None: all of them, from the start.
    """

    made: str
    times: float
    kv_tokens: int
    workload: Workload
    at_once: int | None = None

    @property
    def words(self) -> str:
        """What rows of the same replays have in common."""
        count, made = len(self.workload.programs), " ".join(self.workload.modelled)
        return (
            f"{self.kv_tokens} KV tokens, {count} programs, {self.at_once or 'all'} at once. {made}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all replays share."""

    servers: Servers
    endpoints: Sequence[HttpEndpoint]
    sizes: TextSizes
    limit_s: float
    logs: Path
    nonce: str


def load_of(
    made: str,
    times: float,
    *,
    kv_tokens: int,
    seed: int,
    programs: int | None = None,
    longest_tool_s: float = math.inf,
) -> Load:
    """As many programs as fill the caches `times` over when each is at its last turn."""
    many = generate(preset(made, programs=_MANY), seed=seed)
    if longest_tool_s < math.inf:
        many = with_waits_cut(many, most_s=longest_tool_s)
    if programs is None:
        shared, _ = common_blocks(many)
        needed, programs = times * kv_tokens / many.block_tokens - shared, 0
        while needed > 0 and programs < _MANY:
            needed -= max(live_blocks(many.programs[programs])) - shared
            programs += 1
    if times > 1.0:
        return Load(
            made=made,
            times=times,
            kv_tokens=kv_tokens,
            workload=replace(many, programs=many.programs[:programs]),
        )
    count = max(_LEAST_PROGRAMS, 4 * programs)
    workload = replace(many, programs=many.programs[:count])
    # One program too many and it would not be half the cache.
    return Load(
        made=made,
        times=times,
        kv_tokens=kv_tokens,
        workload=workload,
        at_once=max(1, programs - 1),
    )


async def measured(setting: Setting, load: Load, contender: Contender, repetition: int) -> Row:
    """One replay; what goes wrong on the way is in the row."""
    row = Row(
        made=load.made,
        load=load.times,
        words=load.words,
        contender=contender.name,
        repetition=repetition,
        figures=None,
        load_average=os.getloadavg()[0],
    )
    name = re.sub(r"\W+", "-", contender.name)
    log = setting.logs / f"{load.times:g}-{name}-{repetition + 1}.log"
    try:
        await setting.servers.idle()
        async with standing(contender, log) as url:
            return await _replayed(setting, load, contender, row, url)
    except (BackendError, RuntimeError, TimeoutError) as error:
        return replace(row, error=f"{type(error).__name__}: {error}")


async def _replayed(
    setting: Setting, load: Load, contender: Contender, row: Row, url: str | None
) -> Row:
    options = ClientOptions(
        programs_at_once=load.at_once,
        cap=contender.cap,
        salt=f"{setting.nonce}{load.times:g}-{row.repetition}-{secrets.token_hex(4)}",
        limit_s=setting.limit_s,
        timeout_s=setting.limit_s,
    )
    async with AsyncExitStack() as stack:
        if url is None:
            endpoint: Dealt | HttpEndpoint = Dealt(setting.endpoints)
        else:
            endpoint = HttpEndpoint(url, contender.options)
            stack.push_async_callback(endpoint.aclose)
            await endpoint.open()
        before = await setting.servers.computed_tokens()
        served = await replay_as_client(
            load.workload,
            endpoint,
            setting.sizes,
            clock=SystemClock(),
            options=options,
            on_finished=_counting(contender.name),
        )
    await setting.servers.idle()
    return replace(
        row,
        figures=figures_of(served, least_tokens=least_prefill_tokens(load.workload)),
        server_tokens=await setting.servers.computed_tokens() - before,
        error=next((str(program.error) for program in served.programs if program.error), ""),
    )


async def warm(setting: Setting, load: Load) -> None:
    """Code paths of the servers that only run once; not measured."""
    tell("warming up")
    few = replace(load.workload, programs=load.workload.programs[:_WARM_PROGRAMS])
    for endpoint in setting.endpoints:
        options = ClientOptions(salt=f"{setting.nonce}-warm", limit_s=setting.limit_s)
        await replay_as_client(few, endpoint, setting.sizes, clock=SystemClock(), options=options)


def _counting(name: str) -> Callable[[int, int], None]:
    """Says now and then how far a replay is."""
    began = last = time.monotonic()

    def count(ended: int, of: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > _EVERY_S:
            last = now
            tell(f"    {name}: {ended} of {of} programs ended after {now - began:.0f} s")

    return count


def tell(text: str) -> None:
    """For people, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
