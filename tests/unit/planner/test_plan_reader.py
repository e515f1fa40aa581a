"""Reading a plan: what is a task, what is none, and why not."""

import pytest

from agentrt.planner import (
    BadLine,
    Joined,
    PlanEvent,
    PlanReader,
    Reference,
    Remark,
    Task,
    TaskReady,
    TooManyTasks,
)
from agentrt.planner.reader import MAX_LINE
from tests.unit.planner.tool_set import NOTE, TOOLS, spec


def _read(text: str, *, max_tasks: int = 64) -> list[PlanEvent]:
    reader = PlanReader(TOOLS, max_tasks=max_tasks)
    return reader.feed(text) + reader.close()


def _task(line: str) -> Task:
    events = _read(f'1 search(query="x")\n2 person(name="y")\n{line}')
    ready = events[-1]
    assert isinstance(ready, TaskReady), ready
    return ready.task


def _why(text: str) -> str:
    bad = [event for event in _read(text) if isinstance(event, BadLine)]
    assert len(bad) == 1, bad
    return bad[0].why


def test_a_plan_is_tasks_and_a_join() -> None:
    text = '1 height(of="A")\n2 height(of="B")\n3 subtract(a=$1, b=$2)\njoin\n'
    assert _read(text) == [
        TaskReady(Task(1, "height", {"of": "A"})),
        TaskReady(Task(2, "height", {"of": "B"})),
        TaskReady(Task(3, "subtract", {"a": Reference(1), "b": Reference(2)})),
        Joined(),
    ]


def test_a_task_is_there_as_soon_as_its_own_line_ends() -> None:
    reader = PlanReader(TOOLS)
    assert reader.feed('1 height(of="A")') == []
    assert reader.feed("\n") == [TaskReady(Task(1, "height", {"of": "A"}))]
    assert reader.feed("2 hei") == []


def test_a_chunk_of_several_lines_loses_none() -> None:
    reader = PlanReader(TOOLS)
    events = reader.feed('1 height(of="A")\n2 height(of="B")\n3 subtract(a=$1, b=$2)\njoin\n')
    assert [type(event) for event in events] == [TaskReady, TaskReady, TaskReady, Joined]


@pytest.mark.parametrize(
    "text",
    [
        "it cost $1 million",
        "$5",
        "a ) b",
        'say \\"$1\\"',
        "# no comment",
        "Replan(join)",
        "1 search(",
    ],
)
def test_text_in_quotes_is_text(text: str) -> None:
    task = _task(f'3 search(query="{text}")')
    assert task.arguments == {"query": text.replace('\\"', '"')}
    assert task.references == ()


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("3", 3),
        ("-4", -4),
        ("$2.born", Reference(2, ("born",))),
    ],
)
def test_values_are_json_or_references(value: str, meant: object) -> None:
    assert _task(f'3 search(query="x", top={value})').arguments["top"] == meant


def test_references_stand_inside_lists_and_objects() -> None:
    tool = spec("all", {"of": {"type": "array", "items": {}}, "by": {"type": "object"}})
    reader = PlanReader([*TOOLS, tool])
    reader.feed('1 person(name="y")\n')
    events = reader.feed('2 all(of=[$1.works[0], "$1", null, true], by={"a": $1, "b": [1.5e3]})\n')
    assert events == [
        TaskReady(
            Task(
                2,
                "all",
                {
                    "of": [Reference(1, ("works", 0)), "$1", None, True],
                    "by": {"a": Reference(1), "b": [1500.0]},
                },
            )
        )
    ]
    assert isinstance(events[0], TaskReady)
    assert events[0].task.references == (1,)


