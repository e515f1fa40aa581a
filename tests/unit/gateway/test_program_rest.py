"""Programs whose last act is a tool call: they rest, and lose nothing but speed if they do come back."""

from __future__ import annotations

import asyncio
import math

import pytest

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.gateway.live_program import Ending, Quiet
from agentrt.gateway.program_pauses import absence_s
from agentrt.gateway.programs_view import programs_view
from agentrt.ir.request import Completion, Message, Request
from agentrt.scheduler.events import ProgramArrived, ProgramFinished, ProgramIdle
from tests.unit.gateway.turns_world import Server, World, answered, calling, result_of

QUIET = Quiet(idle_s=100.0, expire_s=1000.0)
SUBMIT = ToolUse("submit")
NO_KIND = ""
TASK = "do this " * 200  # long enough to be found again


def as_told(request: Request) -> Completion:
    """The answer calls the tools that the latest message of the user names."""
    told = [message.content for message in request.messages if message.role == "user"][-1]
    return calling(*told.split()[1:]) if told.startswith("call ") else Completion(text="done")


def world(estimates: Estimates | None = None, quiet: Quiet = QUIET) -> World:
    return World(Server(script=as_told), quiet=quiet, estimates=estimates or Estimates())


def states(here: World) -> dict[str, str]:
    now = here.clock.now()
    view = programs_view(here.programs.live, here.programs.ended, here.replicas, now=now)
    return {one["program_id"]: one["state"] for one in view["programs"]}


def ends(here: World) -> list[tuple[str, Ending]]:
    return [(end.program_id, end.how) for end in here.programs.ended]


def taught(*, submits: int = 20, turns: int = 5) -> Estimates:
    """Of programs that call `bash` a few times, a second each, and then submit."""
    estimates = Estimates()
    for _ in range(submits):
        for turn in range(1, turns):
            estimates.observe_next_call(NO_KIND, turn, [(ToolUse("bash"), 1.0)], 1.0)
        estimates.returns.observe(NO_KIND, SUBMIT, came=False)
        estimates.turns.observe(NO_KIND, turns, is_last=True)
    return estimates


async def call_and_return(here: World, name: str, tool: str, after_s: float) -> None:
    """One turn with a tool, whose result comes after a while."""
    task = f"call {tool}"
    await here.ask(name, TASK, task)
    await asyncio.sleep(after_s)
    await here.ask(name, TASK, task, answered(calling(tool)), result_of(tool))


def test_where_a_tool_was_never_followed_by_anything_nothing_is_waited_for() -> None:
    estimates = taught()
    assert absence_s([SUBMIT], NO_KIND, 5, estimates) == 5.0
    assert 5.0 <= absence_s([ToolUse("bash")], NO_KIND, 2, estimates) < 60.0
    assert absence_s([ToolUse("bash"), SUBMIT], NO_KIND, 5, estimates) == 5.0
    assert absence_s([SUBMIT], NO_KIND, 5, None) == math.inf


def test_a_tool_that_takes_long_is_waited_for_as_long_as_one_in_a_hundred_still_comes() -> None:
    estimates = Estimates()
    for number in range(400):
        seconds = 300.0 + number
        estimates.observe_next_call(NO_KIND, 1, [(ToolUse("build"), seconds)], seconds)
    assert absence_s([ToolUse("build")], NO_KIND, 1, estimates) > 600.0


def test_before_anything_is_known_it_is_minutes() -> None:
    assert absence_s([SUBMIT], NO_KIND, 1, Estimates()) > 300.0


def test_a_program_that_has_called_such_a_tool_rests_and_is_over_when_it_expires() -> None:
    here = world(taught())

    async def main() -> None:
        await here.ask("p", "call submit")
        await asyncio.sleep(4.0)
        assert states(here) == {"/p": "held"}
        await asyncio.sleep(2.0)
        assert states(here) == {"/p": "resting"}
        assert [type(event) for event in here.events].count(ProgramIdle) == 1
        (pool,) = here.replicas.models.pools.values()
        assert [replica.occupied_blocks for replica in pool.scheduler.replicas] == [0]
        await asyncio.sleep(993.0)
        assert states(here) == {"/p": "resting"}
        await asyncio.sleep(2.0)
        assert states(here) == {}

    here.run(main)
    assert ends(here) == [("/p", Ending.DONE)]
    assert [event.program_id for event in here.events if isinstance(event, ProgramFinished)]


