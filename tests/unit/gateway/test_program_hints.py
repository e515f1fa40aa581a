"""What engines are told of a program's next call, and what of a prompt they have seen before."""

from __future__ import annotations

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.estimates.next_tool import START
from agentrt.ir.hints import Hints
from agentrt.ir.request import Completion, Message
from agentrt.runtime.pool import Replica
from agentrt.scheduler.events import ToolStarted
from tests.unit.gateway.turns_world import Server, World, calling, result_of

SYSTEM = Message("system", "You fix code.")


def test_what_is_known_of_a_kind_of_program_goes_with_its_calls() -> None:
    estimates = Estimates()
    world = World(Server(script="x"), estimates=estimates)
    told: list[Hints] = []

    async def forward(replica: Replica, hints: Hints) -> Completion:
        told.append(hints)
        return calling("bash")

    async def main() -> None:
        await world.ask("first", SYSTEM, "a", forward=forward)
        kind = world.programs.live[0].workflow
        for _ in range(500):
            estimates.observe_next_call(kind, 1, [(ToolUse("bash"), 2.0)], 2.0)
            estimates.observe_completion(kind, 1, 40)
            estimates.observe_tool_started(kind, START, "bash")
        await world.ask("second", SYSTEM, "b", forward=forward)
        await world.ask("last", SYSTEM, "c", forward=forward, is_final=True)
        await world.ask("of no kind", "d", forward=forward)

    world.run(main)
    _, second, last, kindless = told
    assert second.hold_s is not None
    assert second.completion_tokens is not None
    assert 1.0 < second.hold_s < 4.0
    assert 20 < second.completion_tokens < 80
    assert second.next_tool == "bash"
    assert (last.is_last, last.hold_s) == (True, None)
    assert (kindless.hold_s, kindless.next_tool, kindless.completion_tokens) == (None, "", None)
    priorities = [hints.priority for hints in told]
    assert priorities == sorted(priorities, key=lambda p: -(p or 0))
    assert len(set(priorities)) == 4


def test_how_long_an_answer_is_read_is_learned_for_each_kind() -> None:
    world = World(Server(script="x"))

    async def main() -> str:
        await world.ask("p", SYSTEM, "a")
        return world.programs.live[0].workflow

    kind = world.run(main)
    assert kind
    started = [event for event in world.events if isinstance(event, ToolStarted)]
    assert [(event.tool, event.argument_class) for event in started] == [("(reply)", kind)]


def test_results_that_a_request_brings_are_believed_without_the_answer_before_them() -> None:
    world = World(Server(script=[calling("bash"), "x"]))

    async def main() -> int:
        await world.ask("p", "go")
        world.recogniser.results = ("call-bash",)
        await world.ask("p", result_of("bash"))
        return len(world.programs.live[0].pauses.now_open)

    assert world.run(main) == 1
