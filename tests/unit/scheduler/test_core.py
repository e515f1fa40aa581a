"""One event in, the whole answer compared."""

from __future__ import annotations

import pytest

from agentrt.errors import InvariantError
from agentrt.ir.prefix import Chain, Run
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import CancelCall, HoldKV, SendCall, SetTimer, Shed
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallCancelled,
    CallFailed,
    CallFinished,
    CallProgress,
    CallReady,
    FirstToken,
    ProgramArrived,
    ProgramCancelled,
    ProgramFinished,
    ProgramIdle,
    ReplicaDown,
    ReplicaUp,
    SchedulerEvent,
    TimerFired,
    ToolFinished,
)
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.policies.unmanaged import Unmanaged
from agentrt.scheduler.policy import Policy

SYSTEM = Run(0, 10)


def chain(program: int, blocks: int) -> Chain:
    """A prompt of the shared system prefix and `blocks` blocks of the program's own."""
    return (SYSTEM, Run(1000 * (program + 1), blocks))


def ready(call: str, blocks: int = 20) -> CallReady:
    """A call `NAME.TURN` of the program `NAME`, which is a number."""
    program = call.split(".", maxsplit=1)[0]
    return CallReady(
        call_id=call,
        program_id=program,
        chain=chain(int(program), blocks),
        prompt_tokens=16 * (blocks + 10),
    )


def finished(call: str, blocks: int = 22) -> CallFinished:
    return CallFinished(call, Usage(), chain(int(call.split(".", maxsplit=1)[0]), blocks))


def scheduler(
    policy: Policy, *, programs: int = 3, kv_blocks: int = 100, replicas: int = 1
) -> Scheduler:
    """With its replicas up and programs "0", "1", ... arrived at times 0, 1, ..."""
    built = Scheduler(policy)
    for index in range(replicas):
        built.handle(ReplicaUp(replica_id=f"r{index}", kv_blocks=kv_blocks), 0.0)
    for index in range(programs):
        built.handle(ProgramArrived(program_id=str(index)), float(index))
    return built


def test_unmanaged_calls_go_at_once_and_stay_where_they_went() -> None:
    core = scheduler(Unmanaged(), replicas=2)
    assert core.handle(ready("0.0"), 10.0) == [SendCall("0.0", "r0")]
    assert core.handle(ready("1.0"), 10.0) == [SendCall("1.0", "r1")]
    assert core.handle(finished("1.0"), 11.0) == []
    assert core.handle(ready("1.1", 30), 12.0) == [SendCall("1.1", "r1")]


def test_a_cap_lets_the_next_program_in_when_one_has_ended() -> None:
    core = scheduler(FixedCap(2))
    assert core.handle(ready("0.0"), 10.0) == [SendCall("0.0", "r0")]
    assert core.handle(ready("1.0"), 10.0) == [SendCall("1.0", "r0")]
    assert core.handle(ready("2.0"), 10.0) == []
    assert core.handle(finished("0.0"), 11.0) == []  # it is in its tools, and keeps its place
    assert core.handle(ProgramFinished("0"), 12.0) == [SendCall("2.0", "r0")]


def test_programs_enter_in_the_order_they_arrived_whenever_their_calls_came() -> None:
    core = scheduler(FixedCap(1))
    core.handle(ready("2.0"), 10.0)
    core.handle(ready("1.0"), 11.0)
    core.handle(ready("0.0"), 12.0)
    core.handle(finished("2.0"), 13.0)
    assert core.handle(ProgramFinished("2"), 13.0) == [SendCall("0.0", "r0")]


def test_occupancy_counts_a_shared_prefix_once() -> None:
    # 100 blocks, a tenth kept free: 10 shared and 20 each make 90 for four programs.
    core = scheduler(ByOccupancy(headroom=0.1), programs=5)
    for index in range(4):
        assert core.handle(ready(f"{index}.0"), 10.0) == [SendCall(f"{index}.0", "r0")]
    assert core.replicas[0].occupied_blocks == 90
    assert core.handle(ready("4.0"), 10.0) == []


def held(seconds: float) -> ByOccupancy:
    """Contexts between calls are kept for so long, whatever they are worth."""
    return ByOccupancy(space_price=0.0, hold_limit_s=seconds, least_hold_s=0.0, touches=False)


