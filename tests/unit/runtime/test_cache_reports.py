"""What the scheduler hears of a server's cache: silence is no loss, whatever the tokenizer makes of a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.ir.prefix import block_count
from agentrt.ir.request import Capabilities, Completion, Message, Request, Usage
from agentrt.runtime.cache_reports import BLOCK_TOKENS, CacheReports
from agentrt.runtime.fleet import Fleet
from agentrt.runtime.pool import Pool, Replica
from agentrt.runtime.scheduling import Scheduled, Scheduling
from agentrt.scheduler.events import CallFinished, CallReady
from tests.unit.runtime.scheduled_log import assert_nothing_is_left, to_the_end

SILENT, REPORTING = Capabilities(), Capabilities(reports_cached_tokens=True)
TURNS = 6


class Server(ScriptedBackend):
    """Counts tokens of so many characters, and says as much of its cache as it is told to."""

    def __init__(
        self, said: Callable[[int, int], int], *, is_reporting: bool, characters: float = 4.0
    ) -> None:
        super().__init__(self._answered, latency_s=1.0)
        self.is_reporting = is_reporting
        self._said = said
        self._characters = characters
        self._before = 0

    async def capabilities(self) -> Capabilities:
        found = await super().capabilities()
        return replace(found, reports_cached_tokens=self.is_reporting, kv_tokens=1_000_000)

    def _answered(self, request: Request) -> Completion:
        text = sum(len(message.content) for message in request.messages)
        prompt_tokens = round(text / self._characters)
        cached, self._before = self._said(prompt_tokens, self._before), prompt_tokens
        return Completion(text="a" * 100, usage=Usage(prompt_tokens, cached, 25))


def conversed(server: Server) -> tuple[list[tuple[int, int]], float]:
    """Each turn's blocks and how many of them the scheduler heard to be cached; what it then believes of the cache to be its own."""
    log: list[Scheduled] = []
    clock = VirtualClock()
    pool = Pool("large", {"a": server}, clock=clock, scheduling=Scheduling(on_scheduled=log.append))
    fleet = Fleet({"large": pool, "small": pool}, clock=clock)

    async def main() -> None:
        program = fleet.program("p", "w")
        messages: list[Message] = []
        for _ in range(TURNS):
            messages.append(Message("user", "q" * 6_400))
            request = Request(messages=tuple(messages))

            async def send(replica: Replica, request: Request = request) -> Completion:
                return await replica.backend.complete(request)

            served = await program.complete(request, send)
            messages.append(Message("assistant", served.completion.text))
        program.end()

    to_the_end(clock, main())
    assert_nothing_is_left(log)
    ready = [entry.event for entry in log if isinstance(entry.event, CallReady)]
    usages = [entry.event.usage for entry in log if isinstance(entry.event, CallFinished)]
    heard = [
        (block_count(call.chain), usage.cached_tokens // BLOCK_TOKENS)
        for call, usage in zip(ready, usages, strict=True)
    ]
    return heard, pool._scheduler.replicas[0].share


def test_a_server_that_says_nothing_has_what_was_sent_before() -> None:
    heard, share = conversed(Server(lambda _, __: 0, is_reporting=False))
    # A hundred blocks of text and an answer of less than two are new each time.
    assert heard[:3] == [(100, 0), (201, 101), (303, 203)]
    assert share == 1.0


def test_a_server_that_says_it_had_nothing_has_lost_it() -> None:
    heard, share = conversed(Server(lambda _, __: 0, is_reporting=True))
    assert [cached for _, cached in heard] == [0] * TURNS
    assert share < 1.0


def test_a_server_that_said_so_once_is_believed_from_then_on() -> None:
    said = iter([0, 0, 1_000, 0, 0, 0])
    heard, share = conversed(Server(lambda _, __: next(said), is_reporting=False))
    assert [cached > 0 for _, cached in heard] == [False, True, True, False, False, False]
    assert share < 1.0


@pytest.mark.parametrize("characters", [0.5, 2.5, 4.0, 6.0, 20.0])
def test_a_prompt_that_is_cached_is_cached_whatever_a_token_is(characters: float) -> None:
    heard, share = conversed(
        Server(lambda _, before: before, is_reporting=True, characters=characters)
    )
    for blocks, cached in heard[1:]:
        assert cached == pytest.approx(blocks - 101, abs=3)
    assert share == 1.0


def test_a_replica_that_comes_up_again_may_have_other_options() -> None:
    reports = CacheReports()
    usage = Usage(1_600, 0, 10)

    def cached() -> int:
        return reports.told("a", usage, characters=6_400, known_blocks=50).cached_tokens

    reports.up("a", REPORTING)
    assert cached() == 0
    reports.up("a", SILENT)
    assert cached() == 800
    reports.told("a", Usage(1_600, 16, 10), characters=6_400, known_blocks=50)
    assert cached() == 0
    assert reports.told("b", usage, characters=6_400, known_blocks=50) == Usage(1_600, 800, 10)
    assert reports.told(None, usage, characters=6_400, known_blocks=50) == Usage(1_600, 800, 10)


@given(
    usage=st.builds(Usage, *[st.integers(0, 10**15)] * 3),
    is_reporting=st.booleans(),
    characters=st.integers(0, 10**9),
    data=st.data(),
)
def test_no_more_is_cached_than_the_prompt_has_whatever_a_server_says(
    usage: Usage, is_reporting: bool, characters: int, data: st.DataObject
) -> None:
    reports = CacheReports()
    reports.up("a", REPORTING if is_reporting else SILENT)
    known_blocks = data.draw(st.integers(0, characters // 64))
    told = reports.told("a", usage, characters=characters, known_blocks=known_blocks)
    assert 0 <= told.cached_tokens <= told.prompt_tokens
    assert told.completion_tokens == usage.completion_tokens
