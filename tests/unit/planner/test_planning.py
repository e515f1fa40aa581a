"""One question: what is asked, what runs and when, as actions answered to events."""

from dataclasses import replace
from itertools import pairwise

import pytest

from agentrt.errors import InvariantError
from agentrt.ir.request import Completion, Message
from agentrt.ir.schema import Schema
from agentrt.planner import (
    Answer,
    AskJoin,
    AskPlan,
    GiveAnswer,
    GiveUp,
    JoinError,
    Outcome,
    PlanAction,
    PlanLimits,
    Planning,
    Replan,
    RunTask,
    failed,
    read_join,
)
from agentrt.planner.join import join_schema
from tests.unit.planner.tool_set import NOTE, NUMBER, SEARCH, SUBTRACT, TEXT, TOOLS, spec

DICE = spec("dice", {}, output=NUMBER)


def _begun(*, limits: PlanLimits | None = None) -> Planning:
    planning = Planning([*TOOLS, NOTE], "why?", limits=limits)
    (ask,) = planning.begin()
    assert isinstance(ask, AskPlan)
    return planning


def _names(actions: list[PlanAction]) -> list[str]:
    """`1 height` for a task that is to run, else what is asked."""
    return [
        f"{action.task.id} {action.task.tool}"
        if isinstance(action, RunTask)
        else type(action).__name__
        for action in actions
    ]


def _said(planning: Planning) -> str:
    return planning.transcript[-1].content


def test_tasks_run_while_the_plan_is_written_and_the_joiner_comes_last() -> None:
    planning = _begun()
    assert _names(planning.received('1 height(of="A")\n2 hei')) == ["1 height"]
    assert _names(planning.received('ght(of="B")\n3 subtract(a=$1, b=$2)\n')) == ["2 height"]
    assert planning.task_ended(2, Outcome(3.0)) == []
    (run,) = planning.task_ended(1, Outcome(5.0))
    assert isinstance(run, RunTask)
    assert (run.task.id, run.arguments) == (3, {"a": 5.0, "b": 3.0})
    assert planning.task_ended(3, Outcome(2.0)) == []
    (join,) = planning.received("join") + planning.plan_ended(
        '1 height(of="A")\n2 height(of="B")\n3 subtract(a=$1, b=$2)\njoin'
    )
    assert isinstance(join, AskJoin)
    assert join.messages[-1].content.startswith("Results:\n$1: 5.0\n$2: 3.0\n$3: 2.0\nAnswer")
    assert planning.join_ended(Answer("2"), '{"answer": "2"}') == [GiveAnswer("2")]


def test_the_conversation_only_grows() -> None:
    planning = _begun()
    seen: list[tuple[Message, ...]] = [tuple(planning.transcript)]
    planning.plan_ended("1 search(query=4)\njoin")
    seen.append(tuple(planning.transcript))
    planning.plan_ended('1 search(query="4")')
    planning.task_ended(1, Outcome("four"))
    seen.append(tuple(planning.transcript))
    planning.join_ended(Replan("more"), '{"replan": "more"}')
    seen.append(tuple(planning.transcript))
    for before, after in pairwise(seen):
        assert after[: len(before)] == before
        assert len(after) > len(before)


def test_a_dependent_starts_with_its_dependency_and_waits_for_no_other_line() -> None:
    planning = _begun()
    planning.received('1 search(query="a")\n2 search(query=$1)\n')
    assert _names(planning.task_ended(1, Outcome("b"))) == ["2 search"]


def test_results_are_values_and_are_never_read_for_references() -> None:
    planning = _begun()
    planning.received('1 search(query="a")\n2 search(query=$1)\n')
    (run,) = planning.task_ended(1, Outcome("it cost $1 million"))
    assert isinstance(run, RunTask)
    assert run.arguments == {"query": "it cost $1 million"}


def test_a_null_result_is_null_and_what_does_not_take_it_does_not_run() -> None:
    tools = [
        SEARCH,
        spec("maybe", {"x": {"anyOf": [TEXT, {"type": "null"}]}}),
        spec("nil", {}, output={}),
    ]
    planning = Planning(tools, "why?")
    planning.begin()
    planning.received("1 nil()\n2 maybe(x=$1)\n3 search(query=$1)\n")
    (run,) = planning.task_ended(1, Outcome(None))
    assert isinstance(run, RunTask)
    assert run.arguments == {"x": None}
    assert planning.ledger.outcomes[3] == failed("not run: query must be a string, not null: null")


