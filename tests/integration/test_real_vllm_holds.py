"""What a real vLLM takes, and holds in it where it was started with our scheduler class.

    AGENTRT_TEST_VLLM_URL=vllm+http://127.0.0.1:8000 pytest tests/integration/test_real_vllm_holds.py

The server needs `--enable-prefix-caching --enable-prompt-tokens-details`, for the holds also
`--scheduler-cls agentrt.backends.vllm_holds.HoldingScheduler` and a cache of some ten thousand tokens.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentrt.backends.engine_features import asked_for_holds
from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.registry import connect
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Message, Request, Usage

URL = os.environ.get("AGENTRT_TEST_VLLM_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="AGENTRT_TEST_VLLM_URL names no vLLM server")

MOST_TOKENS = 50_000
PROMPT_WORDS = 200


@pytest.fixture
async def vllm() -> AsyncIterator[OpenAIBackend]:
    backend = connect(URL)
    assert isinstance(backend, OpenAIBackend)
    yield backend
    await backend.aclose()


@pytest.fixture
async def holding(vllm: OpenAIBackend) -> OpenAIBackend:
    capabilities = await vllm.capabilities()
    if not await asked_for_holds(vllm.connection, model=capabilities.models[0]):
        pytest.skip("the server was started without our scheduler class")
    if capabilities.kv_tokens is None or capabilities.kv_tokens > MOST_TOKENS:
        pytest.skip("the server's cache is too large to fill")
    return vllm


def fresh_prompt() -> str:
    noise = random.Random(os.urandom(8))
    return " ".join(str(noise.randrange(10_000)) for _ in range(PROMPT_WORDS))


async def ask(backend: OpenAIBackend, prompt: str, **xargs: Any) -> Usage:
    request = Request(
        messages=(Message("user", prompt),),
        options=LLMOptions(max_tokens=2, temperature=0.0),
        extra={"vllm_xargs": xargs} if xargs else {},
    )
    return (await backend.complete(request)).usage


async def fill(backend: OpenAIBackend) -> None:
    """Put more into the cache than it has room for, one after the other."""
    kv_tokens = (await backend.capabilities()).kv_tokens
    assert kv_tokens is not None
    filled = 0
    while filled < 1.5 * kv_tokens:
        filled += (await ask(backend, fresh_prompt())).prompt_tokens


async def cached_share(backend: OpenAIBackend, prompt: str) -> float:
    usage = await ask(backend, prompt)
    return usage.cached_tokens / usage.prompt_tokens


async def test_a_vllm_server_says_what_it_takes(vllm: OpenAIBackend) -> None:
    takes = (await vllm.capabilities()).takes
    known = {"cache_salt", "kv_transfer_params", "priority", "session_id", "vllm_xargs"}
    assert set(takes.body) == known
    assert takes.priority == "lower_first"
    assert takes.dialects == ("vllm", "vllm-holds")
    assert takes.has_tokenizer
    assert {"kv_cache_usage_perc", "num_requests_waiting"} <= set(takes.metrics)


async def test_a_salt_keeps_tenants_apart(vllm: OpenAIBackend) -> None:
    async def cached(salt: str) -> int:
        request = Request(
            messages=(Message("user", prompt),),
            options=LLMOptions(max_tokens=1),
            extra={"cache_salt": salt},
        )
        return (await vllm.complete(request)).usage.cached_tokens

    prompt = fresh_prompt()
    assert [await cached("a"), await cached("b")] == [0, 0]
    assert await cached("a") > 0


async def test_a_held_context_outlives_a_cache_full_of_others(holding: OpenAIBackend) -> None:
    held, unheld = fresh_prompt(), fresh_prompt()
    await ask(holding, held, agentrt_program="held", agentrt_hold_s=600)
    await ask(holding, unheld, agentrt_program="unheld", agentrt_hold_s=0)
    await fill(holding)
    assert await cached_share(holding, held) > 0.9
    assert await cached_share(holding, unheld) < 0.1
    await ask(holding, held, agentrt_program="held", agentrt_last=1)


async def test_a_hold_ends_with_its_time_and_with_its_program(holding: OpenAIBackend) -> None:
    short, last = fresh_prompt(), fresh_prompt()
    await ask(holding, short, agentrt_program="short", agentrt_hold_s=0.2)
    await ask(holding, last, agentrt_program="last", agentrt_hold_s=600)
    await ask(holding, last, agentrt_program="last", agentrt_last=1)
    await asyncio.sleep(0.3)
    await fill(holding)
    assert await cached_share(holding, short) < 0.1
    assert await cached_share(holding, last) < 0.1


async def test_programs_that_hold_more_than_there_is_are_all_answered(
    holding: OpenAIBackend,
) -> None:
    async def program(number: int) -> None:
        prompt = fresh_prompt()
        for _ in range(2):
            usage = await ask(holding, prompt, agentrt_program=f"p{number}", agentrt_hold_s=1e12)
            assert usage.completion_tokens > 0
        await ask(holding, prompt, agentrt_program=f"p{number}", agentrt_last=1)

    async with asyncio.timeout(300), asyncio.TaskGroup() as tasks:
        for number in range(16):
            tasks.create_task(program(number))


@pytest.mark.parametrize(
    "xargs",
    [
        {"agentrt_program": "x" * 10_000, "agentrt_hold_s": 1},
        {"agentrt_program": 7, "agentrt_hold_s": "soon"},
        {"agentrt_program": "odd", "agentrt_hold_s": -1, "agentrt_last": "no"},
        {"agentrt_program": "odd", "agentrt_hold_s": ["1"]},
        {"agentrt_program": ""},
    ],
)
async def test_whatever_a_client_says_of_holds_it_is_answered(
    holding: OpenAIBackend, xargs: dict[str, Any]
) -> None:
    assert (await ask(holding, "Say: ok", **xargs)).completion_tokens > 0
