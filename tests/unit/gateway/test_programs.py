"""Requests as turns of programs: tools between them, ends, failures."""

from __future__ import annotations

import asyncio

import pytest

from agentrt.errors import (
    BackendUnavailable,
    InvalidAnswer,
    RateLimited,
    RequestRejected,
    RunCancelled,
)
from agentrt.gateway.live_program import Ending, Quiet
from agentrt.gateway.turns import Caller
from agentrt.ir.hints import Hints
from agentrt.ir.request import Completion, Message
from agentrt.runtime.pool import Replica
from agentrt.scheduler.actions import Shed
from agentrt.scheduler.events import (
    CallReady,
    ProgramArrived,
    ProgramCancelled,
    ProgramFinished,
    ToolFinished,
    ToolStarted,
)
from tests.unit.gateway.turns_world import Server, World, answered, calling, result_of


def ends(world: World) -> list[tuple[str, Ending, int]]:
    return [(ended.program_id, ended.how, ended.turns) for ended in world.programs.ended]


def test_tools_start_with_the_answer_that_calls_them_and_end_with_the_request_that_has_their_results() -> (
    None
):
    answers = [calling("bash", "edit", arguments='{"command": "pytest -x"}'), Completion(text="ok")]
    world = World(Server(script=answers))

    async def main() -> None:
        first = await world.ask("p", "do it")
        await asyncio.sleep(3.0)
        history = ("do it", answered(first), result_of("bash"), result_of("edit"))
        await world.ask("p", *history)

    world.run(main)
    told = [(e.at, e.event) for e in world.log if isinstance(e.event, ToolStarted | ToolFinished)]
    assert told == [
        (0.0, ToolStarted("/p#1", "t1", "bash", "pytest", "c1")),
        (0.0, ToolStarted("/p#1", "t2", "edit", "pytest", "c1")),
        (3.0, ToolFinished("/p#1", "t1")),
        (3.0, ToolFinished("/p#1", "t2")),
        (3.0, ToolStarted("/p#1", "t3", "(reply)", "", "c2")),
    ]


def test_an_answer_without_tools_is_a_pause_until_the_next_request() -> None:
    world = World(Server(script="said"))

    async def main() -> None:
        first = await world.ask("p", "hello")
        await asyncio.sleep(7.0)
        await world.ask("p", "hello", answered(first), "and then?")

    world.run(main)
    assert [e.at for e in world.log if isinstance(e.event, ToolFinished)] == [7.0]


def test_malformed_arguments_are_none() -> None:
    world = World(
        Server(script=[calling("bash", arguments='{"command": "py'), calling("x", arguments="[1]")])
    )

    async def main() -> None:
        await world.ask("p")
        await world.ask("q")

    world.run(main)
    classes = [e.argument_class for e in world.events if isinstance(e, ToolStarted)]
    assert classes == ["", ""]


def test_a_new_conversation_of_a_program_ends_no_tool_of_another() -> None:
    world = World(Server(script=[calling("task"), "sub", "sub again", "done"]))

    async def main() -> list[int]:
        first = await world.ask("p", "plan")
        open_ = [len(world.programs.live[0].pauses.now_open)]
        sub = await world.ask("sub", "a part", parent="p")
        open_.append(len(world.programs.live[0].pauses.now_open))
        await world.ask("sub", "a part", answered(sub), "go on", parent="p")
        open_.append(len(world.programs.live[0].pauses.now_open))
        await world.ask("p", "plan", answered(first), result_of("task"))
        return [*open_, len(world.programs.live)]

    assert world.run(main) == [1, 2, 2, 1]
    assert [e.program_id for e in world.events if isinstance(e, CallReady)] == ["/p#1"] * 4


def test_a_rewritten_history_ends_all_tools() -> None:
    world = World(Server(script=[calling("a"), "b"]))

    async def main() -> int:
        await world.ask("p", "plan")
        await world.ask("p", "summary", Message("assistant", "in short"), "go on")
        return len(world.programs.live[0].pauses.now_open)

    assert world.run(main) == 1