def test_what_reads_a_failed_task_does_not_run_and_the_joiner_hears_of_both() -> None:
    planning = _begun()
    planning.plan_ended(
        '1 search(query="a")\n2 search(query=$1)\n3 search(query=$2)\n4 search(query="d")\njoin'
    )
    assert planning.task_ended(4, Outcome("d")) == []
    (join,) = planning.task_ended(1, failed("it is down"))
    assert isinstance(join, AskJoin)
    assert _said(planning).startswith(
        "Results:\n$1: error: it is down\n$2: error: not run: task 1 failed\n"
        "$3: error: not run: task 2 failed\n$4: d\n"
    )


def test_a_part_of_a_result_that_is_not_there_is_an_outcome() -> None:
    planning = Planning([spec("any", {}, output={}), SEARCH], "why?")
    planning.begin()
    planning.received("1 any()\n2 search(query=$1.name[0])\n")
    assert planning.task_ended(1, Outcome({"name": []})) == []
    assert planning.ledger.outcomes[2] == failed(
        "not run: $1.name[0] leads nowhere: task 1 has no such part"
    )


@pytest.mark.parametrize(
    ("result", "part"),
    [
        ("abc", ".upper"),
        ([1], ".append"),
        (3, ".real"),
        ({"a": 1}, ".items"),
        ({}, "[0]"),
        (3, "[0]"),
    ],
)
def test_parts_of_results_are_parts_of_json_and_never_of_python(result: object, part: str) -> None:
    planning = Planning([spec("any", {}, output={}), spec("show", {"x": {}})], "why?")
    planning.begin()
    planning.received(f"1 any()\n2 show(x=$1{part})\n")
    assert planning.task_ended(1, Outcome(result)) == []
    why = f"not run: $1{part} leads nowhere: task 1 has no such part"
    assert planning.ledger.outcomes[2] == failed(why)


def test_a_bad_line_is_asked_for_again_and_nothing_else_is() -> None:
    planning = _begun()
    actions = planning.plan_ended('1 height(of="A"\n2 height(of="B")\n3 subtract(a=$1, b=$2)\njoin')
    assert _names(actions) == ["2 height", "AskPlan"]
    ask = actions[-1]
    assert isinstance(ask, AskPlan)
    assert (ask.plan, ask.repair) == (0, 1)
    assert ask.grammar.startswith("root ::= task-1\n")
    assert _said(planning) == (
        'These lines of the plan cannot be used:\n1 height(of="A"\n  expected a comma or the closing '
        "parenthesis, but the line ends\nWrite only task 1 again, one line each."
    )
    assert _names(planning.received('1 height(of="A")\n')) == ["1 height"]


def test_a_line_that_stays_bad_is_given_up_and_what_reads_it_does_not_run() -> None:
    planning = _begun(limits=PlanLimits(max_repairs=1))
    planning.plan_ended('1 note(text="x")\n2 height(of=4)\n3 subtract(a=$2, b=2)\njoin')
    assert _names(planning.plan_ended("2 height(of=5)")) == ["AskJoin"]
    assert [planning.ledger.outcomes[task_id].error for task_id in (1, 2, 3)] == [
        "not run: the plan has lines that cannot be used",
        "the line of the plan cannot be used: of must be a string, not an integer: 5",
        "not run: task 2 failed",
    ]


def test_a_task_0_that_is_given_up_on_is_known_to_what_reads_it() -> None:
    planning = _begun(limits=PlanLimits(max_repairs=0))
    assert _names(planning.plan_ended("0 height(of=4)\n1 search(query=$0)\njoin")) == ["AskJoin"]
    assert planning.ledger.outcomes[1] == failed("not run: task 0 failed")


def test_nothing_is_added_to_a_plan_by_a_repair() -> None:
    """Else it would run when the joiner has been asked already."""
    planning = _begun()
    planning.plan_ended("1 height(of=4)\njoin")
    planning.received('1 height(of="A")\n')
    assert _names(planning.task_ended(1, Outcome(1.0))) == ["AskJoin"]
    assert planning.received('2 height(of="B")\n3 height(of=4)\n') == []
    text = '1 height(of="A")\n2 height(of="B")\n3 height(of=4)\n'
    assert planning.plan_ended(text) == []