def test_it_says_why() -> None:
    here = world(taught())

    async def main() -> list[str]:
        await here.ask("p", "call submit")
        await asyncio.sleep(10.0)
        now = here.clock.now()
        view = programs_view(here.programs.live, here.programs.ended, here.replicas, now=now)
        return [one["why"] for one in view["programs"]]

    (why,) = here.run(main)
    assert why.startswith("has called submit 10.0 s ago, and is not expected back")


def test_one_that_comes_back_all_the_same_is_the_same_program() -> None:
    estimates = taught()
    here = world(estimates)

    async def main() -> None:
        before = estimates.returns.comes_back(NO_KIND, SUBMIT)
        await call_and_return(here, "p", "submit", 500.0)
        assert estimates.returns.comes_back(NO_KIND, SUBMIT) > before
        assert [live.turns for live in here.programs.live] == [2]

    here.run(main)
    assert len([event for event in here.events if isinstance(event, ProgramArrived)]) == 1


def test_the_first_ends_teach_what_nothing_comes_after() -> None:
    estimates = Estimates()
    here = world(estimates)
    waits: list[float] = []

    async def main() -> None:
        for number in range(10):
            waits.append(absence_s([SUBMIT], NO_KIND, 2, estimates))
            name = f"p{number}"
            await call_and_return(here, name, "bash", 1.0)
            said = answered(calling("bash"))
            await here.ask(name, TASK, "call bash", said, result_of("bash"), "call submit")
            await asyncio.sleep(1001.0)

    here.run(main)
    assert waits[0] > 100.0
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] == 5.0
    assert {how for _, how in ends(here)[-3:]} == {Ending.DONE}


def test_a_program_whose_tool_always_came_back_expires() -> None:
    estimates = taught()
    here = world(estimates)

    async def main() -> None:
        await here.ask("p", "call bash")
        await asyncio.sleep(1001.0)

    here.run(main)
    assert ends(here) == [("/p", Ending.EXPIRED)]


def test_one_that_is_ended_in_its_tool_teaches_at_once() -> None:
    estimates = Estimates()
    here = world(estimates)

    async def main() -> None:
        for number in range(4):
            await here.ask(f"p{number}", "call submit")
            here.programs.end(f"p{number}")

    here.run(main)
    assert estimates.returns.comes_back(NO_KIND, SUBMIT) < 0.2


@pytest.mark.parametrize("is_shorter", [True, False])
def test_expire_s_is_the_most(is_shorter: bool) -> None:
    quiet = Quiet(idle_s=1.0, expire_s=3.0 if is_shorter else 7.0)
    here = world(taught(), quiet)

    async def main() -> dict[str, str]:
        await here.ask("p", "call submit")
        await asyncio.sleep(6.0)
        return states(here)

    assert here.run(main) == ({} if is_shorter else {"/p": "resting"})


def test_a_sub_agents_last_tool_does_not_keep_its_program_from_being_idle() -> None:
    here = world(taught())

    async def main() -> None:
        await here.ask("main", "call bash")
        await here.ask("sub", "call submit", parent="main")
        await asyncio.sleep(1.0)
        await here.ask("main", "call bash", answered(calling("bash")), result_of("bash"), "say it")
        await asyncio.sleep(150.0)
        assert here.programs.live == ()

    here.run(main)
    assert ends(here) == [("/main", Ending.IDLE)]


def test_nobody_is_kept_waiting_by_the_room_of_those_that_rest() -> None:
    """What they had is free at once, not when it has run out."""
    estimates = taught()
    here = world(estimates)

    async def main() -> int:
        await here.ask("p", Message("user", "x " * 4000), "call submit")
        (pool,) = here.replicas.models.pools.values()
        occupied = pool.scheduler.replicas[0].occupied_blocks
        await asyncio.sleep(6.0)
        assert pool.scheduler.replicas[0].occupied_blocks == 0
        return occupied

    assert here.run(main) > 100
