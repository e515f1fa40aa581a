"""A small soak of a gateway, as an operator has it: see `tests/benchmarks/gateway_soak.py`."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.gateway_soak import soak
from tests.benchmarks.soak_found import Options

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