def test_a_line_that_is_to_get_another_number_is_asked_for_by_that() -> None:
    planning = _begun()
    planning.plan_ended('1 height(of="A")\n1 height(of="B")\njoin')
    assert _said(planning) == (
        'These lines of the plan cannot be used:\n1 height(of="B")\n  there is another task 1 '
        "already; write it as task 2\nWrite only task 2 again, one line each."
    )


def test_a_plan_that_is_cut_off_goes_on_where_it_stopped() -> None:
    planning = _begun()
    actions = planning.plan_ended('1 height(of="A")\n2 height(of="B', is_cut=True)
    assert _names(actions) == ["1 height", "AskPlan"]
    assert planning.transcript[-2:] == [
        Message("assistant", '1 height(of="A")'),
        Message(
            "user",
            "The plan has no end yet. Go on with task 2, or write only join if it is complete.",
        ),
    ]
    assert _names(planning.plan_ended("join")) == []
    assert _names(planning.task_ended(1, Outcome(4.0))) == ["AskJoin"]


def test_the_rest_of_a_plan_has_room_for_the_tasks_that_are_left() -> None:
    planning = _begun(limits=PlanLimits(max_tasks=3))
    actions = planning.plan_ended('1 height(of="A")\n2 height(of="B")\n3 hei', is_cut=True)
    ask = actions[-1]
    assert isinstance(ask, AskPlan)
    assert "task-3 ::=" in ask.grammar
    assert "task-4" not in ask.grammar
    actions = planning.plan_ended('3 height(of="C")\n', is_cut=True)
    ask = actions[-1]
    assert isinstance(ask, AskPlan)
    assert ask.grammar == 'root ::= "join"\n'


def test_a_plan_that_ends_by_itself_needs_no_join_but_prose_is_no_plan() -> None:
    planning = _begun()
    planning.plan_ended('1 height(of="A")')
    assert _names(planning.task_ended(1, Outcome(4.0))) == ["AskJoin"]
    assert _names(_begun().plan_ended("I would search for it.")) == ["AskPlan"]


def test_a_plan_without_tasks_goes_to_the_joiner() -> None:
    planning = _begun()
    assert _names(planning.plan_ended("join")) == ["AskJoin"]
    assert _said(planning).startswith("There are no results.")


def test_what_is_written_after_the_join_is_not_part_of_the_conversation() -> None:
    planning = _begun()
    planning.plan_ended('1 height(of="A")\njoin\n2 height(of="B")\nNow I will')
    assert planning.transcript[-1] == Message("assistant", '1 height(of="A")\njoin')


def test_ten_thousand_tasks_are_an_error_that_says_so() -> None:
    planning = _begun(limits=PlanLimits(max_tasks=50))
    text = "".join(f'{index} height(of="{index}")\n' for index in range(1, 10_001))
    actions = planning.received(text)
    assert actions == []
    assert planning.plan_ended(text) == [GiveUp("max_tasks", "the plan has more than 50 tasks")]


def test_a_planner_that_still_writes_after_its_plan_was_replaced_is_not_read() -> None:
    planning = Planning(TOOLS, "why?")
    (first,) = planning.begin()
    assert isinstance(first, AskPlan)
    planning.received('1 height(of="A")\njoin\nNow', of=first)
    planning.task_ended(1, Outcome(1.0))
    planning.join_ended(Replan("more"), '{"replan": "more"}')
    assert planning.received(' 2 height(of="B")\n', of=first) == []
    assert planning.plan_ended('1 height(of="A")\njoin\nNow 2 height', of=first) == []
    assert _names(planning.received('2 height(of="C")\n')) == ["2 height"]


def test_tokens_are_bounded() -> None:
    planning = _begun(limits=PlanLimits(max_total_tokens=100))
    planning.plan_ended('1 height(of="A")\njoin', tokens=100)
    assert planning.task_ended(1, Outcome(1.0)) == [
        GiveUp("max_total_tokens", "no answer within 100 tokens")
    ]


def test_the_tokens_of_a_plan_are_counted_before_the_joiner_is_asked() -> None:
    planning = _begun(limits=PlanLimits(max_total_tokens=100))
    planning.received('1 height(of="A")\njoin\n')
    assert planning.task_ended(1, Outcome(1.0)) == []
    assert _names(planning.plan_ended('1 height(of="A")\njoin\n', tokens=100)) == ["GiveUp"]


