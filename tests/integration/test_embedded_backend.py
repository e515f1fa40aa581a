"""The embedded engine itself, with the default model as the product gets it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from agentrt.backends import models
from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.backends.embedded_engine import Engine, EngineSettings, default_threads
from agentrt.errors import (
    BackendError,
    BackendUnavailable,
    ContextOverflow,
    InputError,
    ModelUnavailable,
    RequestRejected,
)
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Chunk, Completion, Message, Request

ONE_SLOT = EmbeddedSettings(slots=1, context_tokens=1024)


def _ask(text: str, *, max_tokens: int = 8, schema: dict[str, Any] | None = None) -> Request:
    return Request(
        messages=(Message("user", text),),
        output_schema=schema,
        options=LLMOptions(max_tokens=max_tokens),
    )


async def _answer(request: Request, settings: EmbeddedSettings = ONE_SLOT) -> Completion:
    backend = EmbeddedBackend(settings=settings)
    try:
        return await backend.complete(request)
    finally:
        await backend.aclose()


async def test_it_answers_streams_and_counts() -> None:
    backend = EmbeddedBackend(settings=ONE_SLOT)
    chunks: list[Chunk] = []
    completion = await backend.complete(_ask("Say hi."), on_chunk=chunks.append)
    await backend.aclose()
    assert completion.text == "".join(chunk.text for chunk in chunks) != ""
    assert completion.model == "smollm2-135m"
    assert completion.usage.prompt_tokens > completion.usage.cached_tokens == 0
    assert completion.usage.completion_tokens == 8
    assert completion.finish_reason == "length"


async def test_its_capabilities_are_what_it_was_set_up_with() -> None:
    backend = EmbeddedBackend(settings=EmbeddedSettings(slots=2, context_tokens=512))
    found = await backend.capabilities()
    await backend.aclose()
    assert (found.max_concurrency, found.context_tokens) == (2, 512)
    assert found.models == ("smollm2-135m",)
    assert found.json_schema
    assert found.tools
    assert found.streaming
    assert found.reports_cached_tokens


async def test_its_context_is_no_longer_than_the_model_was_trained_for() -> None:
    backend = EmbeddedBackend(settings=EmbeddedSettings(slots=2, context_tokens=16_384))
    found = await backend.capabilities()
    await backend.aclose()
    assert (found.context_tokens, found.kv_tokens) == (8192, 2 * 8192)


async def test_the_same_request_to_a_fresh_engine_has_the_same_answer() -> None:
    request = _ask("Name three colours.", max_tokens=16)
    assert (await _answer(request)).text == (await _answer(request)).text


async def test_a_prompt_longer_than_the_context_is_an_overflow() -> None:
    with pytest.raises(ContextOverflow):
        await _answer(_ask("word " * 2000))


@pytest.mark.parametrize("name", ["slots", "context_tokens", "threads", "max_tokens"])
def test_numbers_it_could_only_hang_on_are_refused(name: str) -> None:
    options: dict[str, Any] = {name: 0}
    with pytest.raises(InputError, match=rf"{name}=0\): 1 is the least"):
        EmbeddedSettings(**options)


async def test_a_request_for_another_model_is_refused() -> None:
    request = Request(messages=(Message("user", "Hi"),), options=LLMOptions(model="gpt-5"))
    with pytest.raises(RequestRejected, match="serves smollm2-135m, not gpt-5"):
        await _answer(request)


async def test_answers_fit_a_nested_schema() -> None:
    part = {
        "type": "object",
        "properties": {"count": {"type": "integer"}, "is_new": {"type": "boolean"}},
        "required": ["count", "is_new"],
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["cat", "dog"]},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "maxItems": 2},
            "note": {"anyOf": [{"type": "null"}, {"const": "none"}]},
        },
        "required": ["kind", "parts", "note"],
        "additionalProperties": False,
        "$defs": {"Part": part},
    }
    answer = json.loads((await _answer(_ask("Describe it.", max_tokens=200, schema=schema))).text)
    assert answer.keys() == {"kind", "parts", "note"}
    assert answer["kind"] in {"cat", "dog"}
    assert answer["note"] in {None, "none"}
    assert all(
        type(part["count"]) is int and type(part["is_new"]) is bool for part in answer["parts"]
    )


HOSTILE: list[dict[str, Any]] = [
    {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/nowhere"}}},
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=x)[a-z+$"}}},
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(((a*)*)*)*$"}}},
    {"type": "object", "properties": {"a": {"type": "string", "minLength": 10**9}}},
    {"type": "object", "properties": {"a": {"enum": []}}},
    {"type": "object", "properties": {"a": {"enum": [f"v{i}" for i in range(20_000)]}}},
    {"type": "zebra"},
]


async def test_schemas_it_cannot_use_are_answered_unconstrained_and_harm_no_other() -> None:
    backend = EmbeddedBackend(settings=ONE_SLOT)
    for schema in HOSTILE:
        completion = await backend.complete(_ask("Say hi.", max_tokens=2, schema=schema))
        assert completion.usage.completion_tokens == 2
    fits = {"type": "object", "properties": {"a": {"enum": [7]}}, "required": ["a"]}
    completion = await backend.complete(_ask("Say hi.", max_tokens=20, schema=fits))
    await backend.aclose()
    assert json.loads(completion.text) == {"a": 7}


async def test_more_requests_than_slots_are_all_answered() -> None:
    backend = EmbeddedBackend(settings=EmbeddedSettings(slots=2, context_tokens=512))
    async with asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(backend.complete(_ask(f"Say {i}."))) for i in range(5)]
    await backend.aclose()
    assert [answer.result().usage.completion_tokens for answer in answers] == [8] * 5


async def test_a_cancelled_request_makes_way_for_the_next() -> None:
    backend = EmbeddedBackend(settings=ONE_SLOT)
    begun = asyncio.Event()
    endless = Request(
        messages=(Message("user", "Tell a long story."),),
        options=LLMOptions(max_tokens=10**6),
        extra={"ignore_eos": True},
    )
    story = asyncio.create_task(backend.complete(endless, on_chunk=lambda _chunk: begun.set()))
    await begun.wait()
    story.cancel()
    with pytest.raises(asyncio.CancelledError):
        await story
    assert (await backend.complete(_ask("Say hi."))).usage.completion_tokens == 8
    await backend.aclose()


async def test_closing_breaks_off_what_is_under_way_and_leaves_no_process() -> None:
    for _ in range(5):
        backend = EmbeddedBackend(settings=ONE_SLOT)
        await backend.capabilities()
        story = _ask("Tell a long story.", max_tokens=900)
        requests = [asyncio.create_task(backend.complete(story)) for _ in range(3)]
        await asyncio.sleep(0.1)
        await backend.aclose()
        await backend.aclose()
        for request in requests:
            with pytest.raises(BackendUnavailable, match="was closed"):
                await request
        with pytest.raises(BackendUnavailable, match="was closed"):
            await backend.complete(story)
        assert _engines() == []


async def test_closing_ends_an_engine_that_never_gets_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endless = tmp_path / "model.gguf"
    os.mkfifo(endless)
    monkeypatch.setattr(models, "pull", lambda *_args, **_options: endless)
    backend = EmbeddedBackend(settings=ONE_SLOT)
    request = asyncio.create_task(backend.complete(_ask("Say hi.")))
    await asyncio.to_thread(_until_there_is_one)
    async with asyncio.timeout(30):
        await backend.aclose()
        with pytest.raises(BackendUnavailable, match="was closed"):
            await request
    assert _engines() == []


async def test_who_stops_waiting_for_the_end_does_not_undo_it() -> None:
    backend = EmbeddedBackend(settings=ONE_SLOT)
    await backend.capabilities()
    closing = asyncio.create_task(backend.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await backend.aclose()
    assert _engines() == []


async def test_an_engine_that_dies_fails_its_requests_and_is_started_anew() -> None:
    backend = EmbeddedBackend(settings=ONE_SLOT)
    await backend.capabilities()
    story = asyncio.create_task(backend.complete(_ask("Tell a long story.", max_tokens=900)))
    await asyncio.sleep(0.1)
    (engine,) = _engines()
    engine.kill()
    await asyncio.to_thread(engine.wait)
    with pytest.raises(BackendError) as raised:
        await story
    assert raised.value.retryable
    assert (await backend.complete(_ask("Say hi."))).usage.completion_tokens == 8
    await backend.aclose()
    assert _engines() == []


def test_the_engine_goes_with_the_process_that_started_it() -> None:
    _assert_goes_with_its_parent(KILLED)


def test_an_engine_that_never_gets_loaded_goes_with_the_process_too(tmp_path: Path) -> None:
    endless = tmp_path / "model.gguf"
    os.mkfifo(endless)
    _assert_goes_with_its_parent(KILLED_EARLY, str(endless))


def _assert_goes_with_its_parent(program: str, *words: str) -> None:
    done = subprocess.run(  # noqa: S603  our own words
        [sys.executable, "-c", program, *words], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    engine = int(done.stdout)
    for _ in range(100):
        if not psutil.pid_exists(engine):
            return
        time.sleep(0.1)
    pytest.fail(f"the engine's process {engine} outlives the one that started it")


def _until_there_is_one() -> None:
    while not _engines():
        time.sleep(0.01)


def _engines() -> list[psutil.Process]:
    """The engines this process has started."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if any("embedded_child" in word for word in child.cmdline())
    ]


