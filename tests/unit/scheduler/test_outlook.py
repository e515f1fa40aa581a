"""What the scheduler learns from a series of its events."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.ir.prefix import Chain, Run
from agentrt.ir.request import Usage
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    REPLY,
    CallFinished,
    CallReady,
    CallStarted,
    FirstToken,
    ProgramArrived,
    ProgramCancelled,
    ProgramFinished,
    ReplicaUp,
    SchedulerEvent,
    ToolFinished,
    ToolStarted,
)
from agentrt.scheduler.policies.unmanaged import Unmanaged
from agentrt.scheduler.state import Pause

SH, EDIT = ToolUse("sh", "make"), ToolUse("edit")


class NotedEstimates(Estimates):
    """Estimates that say what they were told of next calls."""

    def __init__(self) -> None:
        super().__init__()
        self.next_calls: list[tuple[int, dict[ToolUse, float], float]] = []

    def observe_next_call(
        self, workflow: str, turn: int, uses: Sequence[tuple[ToolUse, float]], seconds: float
    ) -> None:
        assert workflow == "swe"
        self.next_calls.append((turn, dict(uses), seconds))
        super().observe_next_call(workflow, turn, uses, seconds)


def _scheduler(estimates: Estimates | None = None) -> Scheduler:
    scheduler = Scheduler(Unmanaged(), estimates=estimates)
    scheduler.handle(ReplicaUp(replica_id="r0", kv_blocks=10_000), 0.0)
    scheduler.handle(ProgramArrived(program_id="p", workflow="swe"), 0.0)
    return scheduler


def _prefix(blocks: int, branch: int = 0) -> Chain:
    """The first ten blocks are the same in all branches."""
    if blocks <= 10:
        return (Run(0, blocks),)
    return (Run(0, 10), Run((branch + 1) << 20, blocks - 10))


def ready(call_id: str, chain: Chain) -> CallReady:
    return CallReady(call_id=call_id, program_id="p", chain=chain, prompt_tokens=100)


def finished(call_id: str, chain: Chain, **usage: int) -> CallFinished:
    return CallFinished(call_id, Usage(**usage), chain)


def started(tool_id: str, use: ToolUse, call_id: str | None = None) -> ToolStarted:
    return ToolStarted("p", tool_id, use.tool, use.argument_class, call_id)


def _play(scheduler: Scheduler, *events: tuple[float, SchedulerEvent]) -> None:
    for at, event in events:
        scheduler.handle(event, at)
        scheduler.check()


FIRST_TURN = ((0.0, ready("c0", _prefix(20))), (1.0, finished("c0", _prefix(22))))


def test_a_turn_with_one_tool_tells_how_long_it_was_to_the_next_call() -> None:
    estimates = NotedEstimates()
    _play(
        _scheduler(estimates),
        *FIRST_TURN,
        (1.5, started("t0", SH)),
        (4.0, ToolFinished("p", "t0")),
        (4.5, ready("c1", _prefix(30))),
    )
    assert estimates.next_calls == [(1, {SH: 3.0}, 3.5)]


def test_of_several_tools_each_tells_when_it_was_back() -> None:
    estimates = NotedEstimates()
    _play(
        _scheduler(estimates),
        *FIRST_TURN,
        (1.0, started("t0", SH)),
        (1.0, started("t1", EDIT)),
        (2.0, ToolFinished("p", "t1")),
        (6.0, ToolFinished("p", "t0")),
        (6.5, ready("c1", _prefix(30))),
    )
    assert estimates.next_calls == [(1, {SH: 5.0, EDIT: 1.0}, 5.5)]


def test_a_tool_that_is_not_waited_for_counts_as_back_when_the_call_comes() -> None:
    estimates = NotedEstimates()
    _play(
        _scheduler(estimates),
        *FIRST_TURN,
        (1.0, started("t0", SH)),
        (3.0, ready("c1", _prefix(30))),
        (9.0, ToolFinished("p", "t0")),
    )
    assert estimates.next_calls == [(1, {SH: 2.0}, 2.0)]


def test_in_a_fan_out_the_first_call_to_go_on_tells_and_its_siblings_do_not() -> None:
    estimates = NotedEstimates()
    _play(
        _scheduler(estimates),
        *FIRST_TURN,
        (3.0, ready("c1", _prefix(30))),
        (5.0, ready("c2", _prefix(40))),
        (7.0, ready("c3", _prefix(40))),
    )
    assert estimates.next_calls == [(1, {}, 2.0)]


def test_each_branch_goes_on_from_its_own_pause() -> None:
    estimates = NotedEstimates()
    left, right = _prefix(20, branch=1), _prefix(20, branch=2)
    _play(
        _scheduler(estimates),
        (0.0, ready("a0", left)),
        (0.0, ready("b0", right)),
        (1.0, finished("a0", left)),
        (2.0, finished("b0", right)),
        (2.0, started("ta", SH, "a0")),
        (2.0, started("tb", EDIT, "b0")),
        (5.0, ToolFinished("p", "tb")),
        (6.0, ready("b1", _prefix(25, branch=2))),
        (8.0, ToolFinished("p", "ta")),
        (8.0, ready("a1", _prefix(25, branch=1))),
    )
    assert estimates.next_calls == [(2, {EDIT: 3.0}, 4.0), (1, {SH: 7.0}, 7.0)]


def test_a_call_that_goes_on_from_nothing_tells_nothing() -> None:
    estimates = NotedEstimates()
    _play(_scheduler(estimates), *FIRST_TURN, (5.0, ready("c1", _prefix(20, branch=7))))
    assert estimates.next_calls == []


def test_what_was_said_to_be_the_last_answer_is_not_waited_for() -> None:
    estimates = NotedEstimates()
    last = CallFinished("c0", Usage(), _prefix(22), is_last=True)
    _play(
        _scheduler(estimates),
        (0.0, ready("c0", _prefix(20))),
        (1.0, last),
        (5.0, ready("c1", _prefix(30))),
    )
    assert estimates.next_calls == []


def test_a_program_of_endless_fan_outs_is_remembered_only_so_far() -> None:
    scheduler = _scheduler()
    for index in range(200):
        chain = _prefix(20, branch=index)
        _play(
            scheduler,
            (float(index), ready(f"c{index}", chain)),
            (float(index), finished(f"c{index}", chain)),
        )
    (program,) = scheduler.programs
    assert len(program.pauses) == 32
    assert "c199" in program.pauses


def test_how_often_a_workflow_ends_after_which_tool_and_turn() -> None:
    estimates = Estimates()
    scheduler = _scheduler(estimates)
    _play(
        scheduler,
        *FIRST_TURN,
        (1.0, started("t0", SH)),
        (2.0, ToolFinished("p", "t0")),
        (2.0, ready("c1", _prefix(30))),
        (3.0, finished("c1", _prefix(33))),
        (3.0, ProgramFinished("p")),
    )
    assert estimates.next_tool.probabilities("swe", "^") == {"sh": 1.0}
    assert estimates.next_tool.probabilities("swe", "sh") == {"$": 1.0}
    assert estimates.turns.goes_on("swe", 2) < Estimates().turns.goes_on("swe", 2)
    assert estimates.turns.goes_on("swe", 1) > Estimates().turns.goes_on("swe", 1)


def test_a_program_that_was_cancelled_does_not_say_where_it_would_have_ended() -> None:
    estimates = Estimates()
    _play(_scheduler(estimates), *FIRST_TURN, (3.0, ProgramCancelled("p")))
    assert estimates.turns.goes_on("swe", 1) == Estimates().turns.goes_on("swe", 1)


def test_a_prefill_is_what_was_not_cached_from_sending_less_what_it_waited_there() -> None:
    estimates = Estimates()
    scheduler = _scheduler(estimates)
    usage = Usage(prompt_tokens=8_000, cached_tokens=0, completion_tokens=10)
    for index in range(200):
        at = 100.0 * index
        chain = _prefix(500, branch=index)
        _play(
            scheduler,
            (at, ready(f"c{index}", chain)),
            (at + 1.0, CallStarted(f"c{index}")),
            (at + 5.0, FirstToken(f"c{index}")),
            (at + 6.0, CallFinished(f"c{index}", usage, chain)),
        )
    assert scheduler.outlook.rebuild_s("r0", 500, 500) == pytest.approx(4.0, rel=0.05)
    assert scheduler.outlook.rebuild_s("r1", 500, 500) == Estimates().prefill("").seconds(
        8_000, 8_000
    )


# -- asked ---------------------------------------------------------------------------------------


def _pause(scheduler: Scheduler) -> Pause:
    (program,) = scheduler.programs
    return program.pauses["c0"]


def test_the_wait_is_that_of_the_tool_from_its_start_and_of_any_before_one_is_known() -> None:
    scheduler = _scheduler()
    _play(scheduler, *FIRST_TURN)
    next_call = scheduler.outlook.estimates.next_call
    assert scheduler.outlook.wait(_pause(scheduler)) == (
        next_call.next_call_of_any(_pause(scheduler).program.workflow),
        1.0,
    )
    _play(scheduler, (3.0, started("t0", SH)))
    assert scheduler.outlook.wait(_pause(scheduler)) == (next_call.next_call_of(SH), 3.0)


def test_while_several_tools_work_the_wait_is_that_of_the_one_expected_last() -> None:
    estimates = Estimates()
    for _ in range(200):
        estimates.observe_next_call("swe", 1, [(SH, 60.0)], 60.0)
        estimates.observe_next_call("swe", 1, [(EDIT, 0.1)], 0.1)
    scheduler = _scheduler(estimates)
    _play(scheduler, *FIRST_TURN, (1.0, started("t0", SH)), (2.0, started("t1", EDIT)))
    outlook, pause = scheduler.outlook, _pause(scheduler)
    assert outlook.wait(pause) == (estimates.next_call.next_call_of(SH), 1.0)
    _play(scheduler, (9.0, ToolFinished("p", "t0")))
    assert outlook.wait(pause) == (estimates.next_call.next_call_of(EDIT), 2.0)


def test_when_all_tools_are_back_the_wait_is_the_clients_own_time_from_then_on() -> None:
    scheduler = _scheduler()
    _play(scheduler, *FIRST_TURN, (1.0, started("t0", SH)), (7.0, ToolFinished("p", "t0")))
    outlook = scheduler.outlook
    assert outlook.wait(_pause(scheduler)) == (outlook.estimates.next_call.after_tools(), 7.0)


def test_a_tool_s_result_is_wanted_and_a_reply_may_be_the_last() -> None:
    estimates = Estimates()
    for _ in range(200):  # programs of two turns
        estimates.turns.observe("swe", 1, is_last=False)
        estimates.turns.observe("swe", 2, is_last=True)
    scheduler = _scheduler(estimates)
    _play(scheduler, *FIRST_TURN)
    (first,) = scheduler.programs[0].pauses.values()
    assert scheduler.outlook.goes_on(first) > 0.95
    _play(scheduler, (1.0, started("t0", ToolUse(REPLY))), (2.0, ready("c1", _prefix(30))))
    _play(scheduler, (3.0, finished("c1", _prefix(32))))
    second = scheduler.programs[0].pauses["c1"]
    assert scheduler.outlook.goes_on(second) < 0.05
    _play(scheduler, (3.0, started("t1", ToolUse(REPLY))))
    assert scheduler.outlook.goes_on(second) < 0.05
    _play(scheduler, (3.0, started("t2", SH)))
    assert scheduler.outlook.goes_on(second) == 1.0


def test_nothing_is_expected_after_a_tool_that_ends_programs() -> None:
    estimates = Estimates()
    for _ in range(20):
        estimates.returns.observe("swe", SH, came=False)
    scheduler = _scheduler(estimates)
    _play(scheduler, *FIRST_TURN, (1.0, started("t0", SH)), (1.0, started("t1", ToolUse("other"))))
    (pause,) = scheduler.programs[0].pauses.values()
    assert scheduler.outlook.goes_on(pause) < 0.1