def test_a_hold_that_is_over_makes_room_for_who_waits() -> None:
    core = scheduler(held(5.0), programs=2, kv_blocks=60)
    core.handle(ready("0.0", 40), 10.0)
    assert core.handle(ready("1.0", 40), 11.0) == []
    assert core.handle(finished("0.0", 42), 12.0) == [SetTimer("places", 17.0)]
    assert core.handle(TimerFired("places"), 17.0) == [SendCall("1.0", "r0")]


def test_a_program_that_is_back_in_time_goes_before_those_that_wait() -> None:
    core = scheduler(held(5.0), programs=2, kv_blocks=60)
    core.handle(ready("0.0", 40), 10.0)
    core.handle(ready("1.0", 40), 11.0)
    core.handle(finished("0.0", 42), 12.0)
    assert core.handle(ready("0.1", 43), 14.0) == [SendCall("0.1", "r0")]
    assert core.handle(TimerFired("places"), 17.0) == []


def test_nobody_waiting_means_places_are_kept() -> None:
    core = scheduler(held(5.0), programs=1)
    core.handle(ready("0.0"), 10.0)
    assert core.handle(finished("0.0"), 11.0) == []
    assert core.replicas[0].occupied_blocks == 32


def test_a_program_that_has_gone_quiet_gives_its_place_up_and_may_come_back() -> None:
    core = scheduler(held(600.0), programs=2, kv_blocks=60)
    core.handle(ready("0.0", 40), 10.0)
    core.handle(finished("0.0", 42), 11.0)
    assert core.handle(ready("1.0", 40), 11.0) == [SetTimer("places", 611.0)]
    assert core.handle(ProgramIdle("0"), 12.0) == [SendCall("1.0", "r0")]
    core.handle(finished("1.0", 42), 13.0)
    core.handle(ready("0.1", 43), 14.0)
    assert core.handle(ProgramFinished("1"), 15.0) == [SendCall("0.1", "r0")]


def test_a_program_that_has_gone_quiet_keeps_what_its_calls_are_at_work_on() -> None:
    core = scheduler(ByOccupancy(), programs=2, kv_blocks=60)
    core.handle(ready("0.0", 40), 10.0)
    core.handle(ready("1.0", 40), 10.0)
    assert core.handle(ProgramIdle("0"), 11.0) == []
    assert core.handle(ProgramIdle("1"), 11.0) == []


def test_a_replica_whose_cache_is_not_known_takes_everything() -> None:
    core = Scheduler(ByOccupancy())
    core.handle(ReplicaUp(replica_id="far", kv_blocks=None), 0.0)
    for index in range(3):
        core.handle(ProgramArrived(program_id=str(index)), 0.0)
        sent = core.handle(ready(f"{index}.0", 10**9), 1.0)
        assert sent == [SendCall(f"{index}.0", "far")]


def test_a_program_that_grows_takes_the_place_of_one_between_calls() -> None:
    core = scheduler(held(60.0), programs=2)
    core.handle(ready("0.0", 40), 10.0)
    core.handle(ready("1.0", 35), 10.0)
    core.handle(finished("0.0", 42), 11.0)
    core.handle(finished("1.0", 36), 11.0)
    assert core.handle(ready("1.1", 50), 12.0) == [SendCall("1.1", "r0")]
    # Of 42 blocks it needs alone it keeps as many as leave a tenth of the cache free.
    assert [program.has_place for program in core.programs] == [True, True]
    assert core.replicas[0].occupied_blocks == 90
    core.handle(finished("1.1", 52), 13.0)
    assert core.handle(ready("1.2", 62), 14.0) == [SendCall("1.2", "r0")]
    # With less than half of it left it would not be worth a place.
    assert [program.has_place for program in core.programs] == [False, True]
    assert core.replicas[0].occupied_blocks == 72


def test_two_that_cannot_both_grow_do_not_wait_for_one_another() -> None:
    core = scheduler(ByOccupancy(), programs=2)
    for call, event in (("0.0", ready("0.0", 40)), ("1.0", ready("1.0", 38))):
        assert core.handle(event, 10.0) == [SendCall(call, "r0")]
    core.handle(finished("0.0", 41), 11.0)
    core.handle(ready("0.1", 80), 11.0)  # cannot go while 1.0 is under way
    assert core.handle(finished("1.0", 40), 12.0) == [SendCall("0.1", "r0")]


