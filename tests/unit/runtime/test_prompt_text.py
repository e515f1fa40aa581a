"""Prompts cut to what some blocks of them stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.ir.request import Message, Role, ToolCall
from agentrt.ir.tool import ToolSpec
from agentrt.runtime.prompt_text import first_characters, message_text, tool_text

TOOL = ToolSpec(name="look", description="Looks.", parameters={"type": "object"})
CALL = ToolCall("c1", "look", '{"at": 1}')
SYSTEM = Message("system", "Be brief.")
ASKED = Message("assistant", "One moment", (CALL,))
FOUND = Message("tool", "nothing at all", tool_call_id="c1")
MESSAGES = (SYSTEM, ASKED, FOUND)


def text_of(*messages: Message) -> int:
    return sum(len(message_text(message)) for message in messages)


@pytest.mark.parametrize(
    ("characters", "kept"),
    [
        (0, ()),
        (len("\x1esystem\n"), ()),
        (len("\x1esystem\n") + 2, (Message("system", "Be"),)),
        (text_of(SYSTEM), (SYSTEM,)),
        (text_of(SYSTEM) + 3, (SYSTEM,)),
        (text_of(SYSTEM, ASKED) - 1, (SYSTEM, Message("assistant", "One moment"))),
        (text_of(SYSTEM, ASKED), (SYSTEM, ASKED)),
        (text_of(*MESSAGES) - 4, (SYSTEM, ASKED, Message("tool", "nothing at", (), "c1"))),
        (text_of(*MESSAGES), MESSAGES),
        (10**9, MESSAGES),
    ],
)
def test_the_last_message_is_cut_and_calls_of_tools_are_not(
    characters: int, kept: tuple[Message, ...]
) -> None:
    assert first_characters((), MESSAGES, characters) == kept


def test_tools_come_before_the_messages() -> None:
    tools = len(tool_text(TOOL))
    assert first_characters((TOOL,), MESSAGES, tools - 1) == ()
    assert first_characters((TOOL,), MESSAGES, tools + text_of(SYSTEM)) == (SYSTEM,)


roles: st.SearchStrategy[Role] = st.sampled_from(["system", "user", "assistant", "tool"])
messages_of = st.lists(
    st.builds(
        Message,
        roles,
        st.text(max_size=12),
        st.just(()) | st.just((CALL,)),
    ),
    max_size=5,
).map(tuple)


@given(messages_of, st.integers(-5, 200))
def test_what_is_kept_is_a_beginning_and_no_longer_than_asked(
    messages: tuple[Message, ...], characters: int
) -> None:
    whole = "".join(map(message_text, messages))
    kept = first_characters((), messages, characters)
    text = "".join(map(message_text, kept))
    assert whole.startswith(text)
    assert len(text) <= max(characters, 0)
    if characters >= len(whole):
        assert kept == messages
