"""What servers say of their engines is read; pages that are damaged or not there say nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.backends.engine_limits import engine_limits
from agentrt.backends.engine_pages import (
    EngineLimits,
    read_llamacpp_props,
    read_sglang_info,
    read_vllm_metrics,
)
from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.server_kind import LLAMACPP, SGLANG, VLLM, ServerKind
from agentrt.errors import BackendUnavailable
from agentrt.ir.request import Message, Request
from agentrt.testing import ScriptedBackend
from tests.integration.misbehaving_server import Call, MisbehavingServer, answer, completion

METRICS = """\
# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="32",cache_dtype="auto",num_gpu_blocks="320",x="a,\\"b"} 1.0
vllm:num_requests_running{model_name="m"} 0.0
"""


def test_vllm_says_its_blocks() -> None:
    assert read_vllm_metrics(METRICS) == EngineLimits(kv_tokens=10_240)


def test_newer_versions_of_vllm_say_their_tokens_too() -> None:
    said = METRICS.replace('x="', 'kv_cache_size_tokens="9000",x="')
    assert read_vllm_metrics(said) == EngineLimits(kv_tokens=9000)
    unsaid = METRICS.replace('x="', 'kv_cache_size_tokens="None",x="')
    assert read_vllm_metrics(unsaid) == EngineLimits(kv_tokens=10_240)


def test_sglang_says_its_tokens_and_how_many_run() -> None:
    info = {"max_total_num_tokens": 9000, "max_running_requests": 7, "chunked_prefill_size": 512}
    assert read_sglang_info(json.dumps(info)) == EngineLimits(
        kv_tokens=9000, max_running=7, max_batch_tokens=512
    )
    assert read_sglang_info('{"max_total_num_tokens": 5, "chunked_prefill_size": -1}') == (
        EngineLimits(kv_tokens=5)
    )


def test_llama_server_says_its_slots() -> None:
    props = {"total_slots": 3, "default_generation_settings": {"n_ctx": 2048}}
    assert read_llamacpp_props(json.dumps(props)) == EngineLimits(
        kv_tokens=6144, max_running=3, context_tokens=2048, cache="slots"
    )


@pytest.mark.parametrize("read", [read_vllm_metrics, read_sglang_info, read_llamacpp_props])
@pytest.mark.parametrize(
    "page",
    [
        "",
        "<html>",
        "[]",
        "null",
        "[" * 50_000,
        "vllm:cache_config_info{",
        'vllm:cache_config_info{block_size="32",num_gpu_blocks="None"} 1.0',
        'vllm:cache_config_info{block_size="0",num_gpu_blocks="9"} 1.0',
        'vllm:cache_config_info{block_size="٣",num_gpu_blocks="9"} 1.0',
        'vllm:cache_config_info{block_size="9' + "9" * 5000 + '",num_gpu_blocks="9"} 1.0',
        'vllm:cache_config_info{block_size="99999999",num_gpu_blocks="99999999"} 1.0',
        f'{{"max_total_num_tokens": {"9" * 4000}}}',
        f'{{"total_slots": {"9" * 4000}, "default_generation_settings": {{"n_ctx": 99}}}}',
        '{"max_total_num_tokens": true}',
        '{"max_total_num_tokens": -5}',
        '{"total_slots": 4}',
        '{"total_slots": 4, "default_generation_settings": []}',
        '{"total_slots": 4, "default_generation_settings": {"n_ctx": 1.5}}',
    ],
)
def test_a_damaged_page_says_nothing(page: str, read: object) -> None:
    assert callable(read)
    assert read(page) is None


@given(st.text())
def test_any_page_is_read(page: str) -> None:
    for read in (read_vllm_metrics, read_sglang_info, read_llamacpp_props):
        read(page)
        read(f'vllm:cache_config_info{{{page}" 1.0')


async def test_the_embedded_engine_says_its_slots() -> None:
    backend = EmbeddedBackend(settings=EmbeddedSettings(slots=2, context_tokens=512))
    try:
        assert await engine_limits(backend) == EngineLimits(
            kv_tokens=1024,
            max_running=2,
            max_batch_tokens=512,
            context_tokens=512,
            cache="slots",
        )
        assert (await backend.capabilities()).kv_tokens == 1024
    finally:
        await backend.aclose()


async def test_what_is_no_server_says_what_its_capabilities_say() -> None:
    assert await engine_limits(ScriptedBackend("x", max_concurrency=3)) == EngineLimits(
        max_running=3
    )


async def limits_at(url: str) -> EngineLimits:
    backend = OpenAIBackend(url)
    try:
        return await engine_limits(backend)
    finally:
        await backend.aclose()


async def test_a_server_of_no_known_kind_is_asked_for_every_page() -> None:
    paths: list[str] = []

    async def behave(call: Call) -> None:
        paths.append(call.path)
        if call.path == "/props":
            props = {"total_slots": 2, "default_generation_settings": {"n_ctx": 64}}
            await call.respond(200, props)
        else:
            await call.respond(404, {"error": "no"})

    async with MisbehavingServer(behave) as server:
        found = await limits_at(server.url)
    assert paths == ["/metrics", "/get_server_info", "/props"]
    assert (found.kv_tokens, found.max_running, found.cache) == (128, 2, "slots")


async def test_a_server_that_breaks_off_every_page_says_nothing() -> None:
    async def behave(call: Call) -> None:
        call.reset()

    async with MisbehavingServer(behave) as server:
        assert await limits_at(server.url) == EngineLimits()


def vllm_page(call: Call) -> object:
    return METRICS.encode() if call.path == "/metrics" else None


def sglang_page(call: Call) -> object:
    info = {"max_total_num_tokens": 9000, "max_running_requests": 7}
    return info if call.path == "/get_server_info" else None


def llamacpp_page(call: Call) -> object:
    props = {"total_slots": 3, "default_generation_settings": {"n_ctx": 2048}}
    return props if call.path == "/props" else None


@pytest.mark.parametrize(
    ("owner", "page", "said"),
    [
        ("vllm", vllm_page, (10_240, None, 32_768)),
        ("sglang", sglang_page, (9000, 7, 32_768)),
        # Not what the model was trained for: what a slot has.
        ("llamacpp", llamacpp_page, (6144, 3, 2048)),
        ("somebody", vllm_page, (None, None, 32_768)),
    ],
)
async def test_capabilities_have_what_a_server_of_a_known_kind_says_of_its_engine(
    owner: str, page: Callable[[Call], object], said: tuple[int | None, ...]
) -> None:
    async def behave(call: Call) -> None:
        found = page(call)
        await call.respond(404 if found is None else 200, found or {"error": "no"})

    listed = {"data": [{"id": "m", "owned_by": owner, "max_model_len": 32_768}]}
    async with MisbehavingServer(behave, models=answer(200, listed)) as server:
        backend = OpenAIBackend(server.url)
        found = [await backend.capabilities() for _ in range(2)]
        await backend.aclose()
        questions = [call for call in server.calls if call.method == "POST"]
        assert len(questions) == (1 if owner in {"vllm", "sglang"} else 0)
        if owner in {"somebody", "llamacpp"}:
            assert len(server.calls) == (0 if owner == "somebody" else 1)
    for each in found:
        assert (each.kv_tokens, each.max_concurrency, each.context_tokens) == said


async def nonsense(call: Call) -> None:
    await call.respond(200, b"<html>vllm:cache_config_info{num_gpu_blocks=" + bytes(range(256)))


@pytest.mark.parametrize("is_hanging", [False, True])
@pytest.mark.parametrize("kind", [VLLM, SGLANG, LLAMACPP])
async def test_a_server_whose_page_is_nonsense_or_never_comes_is_used_all_the_same(
    kind: ServerKind, is_hanging: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("engine_pages", "engine_features"):
        monkeypatch.setattr(f"agentrt.backends.{module}._QUICK_S", 0.1 if is_hanging else 5.0)

    async def behave(call: Call) -> None:
        if call.method == "POST":
            await call.respond(200, completion("fine"))
        elif is_hanging:
            await server.hang(call)
        else:
            await nonsense(call)

    async with MisbehavingServer(behave) as server:
        backend = OpenAIBackend(server.url, kind=kind)
        found = await backend.capabilities()
        request = Request(messages=(Message("user", "x"),))
        assert (await backend.complete(request)).text == "fine"
        await backend.aclose()
    assert (found.kv_tokens, found.max_concurrency, found.server) == (None, None, kind.name)


async def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BackendUnavailable):
        await limits_at("http://127.0.0.1:1")
