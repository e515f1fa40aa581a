"""What the gateway says of prompts that stop sharing what a program had sent before."""

from __future__ import annotations

from typing import Any

from agentrt.gateway.prefix_watch import prefix_view
from agentrt.gateway.turns import Caller
from tests.unit.gateway.turns_world import Server, World, calling

LONG = "a rule that matters. " * 20


def _seen(*prompts: str, tenant: str = "", has_text: bool = False) -> dict[str, Any]:
    world = World(Server(script=lambda _: calling("bash")))

    async def main() -> dict[str, Any]:
        for prompt in prompts:
            await world.ask("one", prompt, caller=Caller(tenant="t"))
        found = prefix_view(
            world.programs.live, "one", tenant=tenant or "t", has_text=has_text
        ) or prefix_view(world.programs.live, "t/one", tenant=tenant or "t", has_text=has_text)
        return found or {}

    return world.run(main)


def test_a_program_that_only_grows_has_no_breaks() -> None:
    seen = _seen(LONG, LONG + LONG, LONG + LONG + "and so on " * 20)
    assert (seen["turns"], seen["broken"], seen["breaks"]) == (3, 0, [])
    assert seen["shared_characters"] > 2 * len(LONG)


def test_a_clock_is_told_by_its_place_and_never_by_its_text() -> None:
    prompts = [f"{LONG}It is 2026-11-20 10:00:0{second}. {LONG}" for second in range(3)]
    seen = _seen(*prompts)
    assert (seen["turns"], seen["broken"]) == (3, 2)
    told = seen["breaks"][0]
    assert (told["message"], told["role"], told["kind"]) == (0, "user", "a timestamp")
    assert abs(told["offset"] - len(LONG)) < 64
    assert "text" not in told
    shown = _seen(*prompts, has_text=True)["breaks"][0]
    assert "10:00:01" in shown["text"]
    assert len(shown["text"]) <= 128


def test_a_conversation_that_begins_anew_is_no_break() -> None:
    assert _seen(LONG, "something else " * 30)["broken"] == 0


def test_what_is_kept_is_bounded() -> None:
    seen = _seen(*(f"{LONG} {number} {LONG}" for number in range(50)), has_text=True)
    assert (seen["broken"], len(seen["breaks"])) == (49, 32)


def test_nobody_sees_the_programs_of_another_tenant() -> None:
    assert _seen(LONG, tenant="other") == {}
