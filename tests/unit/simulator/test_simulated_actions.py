"""Every action of the scheduler has its effect on engines and clients: told by hand-written ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentrt.errors import InputError, InvariantError
from agentrt.ir.prefix import Run
from agentrt.ir.workload import CallStep, ProgramTrace, Step, ToolStep, Workload
from agentrt.scheduler.actions import HoldKV, Prewarm, ReleaseKV, SchedulerAction, SendCall, Shed
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallCancelled,
    CallFinished,
    CallReady,
    ReplicaUp,
    SchedulerEvent,
    ToolStarted,
)
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.simulator.client import shared_out
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.fleet import FleetSettings
from agentrt.simulator.replay import Replay
from agentrt.simulator.report import report
from agentrt.simulator.simulation import Handles, simulate_with

# A step takes 1 s, a prompt token 0.01 s, and nothing else any time.
PLAIN = EngineModel(
    name="plain",
    step_s=1.0,
    prefill_token_s=0.01,
    decode_sequence_s=0.0,
    context_token_s=0.0,
    kv_tokens=16_000,
)
BLOCK = 10


class SendsAll:
    """Sends each call as soon as it is ready, and hears everything."""

    def __init__(self) -> None:
        self.heard: list[SchedulerEvent] = []

    def handle(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
        self.heard.append(event)
        actions = list(self.further(event, now))
        if isinstance(event, CallReady):
            actions.append(SendCall(event.call_id, "r0"))
        return actions

    def further(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
        return []


def call(first: int, blocks: int, *, after: tuple[int, ...] = (), answer: int = 10) -> CallStep:
    return CallStep(
        after=after,
        prompt=(Run(first, blocks),),
        prompt_tokens=blocks * BLOCK,
        completion_tokens=answer,
        context=(Run(first, blocks + 1),),
    )


def program(name: str, *steps: Step, at: float | None = None, tenant: str = "") -> ProgramTrace:
    return ProgramTrace(program_id=name, steps=steps, arrival_s=at, tenant=tenant)


def agent(first: int) -> tuple[Step, ...]:
    """A call of ten blocks, done at 11 s; a tool of 5 s, and a call that goes on from the first."""
    return (
        call(first, 10),
        ToolStep(after=(0,), tool="t", duration_s=5.0),
        call(first, 12, after=(1,)),
    )


def replayed(
    scheduler: Handles, *programs: ProgramTrace, kv_blocks: int = 24, held_blocks: int = 0
) -> Replay:
    workload = Workload(name="made", block_tokens=BLOCK, programs=programs)
    fleet = FleetSettings(model=PLAIN, kv_blocks=kv_blocks, held_blocks=held_blocks)
    return simulate_with(scheduler, workload, fleet)


# While the agent is in its tool, others' calls take what room there is: 24 blocks less its ten.
CROWD = (
    program("agent", *agent(0)),
    program("older", call(1_000, 5, answer=1), at=11.5),
    program("newer", call(2_000, 12, answer=1), at=14.0),
)


class HoldsTheAgent(SendsAll):
    """Holds what the agent's first call leaves, in two parts."""

    def further(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
        if isinstance(event, CallFinished) and event.call_id == "0.0":
            parts = ((Run(0, 6),), event.context)
            return [HoldKV("0:agent", "r0", part, now + 100.0) for part in parts]
        return []


class HoldsAndReleases(HoldsTheAgent):
    """Gives up both when the tool begins."""

    def further(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
        if isinstance(event, ToolStarted):
            return [ReleaseKV("0:agent", "r0")]
        return super().further(event, now)


def second_cached(replay: Replay) -> int:
    return next(c.cached_tokens for c in replay.calls if (c.program, c.step) == (0, 2))


def test_what_is_held_is_there_when_the_program_comes_back() -> None:
    lost = second_cached(replayed(SendsAll(), *CROWD))
    assert lost < 100
    assert second_cached(replayed(HoldsTheAgent(), *CROWD, held_blocks=24)) == 100
    assert second_cached(replayed(HoldsAndReleases(), *CROWD, held_blocks=24)) == lost


def test_holds_beyond_the_limit_are_cut_to_it() -> None:
    assert second_cached(replayed(HoldsTheAgent(), *CROWD, held_blocks=1)) < 100


@pytest.mark.parametrize(("held_blocks", "takes_holds"), [(0, False), (1, True)])
def test_the_scheduler_is_told_whether_replicas_take_holds(
    held_blocks: int, takes_holds: bool
) -> None:
    scheduler = SendsAll()
    replayed(scheduler, CROWD[0], held_blocks=held_blocks)
    up = next(event for event in scheduler.heard if isinstance(event, ReplicaUp))
    assert up == ReplicaUp(
        replica_id="r0", kv_blocks=24, max_running=PLAIN.max_running, takes_holds=takes_holds
    )


def test_a_hold_where_none_is_taken_is_a_fault_of_the_scheduler() -> None:
    with pytest.raises(InvariantError, match="'r0' takes no holds"):
        replayed(HoldsTheAgent(), *CROWD)


@pytest.mark.parametrize("held_blocks", [-1, 25])
def test_no_more_can_be_held_than_there_is(held_blocks: int) -> None:
    with pytest.raises(InputError, match="cannot be held"):
        replayed(SendsAll(), CROWD[0], held_blocks=held_blocks)


class Prewarms(SendsAll):
    """Has the agent's next prompt computed while its tool is at work."""

    def further(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
        if isinstance(event, ToolStarted):
            return [Prewarm("0:agent", "r0", (Run(0, 12),)), Prewarm("0:agent", "r0", ())]
        return []


def test_a_prewarmed_prefix_is_a_hit_and_its_tokens_are_counted() -> None:
    alone, warmed = SendsAll(), Prewarms()
    cold, warm = replayed(alone, CROWD[0]), replayed(warmed, CROWD[0])
    assert (second_cached(cold), second_cached(warm)) == (100, 110)
    assert warm.prewarmed_tokens == 20
    # 100 of the first call, 20 of the prewarming, and the last block again.
    assert (cold.computed_tokens, warm.computed_tokens) == (120, 130)
    assert len(warm.calls) == len(cold.calls)
    assert [type(event) for event in warmed.heard] == [type(event) for event in alone.heard]
    figures = report(warm)
    assert (figures.calls, figures.prompt_tokens, figures.prewarmed_tokens) == (2, 220, 20)
    # What was prewarmed counts as missed, so that nobody beats the optimum by it.
    assert figures.belady_distance == pytest.approx((1 - 110 / 220 + 20 / 220) / (1 - 110 / 220))


def test_prewarming_what_fits_no_engine_does_nothing() -> None:
    class Asks(SendsAll):
        def further(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
            wish = Prewarm("0:agent", "r0", (Run(5_000, 99),))
            return [wish] if isinstance(event, ToolStarted) else []

    assert replayed(Asks(), CROWD[0]).calls == replayed(SendsAll(), CROWD[0]).calls


class ShedsFirst(SendsAll):
    """Refuses each call so many times."""

    def __init__(self, times: int, retry_after_s: float) -> None:
        super().__init__()
        self._left: dict[str, int] = {}
        self._times = times
        self._retry_after_s = retry_after_s

    def handle(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
        if isinstance(event, CallReady):
            left = self._left.setdefault(event.call_id, self._times)
            if left:
                self._left[event.call_id] -= 1
                return [Shed(event.call_id, self._retry_after_s)]
        return super().handle(event, now)


def test_a_call_that_was_shed_is_made_again_and_has_waited_since_the_first_time() -> None:
    replay = replayed(ShedsFirst(2, 3.0), program("one", call(0, 10)))
    (record,) = replay.calls
    assert (record.ready_s, record.started_s, record.shed) == (0.0, 6.0, 2)
    figures = report(replay)
    assert (figures.shed, figures.calls, figures.max_wait_s) == (2, 1, 6.0)


@pytest.mark.parametrize("retry_after_s", [0.0, -1.0, float("inf"), float("nan")])
def test_a_call_to_be_made_again_at_once_or_never_is_a_fault_of_the_scheduler(
    retry_after_s: float,
) -> None:
    with pytest.raises(InvariantError, match="tried again after"):
        replayed(ShedsFirst(1, retry_after_s), program("one", call(0, 10)))


def test_the_core_takes_a_call_again_that_it_has_forgotten() -> None:
    class CoreThatSheds:
        """The core, in front of which the second program's first call is refused once."""

        def __init__(self) -> None:
            self._core = Scheduler(FixedCap(1))
            self._has_shed = False

        def handle(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
            actions = self._core.handle(event, now)
            if isinstance(event, CallReady) and event.call_id == "1.0" and not self._has_shed:
                self._has_shed = True
                actions += self._core.handle(CallCancelled("1.0"), now)
                actions.append(Shed("1.0", 2.0))
            return actions

    replay = replayed(CoreThatSheds(), program("one", call(0, 10)), program("two", call(90, 10)))
    assert [p.finished_s for p in replay.programs] == [11.0, 22.0]
    assert [record.shed for record in replay.calls] == [0, 1]


def test_siblings_that_fit_no_engine_end_their_program_once() -> None:
    too_large = program("large", call(0, 99), call(500, 99))
    replay = replayed(SendsAll(), too_large, program("small", call(900, 2)))
    assert [p.finished_s is None for p in replay.programs] == [True, False]


def test_a_program_has_waited_while_it_had_calls_and_none_was_under_way() -> None:
    # Each 11 s of work; the engine has room for one at a time, the sibling runs after the first.
    both = program("both", call(0, 20), call(500, 20))
    replay = replayed(SendsAll(), both, program("third", call(900, 20)))
    figures = report(replay)
    starts = [record.started_s for record in replay.calls]
    assert starts == [0.0, 12.0, 24.0]
    assert figures.max_wait_s == figures.max_call_wait_s == 24.0
    assert figures.max_program_wait_s == 24.0
    first_alone = report(replayed(SendsAll(), both))
    assert (first_alone.max_wait_s, first_alone.max_program_wait_s) == (12.0, 0.0)


def test_programs_with_deadlines_make_them_or_do_not() -> None:
    def due(in_s: float | None) -> ProgramTrace:
        return replace(program("p", call(0, 2)), deadline_s=in_s)

    assert report(replayed(SendsAll(), due(None))).slo_attainment is None
    assert report(replayed(SendsAll(), due(None), due(100.0), due(1.0))).slo_attainment == 0.5
    large = replace(program("large", call(0, 99)), deadline_s=1e9)
    assert report(replayed(SendsAll(), large, due(100.0))).slo_attainment == 0.5


def test_tenants_have_figures_of_their_own_if_there_are_several() -> None:
    one = report(replayed(SendsAll(), program("p", call(0, 2), tenant="a")))
    assert one.tenants == {}
    both = report(
        replayed(
            SendsAll(),
            program("p", call(0, 20), tenant="b"),
            program("q", call(500, 20), tenant="a"),
        )
    )
    assert list(both.tenants) == ["a", "b"]
    assert both.tenants["a"].mean_completion_s == both.tenants["a"].p99_s == 24.0
    assert both.tenants["a"].mean_slowdown == pytest.approx(2.0)
    assert both.tenants["b"].p99_slowdown == pytest.approx(1.0)
    assert both.mean_slowdown == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("counts", "places", "expected"),
    [
        ({"": 9}, 4, {"": 4}),
        ({"": 9}, None, {"": 9}),
        ({"": 9}, 20, {"": 9}),
        ({"a": 1, "b": 9}, 5, {"a": 1, "b": 4}),
        ({"a": 5, "b": 5}, 5, {"a": 3, "b": 2}),
        ({"a": 1, "b": 1, "c": 1_000}, 2, {"a": 1, "b": 1, "c": 1}),
        ({}, 3, {}),
    ],
)
def test_a_closed_loop_has_places_for_each_tenant(
    counts: dict[str, int], places: int | None, expected: dict[str, int]
) -> None:
    assert shared_out(counts, places) == expected


def test_a_tenant_whose_programs_are_done_sooner_has_no_more_of_them_under_way() -> None:
    quick = [program(f"q{at}", call(at * 50, 1, answer=1), tenant="quick") for at in range(3)]
    slow = [program(f"s{at}", call(900 + at * 50, 1), tenant="slow") for at in range(3)]
    workload = Workload(name="made", block_tokens=BLOCK, programs=(*quick, *slow))
    fleet = FleetSettings(model=PLAIN, kv_blocks=1_000)
    replay = simulate_with(SendsAll(), workload, fleet, programs_at_once=2)
    for before, after in ((0, 1), (1, 2), (3, 4), (4, 5)):
        assert replay.programs[after].arrived_s == replay.programs[before].finished_s


def test_occupancy_is_sampled_evenly_and_sparsely() -> None:
    programs = [program(f"p{at}", call(at * 100, 10)) for at in range(120)]
    replay = replayed(SendsAll(), *programs)
    times = [moment.at for moment in replay.occupancy]
    assert 2 < len(times) < 512
    assert times == sorted(times)
    assert max(moment.used_blocks for moment in replay.occupancy) <= 24
    assert any(moment.used_blocks >= 20 for moment in replay.occupancy)