def test_a_program_without_a_place_moves_when_it_has_waited_for_its_blocks() -> None:
    core = scheduler(held(0.0), programs=3, kv_blocks=60, replicas=2)
    core.handle(ready("0.0", 40), 10.0)
    core.handle(ready("1.0", 45), 10.0)
    core.handle(finished("0.0", 41), 11.0)
    assert core.handle(ready("2.0", 40), 12.0) == [SendCall("2.0", "r0")]
    core.handle(finished("1.0", 46), 13.0)
    # As long as its prefix takes to compute: the 6 blocks there are of it, besides the system's. Answers
    # have grown by a block, so one is kept free for the next.
    moves_at = 14.0 + core.outlook.rebuild_s("r0", 16, 16)
    assert core.handle(ready("0.1", 42), 14.0) == [SetTimer("places", moves_at)]
    assert core.handle(TimerFired("places"), moves_at) == [SendCall("0.1", "r1")]


def test_a_lost_replica_s_calls_go_elsewhere() -> None:
    core = scheduler(Unmanaged(), programs=1, replicas=2)
    assert core.handle(ready("0.0"), 10.0) == [SendCall("0.0", "r0")]
    assert core.handle(ReplicaDown("r0"), 11.0) == [SendCall("0.0", "r1")]


def test_the_last_slot_goes_to_the_program_that_arrived_first_though_it_has_no_place() -> None:
    core = Scheduler(ByOccupancy())
    core.handle(ReplicaUp(replica_id="r0", kv_blocks=1000, max_running=1), 0.0)
    for program in ("0", "1"):
        core.handle(ProgramArrived(program_id=program), float(program))
    assert core.handle(ready("1.0"), 2.0) == [SendCall("1.0", "r0")]
    core.handle(ready("1.1"), 3.0)
    core.handle(ready("1.2"), 3.0)
    core.handle(ready("0.0"), 4.0)
    assert core.handle(finished("1.0"), 5.0) == [SendCall("0.0", "r0")]
    assert core.handle(finished("0.0"), 6.0) == [SendCall("1.1", "r0")]


def test_who_waits_for_its_blocks_on_a_replica_that_is_lost_goes_elsewhere_at_once() -> None:
    core = scheduler(held(0.0), programs=2, kv_blocks=60, replicas=2)
    core.handle(ready("0.0", 40), 10.0)
    core.handle(finished("0.0", 41), 11.0)
    core.handle(ReplicaDown("r1"), 11.0)
    assert core.handle(ready("1.0", 40), 12.0) == [SendCall("1.0", "r0")]
    core.handle(ReplicaUp(replica_id="r1", kv_blocks=60), 12.0)
    core.handle(ready("0.1", 42), 13.0)
    assert core.handle(ReplicaDown("r0"), 14.0) == [SendCall("0.1", "r1")]


def test_a_replica_that_is_lost_takes_its_promises_with_it() -> None:
    core = Scheduler(ByOccupancy())
    up = ReplicaUp(replica_id="r0", kv_blocks=100, takes_holds=True)
    core.handle(up, 0.0)
    core.handle(ProgramArrived(program_id="0"), 1.0)
    core.handle(ready("0.0"), 2.0)
    assert any(isinstance(action, HoldKV) for action in core.handle(finished("0.0"), 3.0))
    core.handle(ReplicaDown("r0"), 4.0)
    core.handle(up, 5.0)
    assert core.handle(ready("0.1"), 6.0) == [SendCall("0.1", "r0")]
    assert core.handle(FirstToken("0.1"), 7.0) == []
    assert core.handle(ProgramCancelled("0"), 8.0) == [CancelCall("0.1")]


def test_what_is_cancelled_is_broken_off_and_frees_its_place() -> None:
    core = scheduler(FixedCap(1), programs=3)
    core.handle(ready("0.0"), 10.0)
    core.handle(ready("1.0"), 10.0)
    core.handle(ready("2.0"), 10.0)
    assert core.handle(CallCancelled("1.0"), 11.0) == []
    assert core.handle(ProgramCancelled("0"), 12.0) == [
        CancelCall("0.0"),
        SendCall("2.0", "r0"),
    ]


def test_a_call_may_be_made_again_under_its_id_once_it_was_cancelled() -> None:
    core = scheduler(FixedCap(1), programs=2)
    core.handle(ready("0.0"), 10.0)
    core.handle(ready("1.0"), 11.0)
    core.handle(CallCancelled("1.0"), 12.0)
    assert core.handle(ready("1.0"), 13.0) == []
    assert core.handle(ProgramCancelled("0"), 14.0) == [CancelCall("0.0"), SendCall("1.0", "r0")]
    assert core.handle(finished("1.0"), 15.0) == []


