"""`agentrt bench replay` as a user has it, against servers that count, refuse, break off or are not there."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from agentrt.ir.prefix import Run
from agentrt.ir.workload import CallStep, ProgramTrace, ToolStep, Workload
from agentrt.simulator.workloads import write
from tests.e2e.conftest import NOBODY, Done, Shell, wait_for
from tests.e2e.stub_engine import StubEngine, serving
from tests.integration.misbehaving_server import Call, answer

PROGRAMS = 3


@pytest.fixture
def workload(agentrt: Shell) -> str:
    """Three programs of two calls that share 32 tokens, with tools of no time to speak of."""
    programs = [_program(index) for index in range(PROGRAMS)]
    found = Workload(name="two turns", block_tokens=16, programs=programs)
    path = agentrt.folder / "two-turns.jsonl"
    path.write_text("".join(write(found)), encoding="utf-8")
    return str(path)


def _program(index: int, tool_s: float = 0.01) -> ProgramTrace:
    own = 1000 * (index + 1)
    first = CallStep(
        after=(),
        prompt=(Run(0, 2), Run(own, 4)),
        prompt_tokens=100,
        completion_tokens=10,
        context=(Run(0, 2), Run(own, 4)),
    )
    tool = ToolStep(after=(0,), tool="tool", duration_s=tool_s)
    second = CallStep(
        after=(1,),
        prompt=(Run(0, 2), Run(own, 8)),
        prompt_tokens=170,
        completion_tokens=10,
        context=(Run(0, 2), Run(own, 9)),
    )
    return ProgramTrace(program_id=f"p{index}", steps=(first, tool, second))


def replayed(agentrt: Shell, workload: str, *words: str) -> Done:
    return agentrt("bench", "replay", workload, *words)


def medians(done: Done) -> dict[str, dict[str, Any]]:
    return {result["name"]: result["medians"] for result in done.json["results"]}


def test_two_urls_are_measured_side_by_side(agentrt: Shell, workload: str) -> None:
    direct, gateway = StubEngine(), StubEngine()
    with serving(direct) as one, serving(gateway) as two:
        urls = ("--url", f"{one.url}/v1", "--url", two.url)
        names = ("--name", "direct", "--name", "gateway")
        done = replayed(agentrt, workload, *urls, *names, "--repeat", "2", "--json")
    assert done.code == 0, done.stderr
    assert done.json["is_whole"]
    assert list(medians(done)) == ["direct", "gateway"]
    for found in medians(done).values():
        assert (found["programs"], found["calls"], found["unfinished"]) == (PROGRAMS, 6, 0)
        assert found["prompt_tokens"] == PROGRAMS * (100 + 170)
        # Every token once: 32 shared, 68 of each program's first prompt and 60 of its second.
        assert found["least_tokens"] == 32 + PROGRAMS * (68 + 60)
        assert found["hit_ratio"] > 0.4
        assert found["computed_tokens"] == found["prompt_tokens"] - found["cached_tokens"]
    for result in done.json["results"]:
        assert [replay["repetition"] for replay in result["replays"]] == [0, 1]
    begun = [line for line in done.stderr.splitlines() if line.endswith(": begins")]
    assert begun == [
        "direct, 1 of 2: begins",
        "gateway, 1 of 2: begins",
        "gateway, 2 of 2: begins",
        "direct, 2 of 2: begins",
    ]
    assert {session for session, _ in direct.sessions} == {None}


def test_no_replay_finds_what_another_has_left(agentrt: Shell, workload: str) -> None:
    engine = StubEngine()
    with serving(engine) as server:
        urls = ("--url", f"{server.url}/v1", "--url", f"{server.url}/v1/", "--repeat", "2")
        done = replayed(agentrt, workload, *urls, "--name", "a", "--name", "b", "--json")
    assert done.code == 0, done.stderr
    cached = {r["cached_tokens"] for result in done.json["results"] for r in result["replays"]}
    assert max(cached) - min(cached) < 16, "another replay's text was found"


def test_people_get_a_table_and_what_it_does_not_show(agentrt: Shell, workload: str) -> None:
    with serving(StubEngine()) as one, serving(StubEngine()) as two:
        urls = ("--url", one.url, "--url", two.url, "--name", "direct", "--name", "gateway")
        done = replayed(agentrt, workload, *urls, "--repeat", "2", "--quiet")
    assert done.code == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].endswith(
        "3 programs, seed 0, 2 replays at each URL in rotated order: medians (least..most)"
    )
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:] if line.strip()}
    assert rows["prompt_tokens"] == ["810", "810"]
    assert "mean_completion_s" in rows
    assert any(line.startswith("gateway against direct (above 1: better): ") for line in lines)
    assert lines[-1].startswith("Not shown: ")


def test_programs_name_themselves_if_asked(agentrt: Shell, workload: str) -> None:
    engine = StubEngine()
    with serving(engine) as server:
        words = ("--url", server.url, "--repeat", "1", "--session-header", "--json")
        done = replayed(agentrt, workload, *words)
    assert done.code == 0, done.stderr
    named = [session for session, _ in engine.sessions]
    assert None not in named
    programs = [name for name in dict.fromkeys(named) if name and not name.startswith("sizes-")]
    assert [named.count(name) for name in programs] == [2] * PROGRAMS


def test_nobody_there_is_said_before_anything_is_replayed(agentrt: Shell, workload: str) -> None:
    engine = StubEngine()
    with serving(engine) as server:
        done = replayed(agentrt, workload, "--url", server.url, "--url", NOBODY, "--json")
    assert done.code == 1
    assert done.json["error"]["type"] == "BackendUnavailable"
    assert f"agentrt doctor {NOBODY}/v1" in done.json["error"]["hint"]
    assert all(len(prompt) < 400 for prompt in engine.prompts), "only sizes were asked for"


def test_a_model_that_is_not_there_is_told_with_those_that_are(
    agentrt: Shell, workload: str
) -> None:
    with serving(StubEngine()) as server:
        done = replayed(agentrt, workload, "--url", server.url, "--model", "n")
    assert done.code == 1
    error = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert error == f"error: {server.url}/v1 does not serve 'n'; it lists m"


def test_answers_that_do_not_count_tokens_are_refused_at_the_start(
    agentrt: Shell, workload: str
) -> None:
    with serving(StubEngine(is_counting=False)) as server:
        done = replayed(agentrt, workload, "--url", server.url, "--quiet")
    assert done.code == 1
    assert "does not say how many tokens a prompt has" in done.stderr


def test_a_server_that_breaks_down_is_reported_as_such(agentrt: Shell, workload: str) -> None:
    engine = StubEngine()

    async def failing(call: Call) -> None:
        # The sizes, one program's first call, and no more.
        if len(engine.prompts) >= 6 and call.path.endswith("/chat/completions"):
            await call.respond(400, {"error": {"message": "no more"}})
        else:
            await engine(call)

    with serving(failing) as server:
        done = replayed(agentrt, workload, "--url", server.url, "--repeat", "1", "--json")
    assert done.code == 1
    (result,) = done.json["results"]
    assert result["medians"]["unfinished"] == PROGRAMS
    assert result["medians"]["computed_over_least"] is None
    assert result["medians"]["mean_completion_s"] is None
    assert "no more" in result["replays"][0]["error"]
    assert "3 of 3 programs did not finish: " in done.stderr


def test_rubbish_is_an_error_and_no_figure(agentrt: Shell, workload: str) -> None:
    with serving(answer(200, b"<html>no completion</html>")) as server:
        done = replayed(agentrt, workload, "--url", server.url, "--json", "--quiet")
    assert done.code == 1
    assert done.json["error"]["type"] == "InvalidAnswer"


def test_a_server_that_says_nothing_is_given_up_after_the_limit(
    agentrt: Shell, workload: str
) -> None:
    engine = StubEngine()

    async def hanging(call: Call) -> None:
        if len(engine.prompts) >= 5 and call.path.endswith("/chat/completions"):
            await call.reader.read()
        else:
            await engine(call)

    with serving(hanging) as server:
        words = ("--url", server.url, "--repeat", "1", "--limit", "1", "--json")
        done = replayed(agentrt, workload, *words)
    assert done.code == 1
    (replay,) = done.json["results"][0]["replays"]
    assert (replay["is_cut"], replay["unfinished"]) == (True, PROGRAMS)
    assert "the time was up (--limit)" in done.stderr


def test_an_interrupt_reports_the_replays_that_were_made(agentrt: Shell) -> None:
    slow = Workload(name="slow", block_tokens=16, programs=[_program(0, tool_s=0.1)])
    path = agentrt.folder / "slow.jsonl"
    path.write_text("".join(write(slow)), encoding="utf-8")
    engine = StubEngine()
    with serving(engine) as server:
        words = ("bench", "replay", str(path), "--url", server.url, "--repeat", "100", "--json")
        process = agentrt.start(*words)
        # Of each replay two, after those that measured sizes.
        wait_for(lambda: len(engine.prompts) >= 8, "a whole replay")
        process.send_signal(signal.SIGINT)
        done = agentrt.finish(process)
    assert done.code == 128 + signal.SIGINT
    assert not done.json["is_whole"]
    assert 1 <= len(done.json["results"][0]["replays"]) < 100
    assert "of 100 replays were made" in done.stderr


def test_an_interrupt_before_the_first_replay_has_ended_reports_none(agentrt: Shell) -> None:
    endless = Workload(name="slow", block_tokens=16, programs=[_program(0, tool_s=1000.0)])
    path = agentrt.folder / "endless.jsonl"
    path.write_text("".join(write(endless)), encoding="utf-8")
    engine = StubEngine()
    with serving(engine) as server:
        process = agentrt.start("bench", "replay", str(path), "--url", server.url, "--json")
        wait_for(lambda: len(engine.prompts) >= 5, "the first call")
        process.send_signal(signal.SIGTERM)
        done = agentrt.finish(process)
    assert done.code == 128 + signal.SIGTERM
    assert (done.json["is_whole"], done.json["results"]) == (False, [])
    assert "0 of 3 replays were made" in done.stderr


def test_the_commands_of_bench_are_listed(agentrt: Shell) -> None:
    done = agentrt("bench")
    assert done.code == 0
    assert "replay" in done.stdout