@pytest.mark.parametrize(
    "line",
    [
        '3. search(query="x")',
        '3) search( query = "x" )',
        '$3 = search(query="x")',
        '  3: search(query="x")\r',
    ],
)
def test_what_models_like_to_write_around_a_call_is_let_pass(line: str) -> None:
    assert _task(line) == Task(3, "search", {"query": "x"})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("3 search(query=$3)", "it refers to itself: $3"),
        ("3 search(query=$9)", "it refers to $9, but there is no task 9 above it"),
        ("3 search(query=$0)", "it refers to $0, but there is no task 0 above it"),
        ('1 search(query="y")', "there is another task 1 already"),
        (
            '3 find(query="y")',
            "there is no tool 'find'; the tools are: search, height, subtract, person",
        ),
        ("3 search()", "search needs 'query', which the call does not give"),
        ('3 search(query="a", page=2)', "search has no parameter 'page'"),
        ("3 search(query=4)", "query must be a string, not an integer: 4"),
        ('3 search(query="a", top="4")', 'top must be an integer, not a string: "4"'),
        ('3 search(query="a", top=2.5)', "top must be an integer, not a number: 2.5"),
        ("3 subtract(a=$1, b=2)", "a must be a number, but $1 gives a string"),
        ("3 subtract(a=$1.length, b=2)", "a refers to $1.length, but task 1 gives no such part"),
        ("3 search(query=$2)", "query must be a string, but $2 gives an object"),
        ("3 search(query=$2.born)", "query must be a string, but $2.born gives an integer"),
        (
            '3 search("Paris")',
            'arguments are named, as in tool(name="value"), but there is \'"Paris")\'',
        ),
        (
            '3 search(query="Paris"',
            "expected a comma or the closing parenthesis, but the line ends",
        ),
        ('3 search(query="a") search', "nothing may follow the call, but there is 'search'"),
        ('3 search(query="a", query="b")', "the argument 'query' is given twice"),
        (
            "3 search(query=abs($1 - $2))",
            "a value is JSON (texts in double quotes) or a reference, but there is 'abs($1 - $2))'",
        ),
        (
            "3 search(query='a')",
            "a value is JSON (texts in double quotes) or a reference, but there is \"'a')\"",
        ),
        ("3 subtract(a=1e999, b=1)", "'1e999' is not a finite number"),
        ('3 search(query="\\ud800")', "a text holds half a surrogate pair"),
        (f"3 subtract(a={'9' * 5000}, b=1)", "a number is too long"),
        (f"3 search(query={'[' * 60}", "values may nest 48 levels deep"),
        ("3 search", "after the number comes a tool with its arguments in parentheses"),
        ('search(query="a")', "a line begins with the number of its task"),
        (f'3 search(query="{"a" * MAX_LINE}")', f"it is over {MAX_LINE} characters"),
    ],
)
def test_a_bad_line_says_what_is_wrong_with_it(line: str, why: str) -> None:
    assert _why(f'1 search(query="x")\n2 person(name="y")\n{line}\njoin') == why


def test_a_reference_to_a_later_task_is_bad_and_so_no_plan_has_a_cycle() -> None:
    events = _read("1 subtract(a=$2, b=1)\n2 subtract(a=$1, b=1)\njoin")
    assert [type(event) for event in events] == [BadLine, TaskReady, Joined]
    assert isinstance(events[0], BadLine)
    assert events[0].why == "it refers to $2, but there is no task 2 above it"


def test_a_reference_to_a_greater_number_is_bad_and_so_nothing_waits_for_itself() -> None:
    """A `write` waits for all smaller numbers, wherever they stand."""
    reader = PlanReader([*TOOLS, NOTE])
    events = reader.feed('2 note(text="x")\n1 search(query=$2)\n')
    assert [type(event) for event in events] == [TaskReady, BadLine]
    assert reader.bad[0].why == (
        "it refers to $2, but may refer only to smaller numbers than its own"
    )


def test_what_refers_to_a_number_that_was_given_twice_is_asked_for_too() -> None:
    """It means the new line, and must not be given the result of the old one."""
    old = Task(1, "search", {"query": "old"})
    reader = PlanReader(TOOLS, earlier=[old])
    events = reader.feed(
        '1 search(query="new")\n2 search(query=$1)\n3 search(query=$2)\n4 search(query="d")\njoin'
    )
    assert [type(event) for event in events] == [BadLine, BadLine, BadLine, TaskReady]
    reader.close()
    reader.reopen()
    assert [line.id for line in reader.bad] == [5, 6, 7]
    assert reader.feed("6 search(query=$5)\n7 search(query=$6)\n5 search(query=$1)\n") == [
        TaskReady(Task(6, "search", {"query": Reference(5)})),
        TaskReady(Task(7, "search", {"query": Reference(6)})),
        TaskReady(Task(5, "search", {"query": Reference(1)})),
    ]


def test_a_task_that_is_there_may_be_written_once_more() -> None:
    reader = PlanReader(TOOLS, earlier=[Task(1, "search", {"query": "a"})])
    events = reader.feed('1. search(query = "a")\n2 search(query=$1)\n2 search(query=$1)\njoin\n')
    assert [type(event) for event in events] == [Remark, TaskReady, Remark, Joined]


def test_of_a_repair_only_the_lines_that_were_asked_for_are_read() -> None:
    reader = PlanReader(TOOLS)
    reader.feed('1 height(of=1)\n2 height(of="B")\n3 height(of=3)\njoin')
    reader.close()
    reader.reopen()
    again = '1 height(of="A")\n2 height(of="other")\nheight(of="D")\n3 height(of="C")\n4 height(of="E")\n'
    events = reader.feed(again)
    assert [type(event) for event in events] == [TaskReady, Remark, Remark, TaskReady]
    assert reader.is_over


