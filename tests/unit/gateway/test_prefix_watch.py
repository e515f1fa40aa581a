"""What the gateway says of prompts that stop sharing what a program had sent before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.gateway.prefix_watch import PrefixWatch, prefix_view
from agentrt.gateway.turns import Caller
from agentrt.ir.request import Completion, Message
from agentrt.ir.tool import ToolSpec
from agentrt.runtime.fleet import Served
from agentrt.runtime.prompt_chains import PromptChains
from tests.unit.gateway.turns_world import Server, World, calling

LONG = "a rule that matters. " * 20


def _seen(
    *prompts: str | list[Message],
    tenant: str = "",
    has_text: bool = False,
    tools: tuple[ToolSpec, ...] = (),
    **options: Any,
) -> dict[str, Any]:
    world = World(Server(script=lambda _: calling("bash")), **options)

    async def main() -> dict[str, Any]:
        for prompt in prompts:
            messages = [prompt] if isinstance(prompt, str) else prompt
            await world.ask("one", *messages, caller=Caller(tenant="t"), tools=tools)
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


@pytest.mark.parametrize("salt", ["", "of-the-tenant"])
def test_a_salt_is_no_part_of_what_prompts_share(salt: str) -> None:
    options: dict[str, Any] = {"salt": lambda *_: salt} if salt else {}
    assert _seen(LONG, "something else " * 30, **options)["broken"] == 0
    clocks = [f"{LONG}It is 2026-11-20 10:00:0{second}. {LONG}" for second in range(2)]
    seen = _seen(*clocks, **options)
    assert seen["shared_characters"] <= len(LONG) + 40
    (told,) = seen["breaks"]
    assert told["offset"] <= len(LONG) + 40
    assert told["kind"] == "a timestamp"


@pytest.mark.parametrize("length", range(0, 128, 5))
def test_a_clock_right_after_the_tools_is_not_blamed_on_them(length: int) -> None:
    tools = (ToolSpec(name="bash", description="d" * length),)
    clocks = [[Message("system", f"It is 10:00:0{n}. {LONG}"), _user(LONG)] for n in range(2)]
    seen = _seen(*clocks, tools=tools)
    assert [each["kind"] for each in seen["breaks"]] in (["a timestamp"], [])
    assert [each["message"] for each in seen["breaks"]] in ([0], [])
    assert seen["broken"] or length < 64  # with less in front of it, it is another conversation


def test_a_break_is_told_by_its_message_though_blocks_reach_over_several() -> None:
    same = [Message("system", LONG + "s" * 30), _user("Go."), Message("assistant", "a")]
    asked = [[*same, _user(f"{word} {LONG}")] for word in ("one", "two")]
    (told,) = _seen(*asked, has_text=True)["breaks"]
    assert (told["message"], told["role"], told["offset"]) == (3, "user", 0)
    assert "two" in told["text"]


def test_a_turn_taken_back_is_told_as_left_out() -> None:
    whole = [Message("system", LONG), _user(LONG), Message("assistant", LONG), _user(LONG)]
    (told,) = _seen(whole, whole[:2])["breaks"]
    assert (told["message"], told["kind"]) == (1, "text was left out at the end")


def _user(text: str) -> Message:
    return Message("user", text)


def test_what_is_kept_is_bounded() -> None:
    seen = _seen(*(f"{LONG} {number} {LONG}" for number in range(50)), has_text=True)
    assert (seen["broken"], len(seen["breaks"])) == (49, 32)


def test_nobody_sees_the_programs_of_another_tenant() -> None:
    assert _seen(LONG, tenant="other") == {}


@given(
    lengths=st.lists(st.integers(0, 90), min_size=8, max_size=40),
    at=st.integers(0, 39),
    salt=st.sampled_from(["", "s"]),
)
def test_of_a_conversation_that_has_grown_the_first_message_that_changed_is_told(
    lengths: list[int], at: int, salt: str
) -> None:
    said = [Message("user", chr(97 + n % 26) * length) for n, length in enumerate(lengths)]
    at = min(at, len(said) - 1)
    watch, chains = PrefixWatch(), PromptChains()

    def see(*messages: Message) -> None:
        prompt = chains.measured((), messages, salt=salt)
        watch.served(Served("c", "", Completion(), prompt, prompt, 0.0))

    for end in range(1, len(said) + 1):
        see(*said[:end])
    assert watch.broken == 0
    see(*said[:at], Message("user", "!" + said[at].content), *said[at + 1 :])
    assert [each.message for each in watch.breaks] in ([at], [])
    shared = sum(len(message.content) + 6 for message in said[:at]) + 6
    assert len(watch.breaks) == 1 or shared < 64 or sum(lengths) + 6 * len(said) < shared + 64
