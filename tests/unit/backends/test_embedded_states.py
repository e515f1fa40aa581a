"""What saved states are found again by, and which prompt under way is worth waiting for."""

import asyncio
from contextlib import ExitStack

from agentrt.backends.embedded_states import MIN_SHARED_CHARS, Found, Saved, SavedStates, Underway

LONG = "0123456789" * (MIN_SHARED_CHARS // 10)


class _Files:
    folder = "/"

    def __init__(self) -> None:
        self.removed: list[str] = []

    def create(self) -> str:
        return ""

    def remove(self, name: str) -> None:
        self.removed.append(name)

    def close(self) -> None:
        """Nothing is open."""


def test_the_state_that_begins_most_like_a_prompt_is_found() -> None:
    states = SavedStates(_Files(), max_bytes=100)
    states.keep(LONG + "abc", Saved(file="1", size_bytes=1))
    states.keep(LONG + "abd and on", Saved(file="2", size_bytes=1))
    states.keep("z" + LONG, Saved(file="3", size_bytes=1))
    found = states.like(LONG + "abd but not so")
    assert found == Found(text=LONG + "abd and on", known_chars=len(LONG) + 4, file="2")
    assert found.chars == len(LONG) + 4


def test_what_begins_alike_for_too_little_is_not_found() -> None:
    states = SavedStates(_Files(), max_bytes=100)
    states.keep(LONG, Saved(file="1", size_bytes=1))
    assert states.like(LONG[:-1]) == Found()
    assert states.like(LONG[:-1] + "x") == Found()


def test_what_is_too_large_is_remembered_as_such_and_nothing_of_it_is_at_hand() -> None:
    files = _Files()
    states = SavedStates(files, max_bytes=10)
    states.keep(LONG, Saved(file="1", size_bytes=11))
    found = states.like(LONG + "a")
    assert (found.known_chars, found.chars, files.removed) == (len(LONG), 0, ["1"])


def test_the_least_recently_used_goes_first() -> None:
    files = _Files()
    states = SavedStates(files, max_bytes=10)
    states.keep("a", Saved(file="1", size_bytes=5))
    states.keep("b", Saved(file="2", size_bytes=5))
    states.use("a")
    states.keep("c", Saved(file="3", size_bytes=5))
    assert ["a" in states, "b" in states, "c" in states] == [True, False, True]
    assert files.removed == ["2"]


def test_a_text_that_is_saved_anew_leaves_no_file_behind() -> None:
    files = _Files()
    states = SavedStates(files, max_bytes=10)
    states.keep("a", Saved(file="1", size_bytes=5))
    states.keep("a", Saved(file="2", size_bytes=5))
    assert files.removed == ["1"]


def test_a_prompt_is_led_by_the_one_that_computes_most_of_it() -> None:
    underway = Underway()
    with underway.computing(LONG + "x", len(LONG) + 1) as less:
        with underway.computing(LONG + "abc", len(LONG) + 3) as more:
            assert underway.leader(LONG + "abd", at_hand=0) is more
        assert underway.leader(LONG + "abd", at_hand=0) is less
        assert underway.leader(LONG + "abd", at_hand=1) is None
    assert underway.leader(LONG + "abd", at_hand=0) is None


def test_nobody_waits_for_a_prompt_that_is_mostly_something_else() -> None:
    underway = Underway()
    with underway.computing(LONG + "x" * len(LONG) * 2, len(LONG) * 3):
        assert underway.leader(LONG + "y", at_hand=0) is None


async def test_who_waits_goes_on_when_its_leader_is_done() -> None:
    underway = Underway()
    with ExitStack() as stack:
        leader = stack.enter_context(underway.computing(LONG, len(LONG)))
        waiting = asyncio.create_task(leader.wait())
        await asyncio.sleep(0)
        assert leader.followers == 1
    await waiting
    assert leader.followers == 0
