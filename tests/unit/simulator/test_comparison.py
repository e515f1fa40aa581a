"""Comparing policies: same work for all, caps found by trying, figures over seeds, the picture."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from xml.etree import ElementTree

import pytest

from agentrt.errors import InputError, InvariantError
from agentrt.ir.workload import Workload
from agentrt.scheduler.policies import named
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.simulator.comparison import FIGURES, Contender, Spread, compare, grouped, spread
from agentrt.simulator.comparison_bench import Bench, Setup, Worker
from agentrt.simulator.comparison_work import CapTrial, Outcome, Work, job_text
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.loads import AsRecorded, Load, Oversubscription, load_text
from agentrt.simulator.plot import plot_svg
from agentrt.simulator.report import report
from agentrt.simulator.simulation import simulate
from agentrt.simulator.unloaded import unloaded_s
from agentrt.simulator.workloads import Bursty, ClosedLoop, Poisson, generate, preset

MODEL = PRESETS["llama-3-8b-h100"]
SETUP = Setup(model=MODEL, kv_blocks=3000)
BEST_CAP = Contender("best-cap", None)


def made(seed: int) -> Workload:
    return generate(preset("browser", programs=16), seed=seed)


def of(*labels: str) -> list[Contender]:
    return [Contender(label, partial(named, label)) for label in labels]


def compared(
    contenders: Sequence[Contender], *loads: Load, seeds: Sequence[int] = (0,)
) -> tuple[Outcome, ...]:
    return compare(Bench(made, SETUP), contenders, loads=loads, seeds=seeds)


def test_an_outcome_is_the_report_of_that_replay() -> None:
    (outcome,) = compared(of("cap-3"), ClosedLoop(6))
    replay = simulate(made(0), FixedCap(3), model=MODEL, kv_blocks=3000, programs_at_once=6)
    assert outcome.report == report(replay)
    assert (outcome.programs_at_once, outcome.wanted_at_once, outcome.kv_blocks) == (6, 6, 3000)
    assert len(outcome.completions_s) == 16


def test_outcomes_come_by_load_then_policy_then_seed() -> None:
    outcomes = compared(of("fcfs", "cap-2"), ClosedLoop(2), ClosedLoop(4), seeds=(3, 4))
    places = [(o.load, o.label, o.seed) for o in outcomes]
    assert places == [
        (ClosedLoop(count), label, seed)
        for count in (2, 4)
        for label in ("fcfs", "cap-2")
        for seed in (3, 4)
    ]
    assert [(load, list(found)) for load, found in grouped(outcomes)] == [
        (ClosedLoop(2), ["fcfs", "cap-2"]),
        (ClosedLoop(4), ["fcfs", "cap-2"]),
    ]


def test_the_same_comparison_has_the_same_outcomes() -> None:
    contenders = [*of("fcfs"), BEST_CAP]
    loads = (Poisson(0.5), Oversubscription(2.0))
    assert compared(contenders, *loads) == compared(contenders, *loads)


def test_the_best_cap_is_the_best_of_those_tried_and_as_good_as_any() -> None:
    load = ClosedLoop(12)
    (best,) = compared([BEST_CAP], load)
    every = {
        cap: compared(of(f"cap-{cap}"), load)[0].report.mean_completion_s for cap in range(1, 13)
    }
    tried = {trial.cap: trial.mean_completion_s for trial in best.trials}
    assert tried == {cap: every[cap] for cap in tried}
    assert 12 in tried, "no cap at all is one of them"
    assert best.cap is not None
    assert best.report.mean_completion_s == every[best.cap] == min(tried.values())
    assert best.report.mean_completion_s <= min(every.values()) * 1.02


def test_on_several_replicas_no_cap_at_all_is_tried_as_well() -> None:
    setup = Setup(model=MODEL, kv_blocks=3000, replicas=3)
    contenders = [*of("fcfs", "cap-7"), BEST_CAP]
    fcfs, free, best = compare(Bench(made, setup), contenders, loads=[ClosedLoop(7)], seeds=[0])
    assert 7 in {trial.cap for trial in best.trials}
    assert free.report.mean_completion_s == fcfs.report.mean_completion_s
    assert best.report.mean_completion_s <= fcfs.report.mean_completion_s


def test_of_caps_that_do_the_same_the_lowest_is_taken() -> None:
    (best,) = compared([BEST_CAP], ClosedLoop(1))
    assert (best.trials, best.cap) == ((CapTrial(1, best.report.mean_completion_s),), 1)


def test_oversubscription_says_how_many_programs_it_wants_and_how_many_there_are() -> None:
    (few,) = compared(of("fcfs"), Oversubscription(0.001))
    (many,) = compared(of("fcfs"), Oversubscription(1e6))
    assert (few.programs_at_once, few.wanted_at_once) == (1, 1)
    assert many.programs_at_once == 16
    assert many.wanted_at_once is not None
    assert many.wanted_at_once > 16


def test_recorded_arrivals_stand_unless_a_load_is_asked_for() -> None:
    timed = replace(
        made(0),
        programs=tuple(
            replace(program, arrival_s=1e5 * at) for at, program in enumerate(made(0).programs)
        ),
    )

    def run(load: Load) -> Outcome:
        return compare(Bench(lambda _: timed, SETUP), of("fcfs"), loads=[load], seeds=[0])[0]

    assert run(AsRecorded()).report.makespan_s > 15e5
    assert run(AsRecorded()).programs_at_once is None
    loads: list[Load] = [ClosedLoop(4), Poisson(1.0), Oversubscription(1.0)]
    for load in loads:
        assert run(load).report.makespan_s < 1e5


def test_figures_over_seeds_are_median_least_and_most() -> None:
    outcomes = compared(of("fcfs"), ClosedLoop(4), seeds=(0, 1, 2))
    means = sorted(outcome.report.mean_completion_s for outcome in outcomes)
    assert spread(outcomes, "mean_completion_s") == Spread(means[1], means[0], means[2])
    assert all(hasattr(outcomes[0].report, figure) for figure in FIGURES)


def test_each_run_is_announced_before_it_begins() -> None:
    told: list[str] = []
    compare(Bench(made, SETUP), of("fcfs"), loads=[ClosedLoop(2)], seeds=[5, 6], on_run=told.append)
    assert told == ["fcfs, 2 at once, seed 5", "fcfs, 2 at once, seed 6"]


def test_loads_in_words() -> None:
    loads: list[Load] = [
        AsRecorded(),
        Poisson(0.25),
        Bursty(0.25, 4.0),
        ClosedLoop(3),
        Oversubscription(2.0),
        Oversubscription(2.0, "poisson"),
    ]
    assert [load_text(load) for load in loads] == [
        "arrivals as recorded",
        "0.25 programs/s",
        "0.25 programs/s in bursts",
        "3 at once",
        "oversubscription 2",
        "oversubscription 2, poisson",
    ]


def test_programs_that_fit_no_replica_are_counted_and_crash_nothing() -> None:
    tiny = Setup(model=MODEL, kv_blocks=10)
    loads: list[Load] = [Oversubscription(2.0), Poisson(1.0)]
    contenders = [*of("fcfs", "occupancy"), BEST_CAP]
    outcomes = compare(Bench(made, tiny, has_curves=True), contenders, loads=loads, seeds=[0])
    assert [(o.report.unfinished, o.completions_s) for o in outcomes] == [(16, ())] * 6
    assert "</svg>" in plot_svg(outcomes, title="none")


@pytest.mark.parametrize(
    "broken",
    [
        Setup(model=MODEL, replicas=0),
        Setup(model=MODEL, kv_blocks=0),
        Setup(model=MODEL, kv_blocks=10, held_blocks=11),
        Setup(model=MODEL, tenants={"a": 0.0}),
        Setup(model=MODEL, tenants={f"t{at}": 1.0 for at in range(17)}),
        Setup(model=MODEL, deadlines={"nobody": 2.0}),
        Setup(model=MODEL, deadlines={"*": 0.0}),
    ],
)
def test_a_setup_that_cannot_be_is_refused(broken: Setup) -> None:
    with pytest.raises(InputError):
        compare(Bench(made, broken), of("fcfs"), loads=[ClosedLoop(1)], seeds=[0])


def test_an_empty_workload_is_refused_by_name() -> None:
    empty = replace(made(0), name="nobody", programs=())
    with pytest.raises(InputError, match="'nobody' has no programs"):
        compare(Bench(lambda _: empty, SETUP), of("fcfs"), loads=[ClosedLoop(1)], seeds=[0])


def drawn(svg: str) -> tuple[list[str], int]:
    """The texts of a picture, and how many lines it draws."""
    root = ElementTree.fromstring(svg)  # noqa: S314  our own
    space = "{http://www.w3.org/2000/svg}"
    texts = [element.text or "" for element in root.iter(f"{space}text")]
    return texts, len(list(root.iter(f"{space}polyline")))


def test_the_picture_of_one_load_is_of_completion_times() -> None:
    outcomes = compared(of("fcfs", "cap-2"), ClosedLoop(4))
    texts, lines = drawn(plot_svg(outcomes, title="a < b & c"))
    assert lines == 2
    assert {"a < b & c, 4 at once", "completion time, s", "fcfs", "cap-2"} <= set(texts)
    assert plot_svg(outcomes, title="t") == plot_svg(outcomes, title="t")


def test_the_picture_of_several_loads_has_the_mean_of_each_as_well() -> None:
    outcomes = compared(of("fcfs", "cap-2"), Oversubscription(0.5), Oversubscription(2.0))
    texts, lines = drawn(plot_svg(outcomes, title="t"))
    assert lines == 4
    assert {"KV oversubscription", "completion time, s", "t, oversubscription 2"} <= set(texts)


def test_the_picture_has_how_full_the_caches_were_where_it_was_asked_for() -> None:
    bench = Bench(made, SETUP, has_curves=True)
    outcomes = compare(bench, of("fcfs", "cap-2"), loads=[ClosedLoop(8)], seeds=[0])
    texts, lines = drawn(plot_svg(outcomes, title="t"))
    assert lines == 2 + 4
    assert {"share of all KV blocks", "fcfs: in use", "cap-2: live contexts"} <= set(texts)
    crowded, capped = (outcome.live or () for outcome in outcomes)
    assert max(share for _, share in crowded) > max(share for _, share in capped) > 0.0
    for outcome in outcomes:
        assert all(0.0 <= share <= 1.0 for _, share in outcome.in_use or ())
        assert (outcome.live or ())[-1][1] == pytest.approx(0.0, abs=0.1)


def test_random_arrivals_at_an_oversubscription_come_at_the_rate_that_fills_the_caches() -> None:
    single, double = compared(
        of("fcfs"), Oversubscription(1.0, "poisson"), Oversubscription(2.0, "poisson")
    )
    (closed,) = compared(of("fcfs"), Oversubscription(2.0))
    assert single.rate_per_s is not None
    assert double.rate_per_s is not None
    assert closed.rate_per_s is None
    assert single.programs_at_once is double.programs_at_once is None
    # What programs share counts once: twice the load is a little more than twice the rate.
    assert 2.0 <= double.rate_per_s / single.rate_per_s < 2.5
    alone_s = statistics.fmean(unloaded_s(trace, MODEL, 16) for trace in made(0).programs)
    assert closed.programs_at_once == round(double.rate_per_s * alone_s)
    (bursty,) = compared(of("fcfs"), Oversubscription(2.0, "bursty"))
    assert bursty.rate_per_s == double.rate_per_s
    assert bursty.report != double.report


def test_tenants_and_deadlines_are_dealt_out_before_anything_runs() -> None:
    setup = Setup(
        model=MODEL,
        kv_blocks=3000,
        tenants={"few": 1.0, "many": 7.0},
        deadlines={"few": 1e6, "*": 1e-6},
    )
    (outcome,) = compare(Bench(made, setup), of("fcfs"), loads=[ClosedLoop(4)], seeds=[0])
    few, many = outcome.report.tenants["few"], outcome.report.tenants["many"]
    assert (few.programs, many.programs) == (2, 14)
    assert (few.slo_attainment, many.slo_attainment) == (1.0, 0.0)
    assert outcome.report.slo_attainment == 2 / 16
    found = spread([outcome], "slo_attainment", "few")
    assert found == Spread(1.0, 1.0, 1.0)


def test_the_outcomes_are_the_same_whoever_does_the_work_and_in_whatever_order() -> None:
    def backwards(bench: Bench, work: Work, on_run: Callable[[str], None]) -> None:
        """Takes all there is, and does the last first."""
        worker = Worker(bench)
        while True:
            tickets = list(iter(work.take, None))
            if not tickets:
                return
            for ticket in reversed(tickets):
                on_run(job_text(ticket.job))
                work.give(ticket, worker.do(ticket.job))

    contenders = [*of("fcfs"), BEST_CAP]
    loads: list[Load] = [ClosedLoop(6), Oversubscription(2.0, "poisson")]
    usual = compare(Bench(made, SETUP), contenders, loads=loads, seeds=[0, 1])
    other = compare(Bench(made, SETUP), contenders, loads=loads, seeds=[0, 1], workers=backwards)
    assert other == usual


def test_workers_that_stop_half_way_are_noticed() -> None:
    with pytest.raises(InvariantError, match="undone"):
        compare(
            Bench(made, SETUP),
            of("fcfs"),
            loads=[ClosedLoop(1)],
            seeds=[0],
            workers=lambda bench, work, on_run: None,
        )
