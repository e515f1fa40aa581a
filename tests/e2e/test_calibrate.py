"""`agentrt calibrate` as a user has it, against HTTP servers that are timed, odd, or not there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from agentrt.simulator.engine_file import read_engine
from tests.e2e.conftest import NOBODY, Shell, wait_for
from tests.integration.misbehaving_server import Behaviour, Call, MisbehavingServer, answer, event

QUICK = ("--repeats", "1", "--longest", "256", "--quiet")
METRICS = 'vllm:cache_config_info{block_size="16",num_gpu_blocks="500"} 1.0\n'
STEP_S, PREFILL_S = 0.002, 0.0002


def engine(*, is_streaming: bool = True, has_metrics: bool = True) -> Behaviour:
    """A server that takes `PREFILL_S` a prompt token and `STEP_S` an answer's. Words are tokens."""

    async def behave(call: Call) -> None:
        if call.path == "/metrics" and has_metrics:
            await call.respond(200, METRICS.encode())
        elif not call.path.endswith("/chat/completions"):
            await call.respond(404, {"error": {"message": "no such page"}})
        elif is_streaming:
            await _stream(call)
        else:
            prompt, most = _sizes(call)
            usage = {"prompt_tokens": prompt, "completion_tokens": most}
            message = {"role": "assistant", "content": "x " * most}
            choices = [{"index": 0, "message": message, "finish_reason": "length"}]
            await call.respond(200, {"choices": choices, "usage": usage})

    return behave


def _sizes(call: Call) -> tuple[int, int]:
    words = sum(4 + len(message["content"].split()) for message in call.json["messages"])
    return words, call.json["max_tokens"]


async def _stream(call: Call) -> None:
    prompt, most = _sizes(call)
    await call.start_stream()
    await asyncio.sleep(prompt * PREFILL_S)
    for index in range(most):
        await asyncio.sleep(STEP_S if index else 0.0)
        choice = {"index": 0, "delta": {"content": f"w{index} "}, "finish_reason": None}
        await call.send_chunk(event({"choices": [choice]}))
    usage = {"prompt_tokens": prompt, "completion_tokens": most}
    end = {"index": 0, "delta": {}, "finish_reason": "length"}
    await call.send_chunk(event({"choices": [end], "usage": usage}))
    await call.send_chunk(event("[DONE]"))
    await call.end_stream()


@contextlib.contextmanager
def serving(*behaviours: Behaviour) -> Iterator[MisbehavingServer]:
    """The server in a thread of its own, so that the test may wait for a process."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    server = MisbehavingServer(*behaviours)
    done = asyncio.Event()

    async def serve() -> None:
        async with server:
            ready.set()
            await done.wait()

    def work() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()


def test_an_engine_is_timed_and_its_file_can_be_simulated(agentrt: Shell) -> None:
    with serving(engine()) as server:
        done = agentrt("calibrate", server.url, *QUICK, "-o", "engine.json", "--json")
    assert done.code == 0, done.stderr
    written = json.loads((agentrt.folder / "engine.json").read_text(encoding="utf-8"))
    assert written == done.json
    model = read_engine(json.dumps(written))
    assert model.name == f"m at {server.url}/v1"
    assert (model.kv_tokens, model.cache, model.max_running) == (8000, "paged", 256)
    held_out: list[dict[str, Any]] = [p for p in written["about"]["probes"] if p["is_held_out"]]
    assert len(held_out) == 3
    simulated = agentrt("simulate", "made:browser", "--programs", "2", "--engine", "engine.json")
    assert simulated.code == 0, simulated.stderr
    assert "engine.json" in simulated.stdout


def test_people_get_a_table_of_constants_and_of_what_they_miss(agentrt: Shell) -> None:
    with serving(engine()) as server:
        done = agentrt("calibrate", server.url, *QUICK, "--max-running", "4")
    assert done.code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"m at {server.url}/v1"
    words = {line.split()[0] for line in lines if line.startswith("  ")}
    assert words >= {"step_s", "prefill_token_s", "context_token_s", "kv_tokens", "max_running"}
    assert any(line.split() == ["kv_tokens", "8000", "(server)"] for line in lines)
    assert any(line.split() == ["max_running", "4", "(option)"] for line in lines)
    assert sum(line.endswith("held out") for line in lines) == 3
    assert "not reported as cached" in done.stderr


def test_without_quiet_it_says_where_it_is(agentrt: Shell) -> None:
    with serving(engine()) as server:
        done = agentrt("calibrate", server.url, *QUICK[:-1], "--json")
    assert "probe 1 of " in done.stderr
    assert done.json["kind"] == "agentrt engine"


def test_room_that_the_server_does_not_say_has_to_be_given(agentrt: Shell) -> None:
    with serving(engine(has_metrics=False)) as server:
        done = agentrt("calibrate", server.url, *QUICK, "--json")
        assert (done.code, done.json["error"]["type"]) == (2, "UsageError")
        assert "--kv-tokens" in done.stderr
        assert len(server.calls) < 10  # said before the minutes of probes, not after
        given = agentrt("calibrate", server.url, *QUICK, "--kv-tokens", "777", "--json")
    assert given.json["model"]["kv_tokens"] == 777


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (engine(is_streaming=False), "does not stream"),
        (answer(429, {"error": {"message": "too fast"}}), "too fast"),
        (answer(401, {"error": {"message": "bad key"}}), "bad key"),
        (answer(500, b"<html>broken</html>"), "500"),
        (answer(200, {"choices": [{"message": {"content": "x"}}]}), "how many tokens"),
        (answer(200, b"not json"), "JSON"),
    ],
    ids=["no stream", "limited", "no key", "broken", "no usage", "no json"],
)
def test_a_server_that_cannot_be_timed_is_an_error_in_clear_words(
    agentrt: Shell, behaviour: Behaviour, message: str
) -> None:
    with serving(behaviour) as server:
        done = agentrt("calibrate", server.url, *QUICK, "--kv-tokens", "999", "--json")
    assert done.code == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.json["status"] == "failed"


def test_a_server_that_is_not_there_says_what_to_do(agentrt: Shell) -> None:
    done = agentrt("calibrate", NOBODY)
    assert (done.code, done.stdout) == (1, "")
    assert "hint: agentrt doctor" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ftp://x",), "is no backend"),
        ((NOBODY, "-o", "no/such/folder.json"), "cannot write"),
        ((NOBODY, "-o", "."), "cannot write"),
        ((NOBODY, "--repeats", "0"), "--repeats"),
        ((NOBODY, "--longest", "many"), "--longest"),
        ((NOBODY, "--kv-tokens", "-1"), "--kv-tokens"),
    ],
)
def test_words_that_are_off_exit_with_2(
    agentrt: Shell, words: tuple[str, ...], message: str
) -> None:
    done = agentrt("calibrate", *words, "--json")
    assert (done.code, done.json["status"]) == (2, "failed")
    assert message in done.stderr


def test_ctrl_c_ends_it_with_130_and_hangs_up(agentrt: Shell) -> None:
    async def hang(call: Call) -> None:
        await server.hang(call)

    with serving(hang) as server:
        process = agentrt.start("calibrate", server.url, "-o", "engine.json", "--kv-tokens", "999")
        wait_for(lambda: server.calls, "a request")
        process.send_signal(signal.SIGINT)
        wait_for(lambda: process.poll() is not None, "the end")
        done = agentrt.finish(process)
        wait_for(server.disconnected.is_set, "the connection's end")
    assert (done.code, done.stdout) == (130, "")
    assert "nothing was written" in done.stderr
    assert not (agentrt.folder / "engine.json").exists()
