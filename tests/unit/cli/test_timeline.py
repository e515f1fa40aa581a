import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agentrt.cli.one_at_a_time import OneAtATime
from agentrt.cli.timeline import bar, draw_timeline, seconds, summary
from agentrt.cli.timeline_rows import Gap, Row, group_label, rows_of, short_label
from agentrt.ir.event import NodeKind
from agentrt.ir.report import NodeReport
from agentrt.ir.request import Usage


def node(
    node_id: str, start: float, end: float, kind: NodeKind = "tool", usage: Usage = Usage()
) -> NodeReport:
    return NodeReport(
        node_id=node_id,
        kind=kind,
        status="finished",
        started_s=start,
        finished_s=end,
        usage=usage,
    )


def row(*spans: tuple[float, float], count: int = 1) -> Row:
    return Row(label="a", kind="tool", spans=spans, duration_s=1, count=count)


def drawn(nodes: list[NodeReport], width: int = 100, encoding: str = "utf-8") -> list[str]:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=stream, width=width, highlight=False, color_system=None)
    draw_timeline(console, nodes, duration_s=10)
    stream.flush()
    return raw.getvalue().decode(encoding).splitlines()


@pytest.mark.parametrize(
    ("node_id", "label"),
    [
        ("answer", "answer"),
        ("summarise[0].summarise", "summarise[0]"),
        ("fix[3].bash[0]", "fix[3].bash[0]"),
        ("outer[1].inner[2].inner", "outer[1].inner[2]"),
        ("loop[0].step.draft", "loop[0].step.draft"),
    ],
)
def test_a_label_does_not_say_the_same_name_twice(node_id: str, label: str) -> None:
    assert short_label(node_id) == label


def test_a_group_is_named_by_the_range_of_its_numbers() -> None:
    ids = [f"summarise[{number}].summarise" for number in (2, 0, 11)]
    assert group_label(ids) == "summarise[0..11]"
    assert group_label(["fix[3].bash[0]", "fix[3].bash[4]"]) == "fix[3].bash[0..4]"


def test_forty_rows_are_shown_one_by_one_in_order_of_start() -> None:
    nodes = [node(f"m[{number}].f", 40 - number, 50) for number in range(40)]
    labels = [each.label for each in rows_of(nodes) if isinstance(each, Row)]
    assert labels == [f"m[{number}].f" for number in reversed(range(40))]


def test_over_forty_rows_the_largest_group_becomes_one_row_and_small_ones_stay() -> None:
    many = [node(f"read[{number}].read", 1, 2) for number in range(50)]
    few = [node(f"ask[{number}].ask", 3, 4) for number in range(3)]
    shown = rows_of([*few, *many, node("list", 0, 1)])
    assert [each.label for each in shown if isinstance(each, Row)] == [
        "list",
        "read[0..49]",
        "ask[0]",
        "ask[1]",
        "ask[2]",
    ]
    group = shown[1]
    assert isinstance(group, Row)
    assert (group.count, group.duration_s, len(group.spans)) == (50, 50, 50)


def test_what_cannot_be_grouped_loses_its_middle_and_says_how_much() -> None:
    shown = rows_of([node(f"step_{number}", number, number + 1) for number in range(1000)])
    assert len(shown) == 40
    assert shown[20] == Gap(1000 - 39)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0.0, 10.0)], "██████████"),
        ([(5.0, 10.0)], "     █████"),
        ([(0.0, 0.001)], "█         "),
        ([(10.0, 10.0)], "         █"),
        ([(9.0, 99.0)], "         █"),
    ],
)
def test_a_bar_is_to_scale_and_never_empty(spans: list[tuple[float, float]], expected: str) -> None:
    assert bar(row(*spans), total_s=10, width=10) == expected


def test_a_group_bar_is_as_high_as_calls_run_beside_one_another() -> None:
    grouped = row((0, 10), (5, 10), count=2)
    assert bar(grouped, total_s=10, width=4) == "▄▄██"
    assert bar(grouped, total_s=10, width=4, is_ascii=True) == "####"


def test_a_run_without_time_draws_an_empty_bar() -> None:
    assert bar(row((0, 0)), total_s=0, width=5) == "     "
    assert bar(row(), total_s=1, width=5) == "     "


@given(
    spans=st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)).map(lambda pair: (min(pair), max(pair))),
        max_size=20,
    ),
    width=st.integers(1, 200),
    total_s=st.floats(0, 1e6),
    is_ascii=st.booleans(),
)
def test_a_bar_is_exactly_as_wide_as_asked(
    spans: list[tuple[float, float]], width: int, total_s: float, is_ascii: bool
) -> None:
    drawn = bar(row(*spans, count=len(spans)), total_s=total_s, width=width, is_ascii=is_ascii)
    assert len(drawn) == width
    if is_ascii:
        assert drawn.isascii()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ms"),
        (0.0123, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
        (99.94, "99.9 s"),
        (99.96, "1 min 40 s"),
        (3599.6, "1 h 0 min"),
        (7260, "2 h 1 min"),
    ],
)
def test_durations_are_short_at_every_size(value: float, text: str) -> None:
    assert seconds(value) == text


def test_the_summary_counts_calls_once_and_not_the_regions_around_them() -> None:
    nodes = [
        node("m", 0, 8, "map", Usage(1000, 250, 50)),
        node("m[0].f", 0, 4, "llm", Usage(600, 250, 30)),
        node("m[1].f", 2, 8, "llm", Usage(400, 0, 20)),
    ]
    estimate = OneAtATime(7.0, "estimated: somehow", is_upper_bound=False)
    assert summary(nodes, duration_s=8, estimate=estimate) == [
        "wall time 8.0 s, calls 10.0 s in all, at most 2 at once",
        "tokens: prompt 1,000, of them cached 250 (hit ratio 25%), completion 50",
        "one call at a time: 7.0 s (estimated: somehow)",
    ]


def test_a_run_without_tokens_says_nothing_of_tokens() -> None:
    assert summary([node("t", 0, 1)], duration_s=1) == [
        "wall time 1.0 s, calls 1.0 s in all, at most 1 at once"
    ]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_of_the_table_is_wider_than_the_console(width: int) -> None:
    nodes = [node("a_node_with_quite_a_long_name_indeed", 0, 9, "llm", Usage(123456, 123, 1))]
    table = drawn(nodes, width)[:2]
    assert all(len(line) <= width for line in table), table


def test_names_in_brackets_are_shown_and_not_read_as_markup() -> None:
    assert any("fix[bold][0]" in line for line in drawn([node("fix[bold][0]", 0, 1)]))


def test_a_terminal_without_unicode_gets_plain_bars() -> None:
    lines = drawn([node(f"m[{number}].f", 0, 10) for number in range(60)], encoding="ascii")
    assert "####" in lines[1]


def test_an_empty_run_draws_only_its_summary() -> None:
    assert drawn([]) == ["wall time 10.0 s, calls 0 ms in all, at most 0 at once"]
