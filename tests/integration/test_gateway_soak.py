"""A small soak of a gateway, as an operator has it: see `tests/benchmarks/gateway_soak.py`."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from tests.benchmarks.gateway_soak import soak
from tests.benchmarks.soak_client import send
from tests.benchmarks.soak_found import Options
from tests.benchmarks.soak_malformed import malformed
from tests.benchmarks.soak_world import world

SMALL = Options(
    requests=100,
    at_once=12,
    rounds=1,
    kv_tokens=6_000,
    trouble_every_s=1.0,
    away_s=(0.0, 0.3),
    freeze_s=(0.1, 0.5),
)


async def test_nothing_hangs_or_leaks_whatever_clients_and_engines_do(tmp_path: Path) -> None:
    found = await soak(tmp_path, SMALL)
    assert found.problems == []
    assert found.requests >= SMALL.requests
    assert found.most_queued > 0
    assert {"answer", "error", "left"} <= found.came.keys()
    assert {"final", "ended", "idle", "abandoned"} <= found.ended.keys()


async def test_each_malformed_request_that_is_said_to_be_counted_is(tmp_path: Path) -> None:
    source = random.Random(1)
    async with world(tmp_path, kv_tokens=6_000) as here:
        made = [malformed(source, here.keys["acme"]) for _ in range(600)]
        posts = {
            what: post
            for what, post, _, is_counted in made
            if is_counted and post.manner == "polite"
        }
        seen: Counter[int] = Counter()
        for post in posts.values():
            seen[(await send(here.port, post, within_s=20)).status] += 1
        counted: Counter[int] = Counter()
        for name, labels, value in await here.metrics():
            if name == "agentrt_requests_total":
                counted[int(labels["status"])] += int(value)
    assert counted == seen
    assert len(posts) > 50