def test_a_failed_call_leaves_its_program_its_place() -> None:
    core = scheduler(FixedCap(1), programs=2)
    core.handle(ready("0.0"), 10.0)
    core.handle(ready("1.0"), 10.0)
    assert core.handle(CallFailed("0.0"), 11.0) == []
    assert core.handle(ready("0.1"), 12.0) == [SendCall("0.1", "r0")]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (ready("7.0"), "there is no program '7'"),
        (ready("0.0"), "'0.0' became ready twice"),
        (finished("1.0"), "CallFinished cannot happen to call '1.0', which is ready"),
        (FirstToken("1.0"), "FirstToken cannot happen to call '1.0', which is ready"),
        (CallProgress("0.0", 1), "CallProgress cannot happen to call '0.0', which is sent"),
        (FirstToken("nobody"), "there is no call 'nobody'"),
        (ProgramArrived(program_id="0"), "it arrived twice"),
        (ProgramFinished("0"), "finished with calls under way"),
        (ToolFinished("0", "t"), "tool 't' never started"),
        (ReplicaDown("r9"), "there is no replica 'r9'"),
        (ReplicaUp(replica_id="r0", kv_blocks=1), "came up twice"),
    ],
)
def test_what_cannot_happen_is_refused(event: SchedulerEvent, told: str) -> None:
    core = scheduler(FixedCap(1))
    core.handle(ready("0.0"), 10.0)
    core.handle(ready("1.0"), 10.0)
    with pytest.raises(InvariantError, match=told):
        core.handle(event, 11.0)


def test_an_error_tells_the_story_of_its_program_and_of_no_other() -> None:
    core = scheduler(FixedCap(1))
    core.handle(ready("0.0"), 10.0)
    core.handle(ready("1.0"), 10.0)
    with pytest.raises(InvariantError) as raised:
        core.handle(finished("1.0"), 11.0)
    assert raised.value.story == (ProgramArrived(program_id="1"), ready("1.0"), finished("1.0"))


def test_programs_that_grow_by_leaps_get_fewer_places() -> None:
    def admitted(grows_to: int) -> int:
        core = scheduler(
            ByOccupancy(headroom=0.0, growth_turns=2.0, space_price=0.0, limits_batches=False),
            programs=9,
            kv_blocks=400,
        )
        core.handle(ready("0.0"), 10.0)
        core.handle(finished("0.0", 20 + grows_to), 11.0)
        sent = [core.handle(ready(f"{index}.0"), 12.0) for index in range(1, 9)]
        return sum(len(actions) for actions in sent)

    assert admitted(grows_to=0) == 8
    # An answer had 60 blocks: room for two such is kept free for each that has a place.
    assert admitted(grows_to=60) == 2


def test_first_calls_are_refused_when_enough_of_the_tenant_s_wait_already() -> None:
    core = Scheduler(FixedCap(1), max_waiting=1)
    core.handle(ReplicaUp(replica_id="r0", kv_blocks=100), 0.0)
    for index, tenant in enumerate("aaaab"):
        core.handle(ProgramArrived(program_id=str(index), tenant=tenant), 0.0)
    assert core.handle(ready("0.0"), 1.0) == [SendCall("0.0", "r0")]
    assert core.handle(ready("1.0"), 1.0) == []
    assert core.handle(ready("2.0"), 1.0) == [Shed("2.0", 1.0)]
    assert core.handle(ready("4.0"), 1.0) == [], "another tenant's wait by themselves"
    core.handle(finished("0.0"), 9.0)
    assert core.handle(ready("0.1"), 9.0) == [SendCall("0.1", "r0")], "who has begun goes on"
    core.handle(finished("0.1"), 10.0)
    assert core.handle(ProgramFinished("0"), 11.0) == [SendCall("4.0", "r0")]
    # Of two that have entered one waited for ten seconds.
    assert core.handle(ready("2.0"), 12.0) == [Shed("2.0", 5.0)], "as often as it is made again"
    core.handle(finished("4.0"), 13.0)
    assert core.handle(ProgramFinished("4"), 14.0) == [SendCall("1.0", "r0")]
    assert core.handle(ready("2.0"), 15.0) == [], "there is room to wait now"
