import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.slots import SlotTable, prompt_text, shared_text
from agentrt.ir.prompt_break import common_length
from agentrt.ir.request import Message, Request, ToolCall
from agentrt.ir.tool import ToolSpec


def _use(table: SlotTable, text: str, *, is_conversation: bool = False) -> int:
    lease = table.take(text)
    table.give_back(lease.slot_id, text=text, is_conversation=is_conversation)
    return lease.slot_id


def test_a_prompt_goes_where_its_beginning_lies() -> None:
    table = SlotTable(3)
    used = [_use(table, text * 20) for text in ("alpha", "beta", "gamma")]
    assert sorted(used) == [0, 1, 2]
    lease = table.take("beta" * 20 + " and on")
    assert (lease.slot_id, lease.shared_chars) == (used[1], 80)


def test_of_equal_slots_the_least_recently_used_is_taken() -> None:
    table = SlotTable(2)
    first, second = _use(table, "a" * 50), _use(table, "b" * 50)
    assert _use(table, "a" * 50) == first
    assert table.take("c" * 50).slot_id == second


def test_conversations_are_overwritten_last() -> None:
    table = SlotTable(2)
    talk = _use(table, "a" * 50, is_conversation=True)
    other = _use(table, "b" * 50)
    assert table.take("c" * 50).slot_id == other != talk


def test_an_empty_slot_is_better_than_one_with_a_saved_prefix_and_more() -> None:
    table = SlotTable(2)
    used = _use(table, "p" * 50 + "x" * 50)
    assert table.take("p" * 50 + "y" * 50, saved_chars=50).slot_id != used


def test_without_a_saved_prefix_the_slot_that_holds_it_is_better_than_an_empty_one() -> None:
    table = SlotTable(2)
    used = _use(table, "p" * 50 + "x" * 50)
    assert table.take("p" * 50 + "y" * 50).slot_id == used


def test_taken_slots_are_not_given_again_and_none_left_is_an_error() -> None:
    table = SlotTable(2)
    assert {table.take("a").slot_id, table.take("a").slot_id} == {0, 1}
    with pytest.raises(LookupError):
        table.take("a")


@given(st.text(), st.text(), st.text())
def test_the_common_prefix_is_common_and_the_longest(start: str, one: str, other: str) -> None:
    one, other = start + one, start + other
    length = common_length(one, other)
    assert length >= len(start)
    assert one[:length] == other[:length]
    assert one[length : length + 1] != other[length : length + 1] or one == other


SYSTEM = Message("system", "Be brief.")
TOOL = ToolSpec(name="look", description="Look.", parameters={"type": "object"})
ASKED = Request(messages=(SYSTEM, Message("user", "Hi")), tools=(TOOL,))


def test_turns_of_a_conversation_begin_with_the_turns_before() -> None:
    call = Message("assistant", "", tool_calls=(ToolCall("1", "look", "{}"),))
    answer = Message("tool", "nothing", tool_call_id="1")
    later = Request(messages=(*ASKED.messages, call, answer), tools=(TOOL,))
    assert prompt_text(later).startswith(prompt_text(ASKED))
    assert prompt_text(ASKED).startswith(shared_text(ASKED))
    assert shared_text(later) == shared_text(ASKED)


@pytest.mark.parametrize(
    "other",
    [
        Request(messages=ASKED.messages),
        Request(messages=(Message("system", "Be brief!"), Message("user", "Hi")), tools=(TOOL,)),
        Request(messages=(Message("user", "Be brief."),), tools=(TOOL,)),
    ],
)
def test_other_tools_or_system_messages_are_another_prefix(other: Request) -> None:
    assert shared_text(other) != shared_text(ASKED)