def test_programs_end_when_they_say_so_are_told_to_or_stay_away() -> None:
    quiet = Quiet(idle_s=100.0, expire_s=1000.0)
    world = World(
        Server(script=lambda r: calling("t") if "t" in r.messages[0].content else "x"), quiet=quiet
    )

    async def main() -> None:
        await world.ask("says", "so", is_final=True)
        await world.ask("told", "to")
        assert world.programs.end("told")
        assert not world.programs.end("told")
        await world.ask("acting", "t")
        await world.ask("idle", "x")
        await asyncio.sleep(99.0)
        assert [live.program_id for live in world.programs.live] == ["/acting", "/idle"]
        await asyncio.sleep(2.0)
        assert [live.program_id for live in world.programs.live] == ["/acting"]
        await asyncio.sleep(900.0)
        await world.ask("open", "t")

    world.run(main)
    assert ends(world) == [
        ("/says", Ending.FINAL, 1),
        ("/told", Ending.ENDED, 1),
        ("/idle", Ending.IDLE, 1),
        ("/acting", Ending.EXPIRED, 1),
        ("/open", Ending.CLOSED, 1),
    ]
    finished = [e.program_id for e in world.events if isinstance(e, ProgramFinished)]
    cancelled = [e.program_id for e in world.events if isinstance(e, ProgramCancelled)]
    assert (finished, cancelled) == (["/says#1", "/told#2", "/idle#4"], ["/acting#3", "/open#5"])
    assert [told for told in world.recogniser.told if told[0] in {"ended", "quiet"}] == [
        ("ended", "/says"),
        ("ended", "/told"),
        ("quiet", "/idle"),
        ("quiet", "/acting"),
        ("quiet", "/open"),
    ]


def test_a_tenant_ends_no_program_of_another() -> None:
    world = World(Server(script="x"))

    async def main() -> list[bool]:
        await world.ask("p", caller=Caller(tenant="mine"))
        return [world.programs.end("p", tenant=name) for name in ("", "other", "mine")]

    assert world.run(main) == [False, False, True]


def test_no_name_ends_no_program() -> None:
    world = World(Server(script="said"))

    async def main() -> None:
        await world.ask("", "one")
        assert not world.programs.end("")
        assert len(world.programs.live) == 1

    world.run(main)


def test_a_program_that_comes_back_is_a_new_one_to_the_scheduler() -> None:
    world = World(Server(script="x"), quiet=Quiet(idle_s=10.0))

    async def main() -> None:
        await world.ask("p")
        await asyncio.sleep(11.0)
        await world.ask("p")

    world.run(main)
    arrived = [e.program_id for e in world.events if isinstance(e, ProgramArrived)]
    assert arrived == ["/p#1", "/p#2"]
    assert ends(world) == [("/p", Ending.IDLE, 1), ("/p", Ending.CLOSED, 1)]


def test_programs_of_one_kind_are_one_workflow_whatever_they_are_called() -> None:
    world = World(Server(script="x"))
    instructions = Message("system", "You fix code." * 30)
    dated = Message("system", instructions.content + "Today is Friday")

    async def main() -> None:
        await world.ask("p", instructions, "a")
        await world.ask("q", dated, "b")
        await world.ask("r", Message("system", "You write code."), "b")
        await world.ask("s", "b")

    world.run(main)
    kinds = [e.workflow for e in world.events if isinstance(e, ProgramArrived)]
    assert kinds[0] == kinds[1] != ""
    assert kinds[2] not in {kinds[0], ""}
    assert kinds[3] == ""


def test_a_client_that_goes_away_cancels_its_call_and_may_come_back() -> None:
    world = World(Server(script="x", latency_s=50.0), quiet=Quiet(idle_s=100.0))

    async def main() -> None:
        call = asyncio.ensure_future(world.ask("p"))
        await asyncio.sleep(1.0)
        call.cancel()
        await asyncio.wait([call])
        assert world.programs.live[0].calls == 0
        await asyncio.sleep(10.0)
        await world.ask("p")
        call = asyncio.ensure_future(world.ask("q"))
        await asyncio.sleep(1.0)
        call.cancel()
        await asyncio.sleep(101.0)

    world.run(main)
    assert ends(world) == [("/p", Ending.IDLE, 1), ("/q", Ending.ABANDONED, 0)]
    assert ("failed", "/q") in world.recogniser.told


def test_a_program_that_is_ended_has_its_calls_broken_off() -> None:
    world = World(Server(script="x", latency_s=50.0))

    async def main() -> None:
        call = asyncio.ensure_future(world.ask("p"))
        await asyncio.sleep(1.0)
        world.programs.end("p")
        with pytest.raises(RunCancelled):
            await call

    world.run(main)
    assert ends(world) == [("/p", Ending.ENDED, 0)]


def test_what_fails_before_its_answer_has_begun_is_tried_again() -> None:
    fails = BackendUnavailable("down for a moment")
    world = World(Server(script=[fails, fails, "third time"]))

    async def main() -> str:
        return (await world.ask("p")).text

    assert world.run(main) == "third time"
    assert len([e for e in world.events if isinstance(e, CallReady)]) == 3


