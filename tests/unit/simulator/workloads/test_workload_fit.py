"""Parameters fitted to a workload make workloads like it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from agentrt.ir.workload import ToolStep, Workload
from agentrt.simulator import workloads
from agentrt.simulator.workloads.presets import BROWSER, FANOUT, MAP_REDUCE, SWE
from agentrt.simulator.workloads.quantiles import Quantiles, constant, quantiles_of

_LEVELS = (0.25, 0.5, 0.75, 0.9)


def _made(shape: workloads.WorkflowShape, programs: int) -> Workload:
    parameters = workloads.Parameters(name="p", programs=programs, shapes=(shape,))
    return workloads.generate(parameters, seed=3)


def _near(fitted: Quantiles, asked: Quantiles, tolerance: float) -> None:
    for level in _LEVELS:
        assert fitted.at(level) == pytest.approx(asked.at(level), rel=tolerance, abs=1.0)


@pytest.mark.parametrize("shape", [SWE, BROWSER, FANOUT], ids=lambda shape: shape.workflow)
def test_what_a_workload_was_made_from_is_found_again(shape: workloads.WorkflowShape) -> None:
    (fitted,) = workloads.fitted(_made(shape, 600)).shapes

    assert fitted.system_tokens == shape.system_tokens // 16 * 16
    _near(fitted.turns, shape.turns, 0.1)
    _near(fitted.new_tokens, shape.new_tokens, 0.1)
    _near(fitted.completion_tokens, shape.completion_tokens, 0.1)
    _near(fitted.task_tokens, shape.task_tokens, 0.15)
    assert fitted.tool_share == pytest.approx(1.0)
    assert fitted.parallel_share == pytest.approx(shape.parallel_share, abs=0.02)
    assert fitted.restart_share == pytest.approx(0.0)


def test_sub_agents_are_found_again() -> None:
    (fitted,) = workloads.fitted(_made(FANOUT, 600)).shapes

    assert fitted.sub_agents is not None
    assert FANOUT.sub_agents is not None
    assert fitted.sub_agents.share == pytest.approx(FANOUT.sub_agents.share, abs=0.03)
    assert fitted.sub_agents.system_tokens == 2000
    _near(fitted.sub_agents.width, FANOUT.sub_agents.width, 0.15)
    _near(fitted.sub_agents.turns, FANOUT.sub_agents.turns, 0.15)


def test_sub_agents_that_begin_with_their_parents_context_are_found_again() -> None:
    (fitted,) = workloads.fitted(_made(MAP_REDUCE, 300)).shapes

    assert fitted.sub_agents is not None
    assert fitted.sub_agents.system_tokens is None
    _near(fitted.sub_agents.task_tokens, workloads.log_normal(100, 300, 1000), 0.1)


def test_a_workload_made_from_a_fit_has_the_quantiles_of_the_first() -> None:
    first = workloads.generate(workloads.preset("mixed", programs=600), seed=1)
    second = workloads.generate(workloads.fitted(first, programs=1200), seed=2)
    told, made = workloads.summarise(first), workloads.summarise(second)

    assert made.programs == 1200
    for was, became in (
        (told.turns, made.turns),
        (told.prompt_tokens, made.prompt_tokens),
        (told.completion_tokens, made.completion_tokens),
        (told.tool_s, made.tool_s),
    ):
        assert became.p50 == pytest.approx(was.p50, rel=0.15)
        assert became.p90 == pytest.approx(was.p90, rel=0.15)
    assert made.infinite_hit_ratio == pytest.approx(told.infinite_hit_ratio, abs=0.02)


def test_tools_keep_their_shares_and_tenants_theirs() -> None:
    parameters = replace(
        workloads.preset("browser", programs=400), tenants=(("a", 1.0), ("b", 3.0))
    )
    fitted = workloads.fitted(workloads.generate(parameters, seed=1))

    shares = {tool.tool: tool.share for tool in fitted.shapes[0].tools}
    total = sum(shares.values())
    assert {name: round(share / total, 1) for name, share in shares.items()} == {
        "click": 0.5,
        "goto": 0.2,
        "scroll": 0.1,
        "type": 0.2,
    }
    assert dict(fitted.tenants)["b"] / 400 == pytest.approx(0.75, abs=0.06)


def test_condensed_histories_are_found_again() -> None:
    shape = replace(SWE, restart_share=0.1, restart_tokens=constant(500))

    (fitted,) = workloads.fitted(_made(shape, 300)).shapes

    # A restart early on, before the prompt is longer than it, cannot be told from going on.
    assert fitted.restart_share == pytest.approx(0.1, abs=0.02)
    assert fitted.restart_tokens.at(0.5) == pytest.approx(500, abs=16)


def test_a_workload_without_programs_gives_no_shapes() -> None:
    fitted = workloads.fitted(Workload(name="none", block_tokens=16, programs=()))

    assert (fitted.programs, fitted.shapes) == (0, ())


def test_quantiles_of_measurements_draw_what_was_measured() -> None:
    rng = random.Random(1)
    measured = [rng.lognormvariate(1.0, 1.0) for _ in range(2000)]
    drawn = sorted(quantiles_of(measured).draw(rng) for _ in range(2000))

    for level in _LEVELS:
        assert drawn[int(level * 2000)] == pytest.approx(
            sorted(measured)[int(level * 2000)], rel=0.12
        )
    assert max(drawn) <= max(measured)


def test_nothing_measured_is_all_zero() -> None:
    assert quantiles_of([]).draw(random.Random(0)) == 0.0


def test_a_program_without_calls_is_not_counted() -> None:
    made = _made(SWE, 1)
    tool = replace(made.programs[0], steps=(ToolStep(after=(), tool="x", duration_s=1.0),))

    assert workloads.fitted(replace(made, programs=(tool,))).shapes == ()
