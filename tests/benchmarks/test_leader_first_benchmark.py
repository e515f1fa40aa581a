"""The benchmark of leaders going first: what it counts, and what it says of it."""

from __future__ import annotations

from dataclasses import replace

from agentrt.backends.scripted import ScriptedBackend
from tests.benchmarks.leader_first import (
    EMBEDDED,
    VLLM,
    Contender,
    Result,
    handbook,
    measure,
    run,
    table,
)


def test_prefixes_are_long_and_of_their_own() -> None:
    assert 5_000 < len(handbook("A")) < 6_000  # 2,000 tokens of SmolLM2: it has one for each digit
    assert handbook("A")[:11] != handbook("B")[:11]


async def test_contenders_ask_the_same_and_what_was_cached_is_not_computed() -> None:
    async def perform(contender: Contender, _number: int) -> Result:
        return await measure(contender, ScriptedBackend("yes"), "A", 4)

    results = await run(VLLM, 1, perform)
    assert [result.contender for result in results] == ["all at once", "leaders first"]
    assert {result.answers for result in results} == {("yes",) * 4}
    assert len({result.prompt_tokens for result in results}) == 1
    assert all(0 < r.computed_tokens < r.prompt_tokens for r in results)


def test_the_table_tells_how_many_times_fewer_and_whether_that_is_enough() -> None:
    result = Result(EMBEDDED[0].name, 40.0, 32_000, 0, ())
    results = [
        result,
        replace(result, contender=EMBEDDED[1].name),
        replace(result, contender=EMBEDDED[2].name, cached_tokens=16_000, wall_s=20.0),
        replace(result, contender=EMBEDDED[3].name, cached_tokens=28_000, wall_s=10.0),
    ]
    lines = table(EMBEDDED, results).splitlines()
    assert lines[1].split() == [
        *["all", "at", "once,", "engine", "as", "it", "is"],
        "32,000",
        "0",
        "40.0",
        "s",
        "1.0x",
    ]
    assert lines[4].split()[-5:] == ["4,000", "28,000", "10.0", "s", "8.0x"]
    assert lines[5] == "target: 3x fewer computed tokens: met"
    assert table(
        EMBEDDED, [*results[:3], replace(results[0], contender=EMBEDDED[3].name)]
    ).endswith("missed")