def test_nothing_starts_once_a_limit_is_reached() -> None:
    planning = _begun(limits=PlanLimits(max_total_tokens=100))
    text = '1 search(query="a")\n2 search(query=$1)\n3 height(of=4)\njoin'
    assert _names(planning.plan_ended(text, tokens=100)) == ["1 search", "GiveUp"]
    assert planning.task_ended(1, Outcome("A")) == []


def test_a_planner_that_still_writes_after_its_plan_was_replaced_has_no_meaning() -> None:
    planning = Planning(TOOLS, "why?")
    (first,) = planning.begin()
    assert isinstance(first, AskPlan)
    assert planning.is_read(first)
    planning.received("join\n", of=first)
    planning.join_ended(Replan("more"), '{"replan": "more"}')
    assert not planning.is_read(first)


# -- what writes -----------------------------------------------------------------------------


def test_a_write_waits_for_the_whole_plan_and_all_lines_above_it() -> None:
    planning = _begun()
    assert _names(planning.received('1 search(query="a")\n2 note(text="b")\n')) == ["1 search"]
    assert planning.task_ended(1, Outcome("a")) == []
    assert (
        planning.received("join\n") == []
    )  # not on record yet: a resumed run might plan otherwise
    assert _names(planning.plan_ended('1 search(query="a")\n2 note(text="b")\njoin\n')) == [
        "2 note"
    ]


def test_a_write_does_not_run_when_a_line_above_it_failed() -> None:
    planning = _begun()
    planning.plan_ended('1 search(query="a")\n2 note(text="b")\njoin')
    assert _names(planning.task_ended(1, failed("down"))) == ["AskJoin"]
    assert planning.ledger.outcomes[2] == failed("not run: task 1 failed")


def test_a_write_does_not_run_while_a_line_is_bad() -> None:
    planning = _begun()
    actions = planning.plan_ended('1 note(text="a")\n2 search(query=4)\njoin')
    assert _names(actions) == ["AskPlan"]
    assert _names(planning.plan_ended('2 search(query="4")')) == ["1 note"]
    assert _names(planning.task_ended(1, Outcome("ok"))) == ["2 search"]


def test_what_is_read_below_a_write_is_read_again_after_it() -> None:
    planning = _begun()
    planning.plan_ended('1 search(query="a")\n2 note(text="x")\n3 search(query="a")\njoin')
    planning.task_ended(1, Outcome("before"))
    assert _names(planning.task_ended(2, failed("lost"))) == ["AskJoin"]
    planning = _begun()
    planning.plan_ended('1 search(query="a")\n2 note(text="x")\n3 search(query="a")\njoin')
    planning.task_ended(1, Outcome("before"))
    assert _names(planning.task_ended(2, Outcome("noted"))) == ["3 search"]
    planning.task_ended(3, Outcome("after"))
    planning.join_ended(Replan("more"), '{"replan": "more"}')
    actions = planning.plan_ended('4 note(text="x")\n5 search(query="a")\njoin')
    assert _names(actions) == ["AskJoin"]
    assert planning.ledger.outcomes[5] == Outcome("after")


def test_lines_below_a_write_wait_for_it_and_writes_keep_their_order() -> None:
    planning = _begun()
    actions = planning.plan_ended('1 note(text="a")\n2 search(query="a")\n3 note(text="b")\njoin')
    assert _names(actions) == ["1 note"]
    assert _names(planning.task_ended(1, Outcome("ok"))) == ["2 search"]
    assert _names(planning.task_ended(2, Outcome("a"))) == ["3 note"]


def test_lines_below_a_bad_one_that_may_write_wait_for_it() -> None:
    planning = _begun()
    assert planning.received('1 note(txt="a")\n2 search(query="a")\n') == []
    planning.plan_ended('1 note(txt="a")\n2 search(query="a")\njoin')
    assert _names(planning.plan_ended('1 note(text="a")\n')) == ["1 note"]
    assert _names(planning.task_ended(1, Outcome("ok"))) == ["2 search"]


# -- replanning ------------------------------------------------------------------------------


