"""Whatever a model writes, and however it is cut into chunks, reading it comes to the same."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agentrt.planner import (
    AskPlan,
    Joined,
    PlanCache,
    PlanEvent,
    Planning,
    PlanReader,
    Task,
    TaskReady,
)
from agentrt.planner.arguments import arguments_problem
from agentrt.planner.line import LineError, read_line
from agentrt.planner.shape import shape_of
from agentrt.planner.task import Reference
from tests.unit.planner.tool_set import NOTE, TEXT, TOOLS, spec

ANYTHING = spec("any", {"x": {}, "y": {}}, output={}, optional=("y",))
ALL = (*TOOLS, NOTE, ANYTHING)
WORDS = '1 |2|3 |search|height(|query=|"a"|"|$1|$2.born|)|(|join|, |\\|[|{|}|:|-1e5|null|```'
pieces = st.sampled_from(
    [
        *WORDS.split("|"),
        *("\n", "\n", "\r", "\u2028", "\ud800", "join\n"),
        *('1 height(of="A")\n', '2 search(query="$1")\n', "3 subtract(a=$1, b=2)\n"),
    ]
)
texts = st.lists(pieces | st.text(max_size=4), max_size=25).map("".join)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.just(Reference(1))
    | st.just(Reference(1, ("a", 0))),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=3), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def _events(chunks: list[str]) -> list[PlanEvent]:
    reader = PlanReader(ALL, max_tasks=8)
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.close()


@given(texts, st.lists(st.integers(0, 80), max_size=10))
def test_any_cutting_gives_the_same_events(text: str, cuts: list[int]) -> None:
    at = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[a:b] for a, b in pairwise(at)]
    assert _events(chunks) == _events([text]) == _events(list(text))


@given(texts, st.integers(0, 3))
def test_no_text_keeps_a_sound_line_from_being_read(text: str, before: int) -> None:
    """A sound line that stands alone is a task, whatever the lines around it are."""
    lines = [line for line in text.split("\n") if "join" not in line][:3]
    lines.insert(min(before, len(lines)), '77 height(of="Big Ben")')
    events = _events(["\n".join(lines)])
    assert TaskReady(Task(77, "height", {"of": "Big Ben"})) in events


@given(values, values)
def test_a_task_written_is_the_task_read(x: object, y: object) -> None:
    task = Task(2, "any", {"x": x, "y": y})
    assert read_line(str(task)) == task


@given(texts)
def test_a_line_that_is_not_refused_reads_the_same_again(text: str) -> None:
    try:
        task = read_line(text.replace("\n", " "))
    except LineError:
        return
    assert read_line(str(task)) == task


@given(
    values, st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
)
def test_a_schema_of_one_type_takes_values_of_it_alone(value: object, kind: str) -> None:
    problem = arguments_problem(spec("t", {"x": {"type": kind}}), {"x": value}, lambda _: {})
    types = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
        "array": list,
        "object": dict,
    }
    is_it = isinstance(value, types[kind])  # type: ignore[arg-type]  # one type, or two
    if isinstance(value, bool):
        is_it = kind == "boolean"
    if isinstance(value, float) and kind == "integer":
        is_it = value.is_integer()
    assert (problem is None) == (is_it or isinstance(value, Reference))


@given(texts, texts, texts)
def test_the_cache_takes_any_question_and_any_plan(question: str, plan: str, other: str) -> None:
    cache = PlanCache()
    shape = shape_of(question)
    assert len(shape.pieces) == len(shape.slots) + 1
    if cache.add([spec("t", {"x": TEXT})], question, plan):
        cache.find([spec("t", {"x": TEXT})], other)


@given(texts)
def test_planning_goes_on_whatever_the_planner_writes(text: str) -> None:
    """It asks for something, or runs something; it is never stuck, and it never raises."""
    planning = Planning(ALL, "why?")
    (ask,) = planning.begin()
    assert isinstance(ask, AskPlan)
    actions = planning.received(text) + planning.plan_ended(text)
    assert actions
    if any(isinstance(event, Joined) for event in _events([text])):
        assert not planning.is_read(ask)