def test_what_fails_three_times_has_failed() -> None:
    fails = BackendUnavailable("down for good")
    world = World(Server(script=[fails, fails, fails, "never asked"]))

    async def main() -> None:
        with pytest.raises(BackendUnavailable, match="for good"):
            await world.ask("p")

    world.run(main)
    assert len(world.servers["a"].requests) == 3


@pytest.mark.parametrize(
    "error", [RequestRejected("no", status=400), BackendUnavailable("cut", retryable=False)]
)
def test_what_would_fail_again_is_not_tried_again(error: Exception) -> None:
    world = World(Server(script=[error, "never asked"]))

    async def main() -> None:
        with pytest.raises(type(error)):
            await world.ask("p")

    world.run(main)
    assert len(world.servers["a"].requests) == 1


def test_a_replica_is_not_to_blame_for_what_another_broke_off() -> None:
    world = World(Server(script="x"))
    asked = 0

    async def forward(replica: Replica, hints: Hints) -> Completion:
        nonlocal asked
        asked += 1
        raise InvalidAnswer("it was lost after the client had some of it", retryable=False)

    async def main() -> None:
        for number in range(6):
            with pytest.raises(InvalidAnswer):
                await world.ask(f"p{number}", forward=forward)
        assert world.replicas.states[0].is_up

    world.run(main)
    assert asked == 6


def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    world = World(Server(script="x"))
    made: list[str] = []

    async def forward(replica: Replica, hints: Hints) -> Completion:
        made.append(replica.replica_id)
        replica.first_token()
        raise BackendUnavailable("broke off")

    async def main() -> None:
        with pytest.raises(BackendUnavailable, match="broke off"):
            await world.ask("p", forward=forward)

    world.run(main)
    assert made == ["a"]


def test_a_model_that_nobody_serves_is_refused_with_those_that_there_are() -> None:
    world = World(Server(("m", "small"), script="x"))

    async def main() -> None:
        with pytest.raises(RequestRejected, match="'other': there are m, small") as refused:
            await world.ask("p", model="other")
        assert refused.value.status == 404
        with pytest.raises(RequestRejected, match="names no model"):
            await world.ask("p", model="")

    world.run(main)
    assert world.events[1:] == []


def test_the_only_model_need_not_be_named() -> None:
    world = World(Server(script="x"))

    async def main() -> str:
        return (await world.ask("p", model="")).text

    assert world.run(main) == "x"


def test_embeddings_go_to_all_replicas_and_belong_to_no_program() -> None:
    world = World(Server(script="x", latency_s=1.0), Server(script="x", latency_s=1.0))

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(world.ask("p", endpoint="embeddings"))

    world.run(main)
    assert [len(server.requests) for server in world.servers.values()] == [2, 2]
    assert world.programs.ended == ()


def test_engines_are_told_no_name_and_the_tenants_salt() -> None:
    world = World(Server(script="x"), salt=lambda tenant, own: f"{tenant}+{own}")
    told: list[Hints] = []

    async def forward(replica: Replica, hints: Hints) -> Completion:
        told.append(hints)
        return Completion(text="x")

    async def main() -> None:
        for is_final in (False, True):
            await world.ask(
                "my secret", forward=forward, is_final=is_final, caller=Caller(tenant="t")
            )

    world.run(main)
    first, last = told
    assert first.program_id == last.program_id != ""
    assert "secret" not in repr(told)
    assert [(hints.cache_salt, hints.tenant, hints.is_last) for hints in told] == [
        ("t+", "t", False),
        ("t+", "t", True),
    ]


def test_many_tools_left_open_are_forgotten_one_by_one() -> None:
    world = World(Server(script=lambda _: calling("t")))

    async def main() -> int:
        for _ in range(70):
            await world.ask("p", "a conversation of its own")
        return len(world.programs.live[0].pauses.now_open)

    assert world.run(main) == 64


def test_a_call_refused_by_the_scheduler_is_not_tried_again() -> None:
    world = World(
        Server(script="x", latency_s=9.0, max_concurrency=1),
        max_waiting=1,
    )

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in ("p", "q"):
                tasks.create_task(world.ask(name))
            await asyncio.sleep(1.0)
            with pytest.raises(RateLimited) as refused:
                await world.ask("r")
        assert refused.value.retry_after_s is not None

    world.run(main)
    shed = [action for entry in world.log for action in entry.actions if isinstance(action, Shed)]
    assert len(shed) == 1


def test_a_pool_of_many_models_is_told_of_in_few_words() -> None:
    models = tuple(f"m{number:02}" for number in range(30))
    world = World(Server(models, script="x"))

    async def main() -> None:
        await world.ask("p", model="m07")
        await world.ask("p", model="m29")

    world.run(main)
    assert {entry.pool for entry in world.log} == {"m00, m01, m02 and 27 more"}