def _replanned(
    first: str, outcomes: dict[int, Outcome], *, limits: PlanLimits | None = None
) -> Planning:
    planning = _begun(limits=limits)
    planning.plan_ended(first)
    for task_id, outcome in outcomes.items():
        planning.task_ended(task_id, outcome)
    (ask,) = planning.join_ended(Replan("more"), '{"replan": "more"}')
    assert isinstance(ask, AskPlan)
    assert (ask.plan, ask.repair) == (1, 0)
    return planning


def test_another_plan_refers_to_what_is_there_and_repeats_nothing() -> None:
    planning = _replanned('1 search(query="a")\njoin', {1: Outcome("A")})
    assert _said(planning).endswith("The first line is task 2.")
    actions = planning.plan_ended(
        '2 search(query="a")\n3 search(query=$1)\n4 search(query=$2)\njoin'
    )
    # 2 is what 1 was, and so 4 is what 3 is: it waits for it rather than being made too.
    assert _names(actions) == ["3 search"]
    assert planning.ledger.outcomes[2] == Outcome("A")
    assert _names(planning.task_ended(3, Outcome("B"))) == ["AskJoin"]
    assert planning.ledger.outcomes[4] == Outcome("B")


def test_what_failed_may_be_tried_again_but_not_what_may_have_taken_effect() -> None:
    planning = _replanned('1 search(query="a")\njoin', {1: failed("down")})
    assert _names(planning.plan_ended('2 search(query="a")\njoin')) == ["2 search"]
    planning = _replanned('1 note(text="a")\njoin', {1: failed("lost", is_final=True)})
    assert _names(planning.plan_ended('2 note(text="a")\njoin')) == ["AskJoin"]
    assert planning.ledger.outcomes[2] == failed("lost", is_final=True)


def test_a_number_that_was_given_up_on_may_be_used_by_another_plan() -> None:
    planning = _begun(limits=PlanLimits(max_repairs=0))
    planning.plan_ended("1 height(of=4)\njoin")
    planning.join_ended(Replan("more"), '{"replan": "more"}')
    assert _names(planning.plan_ended('1 height(of="A")\njoin')) == ["1 height"]


def test_after_the_last_plan_the_joiner_has_to_answer() -> None:
    planning = _replanned(
        '1 search(query="a")\njoin', {1: Outcome("A")}, limits=PlanLimits(max_replans=1)
    )
    (join,) = planning.plan_ended("join")
    assert isinstance(join, AskJoin)
    assert (join.may_replan, join.schema) == (False, None)
    with pytest.raises(InvariantError):
        planning.join_ended(Replan("more"), "")


def test_what_may_differ_each_time_is_made_each_time() -> None:
    planning = Planning([replace(DICE, is_deterministic=False), SUBTRACT], "why?")
    planning.begin()
    assert _names(planning.received("1 dice()\n2 dice()\n")) == ["1 dice", "2 dice"]


def test_equal_calls_of_one_plan_are_made_once() -> None:
    planning = _begun()
    assert _names(planning.received('1 search(query="a")\n2 search(query="a")\n')) == ["1 search"]
    planning.task_ended(1, Outcome("A"))
    assert planning.ledger.outcomes[2] == Outcome("A")


def test_what_equal_calls_share_is_told_once() -> None:
    long = Outcome("about a " * 40)
    planning = _replanned('1 search(query="a")\n2 search(query="a")\njoin', {1: long})
    assert planning.transcript[-3].content.startswith(
        f"Results:\n$1: {long.value}\n$2: the same as $1\n"
    )
    planning.plan_ended('3 search(query="a")\njoin')
    assert _said(planning).startswith("Results:\n$3: the same as $1\n")


