"""The comparison with and without the gateway runs, and every stream comes to its end."""

from __future__ import annotations

import argparse

from tests.benchmarks import gateway_overhead


async def test_a_small_comparison_answers_every_stream_both_ways() -> None:
    options = argparse.Namespace(quick=True, memory_requests=0, memory_only=False)
    found = await gateway_overhead.run(options)
    assert [(row.load, row.way) for row in found.rows] == [
        ("50 tokens/s each", "direct"),
        ("50 tokens/s each", "gateway"),
        ("as fast as it can", "direct"),
        ("as fast as it can", "gateway"),
    ]
    assert all(0 < row.p50_ms <= row.p99_ms and row.tokens_per_s > 0 for row in found.rows)
    assert found.memory_mb[-1][0] == 1920
    assert "throughput lost" in gateway_overhead.table(found)
