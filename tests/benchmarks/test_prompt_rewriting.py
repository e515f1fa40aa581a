"""The benchmark of rewritten prompts, on an imitated engine: the tokens it counts are right."""

from __future__ import annotations

from agentrt.ir.node import Layout
from agentrt.testing import ScriptedBackend
from tests.benchmarks.prompt_rewriting import Measured, measure, rows, table


async def _measured(form: Layout, number: int) -> Measured:
    return await measure(form, number, 2, ScriptedBackend("a short answer"), block_tokens=16)


async def test_moved_blocks_are_computed_once_and_the_default_changes_no_prompt_text() -> None:
    found = [await _measured(form, number) for number in range(2) for form in ("S0", "S1", "S2")]
    by_form = {row.form: row for row in rows(found)}
    assert all(row.is_repeatable for row in by_form.values())
    assert by_form["S2"].computed_tokens < 0.75 * by_form["S0"].computed_tokens
    # White space between blocks may differ, and nothing else does.
    assert abs(by_form["S2"].prompt_tokens - by_form["S0"].prompt_tokens) <= 10
    assert by_form["S1"].prompt_tokens == by_form["S0"].prompt_tokens
    # Whole blocks of 16 tokens are cached: up to 15 more are computed each turn.
    assert 1 < by_form["S2"].append_only < 1.1
    assert by_form["S2"].append_only_blocks == 1
    assert "not measured" in table(list(by_form.values()), is_imitated=True)