# -- the joiner ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"answer": "First for Women (magazine) won"}', Answer("First for Women (magazine) won")),
        ('{"answer": "Finish(The Replan Act)"}', Answer("Finish(The Replan Act)")),
        ('{"answer": "x", "replan": null}', Answer("x")),
        ('{"replan": "the age of Ed"}', Replan("the age of Ed")),
        ('{"verdict": {"answer": "x", "replan": ""}}', Answer("x")),
        ('{"answer": "", "replan": "the age of Ed"}', Replan("the age of Ed")),
        ('{"answer": ""}', Answer("")),
        ('So:\n```json\n{"answer": "a ``` b"}\n```\nDone.', Answer("a ``` b")),
        ('{"verdict": {"answer": "x"}}', Answer("x")),
        ('{"verdict": {"replan": "the age of Ed"}}', Replan("the age of Ed")),
    ],
)
def test_a_verdict_is_what_its_keys_say_whatever_words_are_in_it(
    text: str, verdict: object
) -> None:
    assert read_join(Completion(text=text), answer=TEXT, may_replan=True) == verdict


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "[]",
        "Action: Finish(x)",
        '{"answer": null}',
        '{"replan": " "}',
        '{"replan": 3}',
        '{"answer": "x", "replan": "y"}',
        '{"verdict": {"answer": "x", "replan": "y"}}',
        '{"verdict": "x"}',
        '{"verdict": {}}',
        "{}",
        "[" * 100_000,
        '{"answer": "x"',
        '{"answer": NaN}',
        '{"answer": 1e999}',
        '{"answer": "\\ud800"}',
        "```json\nno\n```",
        "```",
        "{}" + "`" * 50_000,
        "```" + "\n" * 50_000,
    ],
)
def test_nonsense_is_no_verdict(text: str) -> None:
    with pytest.raises(JoinError):
        read_join(Completion(text=text), answer=TEXT, may_replan=True)


def test_the_schema_of_a_verdict_leaves_no_room_to_decide_both() -> None:
    city: Schema = {"$ref": "#/$defs/City", "$defs": {"City": TEXT}}
    closed = {"type": "object", "additionalProperties": False}
    answer = {"properties": {"answer": {"$ref": "#/$defs/City"}}, "required": ["answer"]}
    replan = {"properties": {"replan": TEXT}, "required": ["replan"]}
    assert join_schema(city, may_replan=True) == {
        **closed,
        "properties": {"verdict": {"anyOf": [{**closed, **answer}, {**closed, **replan}]}},
        "required": ["verdict"],
        "$defs": {"City": TEXT},
    }
    assert join_schema(city, may_replan=False) == {**closed, **answer, "$defs": {"City": TEXT}}
    assert join_schema(TEXT, may_replan=False) is None


def test_nonsense_is_asked_for_again_but_not_for_ever() -> None:
    planning = _begun(limits=PlanLimits(max_join_retries=1))
    planning.plan_ended("join")
    (again,) = planning.join_rejected("hm", "the verdict is not valid JSON")
    assert isinstance(again, AskJoin)
    assert again.attempt == 1
    assert again.messages[-2:] == (
        Message("assistant", "hm"),
        Message("user", "That cannot be used: the verdict is not valid JSON. Write it again."),
    )
    assert planning.join_rejected("hm", "no") == [
        GiveUp("max_join_retries", "the joiner gave no answer that fits: no")
    ]


def test_a_long_result_is_cut_for_the_joiner_and_says_so() -> None:
    planning = _begun(limits=PlanLimits(max_result_characters=3))
    planning.plan_ended('1 search(query="a")\njoin')
    planning.task_ended(1, Outcome("abcdef"))
    assert "$1: abc\n[cut: 6 characters in all]\n" in _said(planning)


# -- schemas that change ---------------------------------------------------------------------


def test_a_schema_that_changes_under_way_changes_nothing_of_this_question() -> None:
    parameters = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
    tool = spec("find", {})
    object.__setattr__(tool, "parameters", parameters)
    planning = Planning([tool], "why?")
    (ask,) = planning.begin()
    parameters["properties"] = {"other": {"type": "integer"}}
    assert isinstance(ask, AskPlan)
    assert "find(q: string)" in ask.messages[0].content
    assert _names(planning.received('1 find(q="a")\n')) == ["1 find"]


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two tools are called 'search'"):
        Planning([SEARCH, SEARCH], "why?")


def test_a_plan_that_went_through_can_be_used_again_and_no_other() -> None:
    planning = _begun()
    planning.plan_ended('1. search(query = "a")\njoin')
    planning.task_ended(1, Outcome("A"))
    assert planning.reusable_plan == '1 search(query="a")\njoin'
    planning.join_ended(Replan("x"), "")
    assert planning.reusable_plan is None


def test_an_answer_in_the_form_of_earlier_verdicts_is_one() -> None:
    said = Completion(text='{"verdict": {"answer": 4}}')
    assert read_join(said, answer=NUMBER, may_replan=False) == Answer(4)
