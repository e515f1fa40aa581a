"""What a plan will ask for, told by earlier plans."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.planner import Guess, GuessReport, PlanGuesses
from tests.unit.planner.tool_set import NUMBER, TEXT, spec

LOOK = spec("look", {"name": TEXT})
ORDER = spec("order", {"number": NUMBER, "shop": TEXT})
NOTE = spec("note", {"text": TEXT}, effects="write")
DIE = replace(spec("die", {"name": TEXT}), is_deterministic=False)
TOOLS = (LOOK, ORDER, NOTE, DIE)


def _taught(*plans: tuple[str, str]) -> PlanGuesses:
    guesses = PlanGuesses()
    for question, plan in plans:
        guesses.learn(TOOLS, question, plan)
    return guesses


PAIRS = (
    (
        "Who is older, Ada Lovelace or Alan Turing?",
        '1 look(name="Ada Lovelace")\n2 look(name="Alan Turing")\njoin',
    ),
    (
        "Did Kurt Gödel meet Emmy Noether?",
        '1 look(name="Kurt Gödel")\n2 look(name="Emmy Noether")\njoin',
    ),
)


def test_names_go_where_names_went_before() -> None:
    guesses = _taught(*PAIRS)
    assert guesses.calls(TOOLS, "Is Paris larger than Lyon, or is Paris smaller?") == [
        Guess("look", {"name": "Paris"}),
        Guess("look", {"name": "Lyon"}),
    ]
    assert guesses.calls(reversed(TOOLS), "Is Paris larger?") == [Guess("look", {"name": "Paris"})]
    assert guesses.calls(TOOLS, "is it larger?") == []


def test_one_plan_is_no_habit_and_another_set_of_tools_is_another_matter() -> None:
    assert _taught(PAIRS[0]).calls(TOOLS, "Is Paris large?") == []
    assert _taught(*PAIRS).calls((LOOK,), "Is Paris large?") == []


def test_numbers_stay_numbers_and_other_arguments_what_they_always_were() -> None:
    plans = [(f"Where is order {n}?", f'1 order(number={n}, shop="north")\njoin') for n in range(4)]
    assert _taught(*plans).calls(TOOLS, "Where is order 77, Ada?") == [
        Guess("order", {"shop": "north", "number": 77})
    ]
    other = [(f"Where is order {n}?", f'1 order(number={n}, shop="{n}a")\njoin') for n in range(4)]
    assert _taught(*other).calls(TOOLS, "Where is order 77?") == []


@pytest.mark.parametrize(
    "plan",
    [
        '1 note(text="{0}")\njoin',
        '1 die(name="{0}")\njoin',
        '1 look(name="the life of {0}")\njoin',
        '1 look(name="Bob")\n2 look(name=$1)\njoin',
        "join",
        '1 look(name=\nnonsense "{0}"',
        'join\n1 look(name="{0}")',
    ],
)
def test_what_writes_or_changes_or_is_made_of_the_name_is_not_guessed(plan: str) -> None:
    names = ("Ada", "Alan", "Kurt", "Emmy", "Max")
    guesses = _taught(*((f"who is {name}?", plan.format(name)) for name in names))
    assert guesses.calls(TOOLS, "who is Paul?") == []


def test_guesses_come_in_the_order_that_plans_have_them_and_a_tool_called_join_ends_none() -> None:
    tools = (spec("join", {"name": TEXT}), LOOK)
    guesses = PlanGuesses()
    for name in ("Ada", "Bob", "Cay", "Dan"):
        plan = f'1 join(name="{name}")\n2 look(name="{name}")\njoin'
        guesses.learn(tools, f"who is {name}?", plan)
    assert guesses.calls(tools, "who is Eve?") == [
        Guess("join", {"name": "Eve"}),
        Guess("look", {"name": "Eve"}),
    ]


def test_guesses_stop_where_plans_do_otherwise_of_late() -> None:
    guesses = _taught(*PAIRS)
    assert guesses.calls(TOOLS, "Is Paris large?")
    for n in range(3):
        guesses.learn(TOOLS, f"Is N{n} near M{n}?", f'1 look(name="N{n} to M{n}")\njoin')
    assert guesses.calls(TOOLS, "Is Paris large?") == []
    for n in range(40):
        guesses.learn(
            TOOLS, f"Is N{n} near M{n}?", f'1 look(name="N{n}")\n2 look(name="M{n}")\njoin'
        )
    assert guesses.calls(TOOLS, "Is Paris large?")


def test_no_question_makes_more_than_sixteen_calls() -> None:
    question = "; ".join(f'"{n}"' for n in range(400))
    assert len(_taught(*PAIRS).calls(TOOLS, question)) == 16


def test_sets_of_tools_that_are_not_used_are_forgotten() -> None:
    guesses = PlanGuesses(max_tool_sets=1)
    for tools in (TOOLS, (LOOK,)):
        for question, plan in PAIRS:
            guesses.learn(tools, question, plan)
    assert guesses.calls(TOOLS, "Is Paris large?") == []
    assert guesses.calls((LOOK,), "Is Paris large?")
    with pytest.raises(ValueError, match="one set of tools"):
        PlanGuesses(max_tool_sets=0)


def test_the_report_says_how_many_were_of_use() -> None:
    guesses = PlanGuesses()
    assert (guesses.report, guesses.report.taken_share) == (GuessReport(), 0.0)
    guesses.count(started=4)
    guesses.count(taken=1)
    assert (guesses.report, guesses.report.taken_share) == (GuessReport(4, 1), 0.25)


_LINES = st.lists(
    st.sampled_from(
        ['1 look(name="Ada")', "2 order(number=3, shop=$1)", "join", "", "1 look(", "\x00"]
    )
    | st.text(max_size=30)
).map("\n".join)


@given(st.lists(st.tuples(st.text(max_size=40), _LINES), max_size=6), st.text(max_size=40))
def test_whatever_was_planned_guesses_are_calls_of_reads_with_slots_of_the_question(
    plans: list[tuple[str, str]], question: str
) -> None:
    guesses = _taught(*plans)
    for guess in guesses.calls(TOOLS, question):
        assert guess.tool in {"look", "order"}
        assert guess.arguments