async def test_a_backend_never_used_closes_and_stays_closed() -> None:
    backend = EmbeddedBackend()
    await backend.aclose()
    with pytest.raises(BackendUnavailable):
        await backend.capabilities()


async def test_a_model_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    settings = EmbeddedSettings(pull_if_missing=False, cache_dir=tmp_path)
    with pytest.raises(ModelUnavailable, match="agentrt models pull smollm2-135m"):
        await _answer(_ask("Hi"), settings)


async def test_a_damaged_model_is_reported_and_mended_at_the_next_call(tmp_path: Path) -> None:
    whole = models.pull("smollm2-135m")
    path = tmp_path / "model.gguf"
    with whole.open("rb") as file:
        path.write_bytes(file.read(1_000_000))
    backend = EmbeddedBackend(str(path), settings=ONE_SLOT)
    with pytest.raises(ModelUnavailable, match=r"cannot load .*model\.gguf"):
        await backend.complete(_ask("Hi"))
    path.unlink()
    path.symlink_to(whole)
    assert (await backend.complete(_ask("Hi"))).usage.completion_tokens == 8
    await backend.aclose()


def test_it_listens_on_this_machine_only_and_for_those_with_the_key() -> None:
    engine = Engine(EngineSettings(model=models.pull("smollm2-135m"), slots=1, context_tokens=256))
    assert engine.url.startswith("http://127.0.0.1:")
    process = psutil.Process(engine.process_id)
    ports = [c.laddr for c in process.net_connections("inet") if c.status == "LISTEN"]
    assert {address.ip for address in ports} == {"127.0.0.1"}
    assert httpx2.get(f"{engine.url}/v1/models", trust_env=False).status_code == 401
    engine.close()
    engine.close()


def test_threads_are_within_what_this_process_may_use() -> None:
    assert 1 <= default_threads() <= len(psutil.Process().cpu_affinity() or [0])


QUIET = """
import asyncio
from agentrt.backends.embedded import EmbeddedBackend
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Message, Request

async def main():
    backend = EmbeddedBackend()
    await backend.complete(
        Request(messages=(Message("user", "Hi"),), options=LLMOptions(max_tokens=2))
    )
    await backend.aclose()

asyncio.run(main())
"""


KILLED = """
import asyncio, os, signal
import psutil
from agentrt.backends.embedded import EmbeddedBackend

async def main():
    await EmbeddedBackend().capabilities()
    print(psutil.Process().children()[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


KILLED_EARLY = """
import os, signal, sys, threading, time
from pathlib import Path
from agentrt.backends.embedded_engine import Engine, EngineSettings

started = []
settings = EngineSettings(model=Path(sys.argv[1]), slots=1, context_tokens=256)
loading = threading.Thread(target=Engine, args=(settings,), kwargs={"on_process": started.append})
loading.start()
while not started:
    time.sleep(0.01)
time.sleep(1.0)  # so that it is loading
print(started[0].process_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_prints_nothing() -> None:
    models.pull("smollm2-135m")
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