def test_lines_that_stay_bad_count_once_and_repairs_do_not_stretch_the_limit() -> None:
    reader = PlanReader(TOOLS, max_tasks=3)
    for first in (1, 4):
        bad = "".join(f"{number} height(of=4)\n" for number in range(first, first + 3))
        reader.feed(bad)
        reader.reopen()
    good = "".join(f'{number} height(of="x{number}")\n' for number in range(1, 9))
    events = reader.feed(good)
    assert [type(event) for event in events] == [TaskReady] * 3 + [TooManyTasks]


def test_a_bad_line_costs_only_itself_and_may_be_referred_to_until_it_is_repaired() -> None:
    reader = PlanReader(TOOLS)
    events = reader.feed('1 height(of="A"\n2 subtract(a=$1, b=1)\njoin\n')
    assert [type(event) for event in events] == [BadLine, TaskReady, Joined]
    reader.reopen()
    assert reader.feed('1 height(of="A")\n') == [TaskReady(Task(1, "height", {"of": "A"}))]
    assert reader.bad == []
    assert reader.is_joined


def test_a_bad_line_without_a_number_of_its_own_is_given_one_to_be_repaired_by() -> None:
    reader = PlanReader(TOOLS)
    reader.feed('1 height(of="A")\n1 height(of="B")\nheight(of="C")\njoin\n')
    reader.reopen()
    assert [(line.line, line.id) for line in reader.bad] == [(2, 2), (3, 3)]
    reader.feed('2 height(of="B")\n3 height(of="C")\n')
    assert reader.bad == []


@pytest.mark.parametrize("text", ["Thought: two searches will do.", "```", "Plan:"])
def test_prose_asks_for_nothing(text: str) -> None:
    assert _read(f"{text}\njoin") == [Remark(1, text), Joined()]


@pytest.mark.parametrize("join", ["join", "join()", "3 join()", "4. join", " join "])
def test_a_plan_ends_with_its_join_and_nothing_after_it_is_read(join: str) -> None:
    assert _read(f'{join}\n1 search(query="x")') == [Joined()]


def test_with_a_tool_of_that_name_only_the_bare_word_joins() -> None:
    reader = PlanReader([spec("join", {})])
    assert reader.feed("1 join()\njoin\n") == [TaskReady(Task(1, "join", {})), Joined()]


def test_ten_thousand_tasks_are_too_many_and_nothing_after_the_limit_is_read() -> None:
    text = "".join(f'{index} height(of="{index}")\n' for index in range(1, 10_001))
    events = _read(text, max_tasks=100)
    assert len(events) == 101
    assert events[-1] == TooManyTasks(100)


def test_a_line_without_end_does_not_fill_memory() -> None:
    reader = PlanReader(TOOLS)
    for _ in range(50):
        reader.feed("1 search(" + "x" * 10_000)
    assert sum(map(len, reader._pieces)) == MAX_LINE + 1


@pytest.mark.parametrize("word", ["1", "join", "1 search"])
def test_a_line_of_spaces_is_read_in_linear_time(word: str) -> None:
    """Minutes, where two parts of a pattern may share the spaces among them."""
    (event,) = _read(f"{word}{' ' * (MAX_LINE - 20)}x")
    assert isinstance(event, (BadLine, Remark))


def test_a_text_that_is_cut_off_ends_with_its_last_sound_line() -> None:
    reader = PlanReader(TOOLS)
    reader.feed('1 height(of="A")\n2 height(of="B')
    assert reader.close(is_cut=True) == []
    assert reader.bad == []
    whole = PlanReader(TOOLS)
    whole.feed('1 height(of="A")')
    assert whole.close(is_cut=True) == [TaskReady(Task(1, "height", {"of": "A"}))]


def test_a_check_may_refuse_what_fits_the_schema() -> None:
    reader = PlanReader([NOTE], check=lambda task: f"{task.arguments['text']} is taken")
    assert reader.feed('1 note(text="a")\n') == [
        BadLine(1, '1 note(text="a")', "a is taken", 1, "note")
    ]


def test_a_task_prints_as_its_line() -> None:
    for line in (
        '3 search(query="say \\"$1\\"", top=3)',
        "3 subtract(a=$2.born, b=-1.5)",
        "3 person(name=$1)",
    ):
        assert str(_task(line)) == line
