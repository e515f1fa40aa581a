"""`agentrt bench replay`: a workload at one URL or several, as clients would make it."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentrt.cli.bench_progress import watched
from agentrt.cli.bench_result import Replayed, line_of, notes_of, result_json, result_text
from agentrt.cli.bench_words import BenchWords, names_of, workload_of
from agentrt.cli.connection import environment_settings
from agentrt.cli.interrupt import Interrupts
from agentrt.cli.output import Answers, tell
from agentrt.clock import SystemClock
from agentrt.ir.workload import Workload
from agentrt.runtime.workload_figures import figures_of
from agentrt.runtime.workload_order import OnFinished
from agentrt.runtime.workload_served import Served

if TYPE_CHECKING:
    from agentrt.backends.made_text import TextSizes
    from agentrt.runtime.workload_endpoint import HttpEndpoint

_FAILED = 1


def bench_replay(words: BenchWords, answers: Answers) -> int:
    """Replay, and print one table or one JSON object; 1 if programs did not finish."""
    names_of(words)
    return asyncio.run(_bench(words, workload_of(words), answers))


async def _bench(words: BenchWords, workload: Workload, answers: Answers) -> int:
    done: list[Replayed] = []
    working = asyncio.create_task(_replays(words, workload, done))
    with Interrupts(lambda: _cancel(working)) as interrupts:
        try:
            await working
        except asyncio.CancelledError:
            if interrupts.signal is None:
                raise
    is_whole = interrupts.signal is None
    if words.is_json:
        answers.json(result_json(words, workload, done, is_whole=is_whole))
    elif done:
        answers.text(result_text(words, workload, done))
    tell(*notes_of(done))
    if not is_whole:
        of = len(words.urls) * words.repeat
        tell(f"interrupted: {len(done)} of {of} replays were made, and are what is reported")
        return interrupts.exit_code
    return _FAILED if any(replayed.figures.unfinished for replayed in done) else 0


def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()


async def _replays(words: BenchWords, workload: Workload, done: list[Replayed]) -> None:
    """All of them, each added to `done` as it ends."""
    from agentrt.runtime.workload_least import least_prefill_tokens  # noqa: PLC0415  HTTP clients

    least_tokens = least_prefill_tokens(workload)
    # Nothing that an earlier invocation left in a cache is found again.
    nonce = secrets.token_hex(4)
    async with AsyncExitStack() as stack:
        progress = stack.enter_context(watched(is_quiet=words.is_quiet))
        sites: list[_Site] = []
        for name, url in zip(names_of(words), words.urls, strict=True):
            progress.say(f"asking {url}")
            sites.append(await _opened(words, name, url, stack))
        for repetition in range(words.repeat):
            for at in rotated(len(sites), repetition):
                salt = f"{nonce}-{repetition}-{at}"
                title = f"{sites[at].name}, {repetition + 1} of {words.repeat}"
                served = await _served(words, workload, sites[at], salt, progress.counting(title))
                figures = figures_of(served, least_tokens=least_tokens)
                replayed = Replayed(
                    name=sites[at].name,
                    url=sites[at].endpoint.url,
                    repetition=repetition,
                    figures=figures,
                    error=next((str(p.error) for p in served.programs if p.error), ""),
                )
                done.append(replayed)
                progress.note(line_of(replayed))


@dataclass(frozen=True, slots=True)
class _Site:
    """A URL that answers, and what text comes to there."""

    name: str
    endpoint: HttpEndpoint
    sizes: TextSizes


async def _opened(words: BenchWords, name: str, url: str, stack: AsyncExitStack) -> _Site:
    from agentrt.runtime.workload_endpoint import EndpointOptions, HttpEndpoint  # noqa: PLC0415

    options = EndpointOptions(
        model=words.model or environment_settings().model,
        has_session_header=words.has_session_header,
        timeout_s=words.timeout_s,
    )
    endpoint = HttpEndpoint(url, options)
    stack.push_async_callback(endpoint.aclose)
    await endpoint.open()
    return _Site(name, endpoint, await endpoint.sizes())


async def _served(
    words: BenchWords, workload: Workload, site: _Site, salt: str, on_finished: OnFinished
) -> Served:
    from agentrt.runtime.workload_client import ClientOptions, replay_as_client  # noqa: PLC0415

    options = ClientOptions(
        programs_at_once=words.at_once,
        salt=salt,
        limit_s=words.limit_s,
        timeout_s=words.timeout_s,
    )
    return await replay_as_client(
        workload,
        site.endpoint,
        site.sizes,
        clock=SystemClock(),
        options=options,
        on_finished=on_finished,
    )


def rotated(count: int, by: int) -> list[int]:
    """The numbers below `count`, beginning with another each time: none is always first or last."""
    return [(at + by) % count for at in range(count)]
