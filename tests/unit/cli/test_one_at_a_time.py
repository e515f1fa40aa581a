import pytest

from agentrt.cli.one_at_a_time import (
    EngineRates,
    OneAtATime,
    leaves,
    max_parallel,
    node_seconds,
    one_at_a_time,
)
from agentrt.ir.event import NodeKind
from agentrt.ir.report import NodeReport
from agentrt.ir.request import Usage


def node(
    node_id: str,
    start: float | None,
    end: float | None,
    *,
    kind: NodeKind = "tool",
    usage: Usage = Usage(),
    is_restored: bool = False,
) -> NodeReport:
    return NodeReport(
        node_id=node_id,
        kind=kind,
        status="finished",
        started_s=start,
        finished_s=end,
        usage=usage,
        is_restored=is_restored,
    )


def test_regions_restored_and_unstarted_nodes_did_no_work_here() -> None:
    call = node("a", 0, 1)
    others = [
        node("m", 0, 5, kind="map"),
        node("g", 0, 5, kind="agent"),
        node("r", 0, 3, is_restored=True),
        node("never", None, None),
    ]
    assert leaves([call, *others]) == [call]
    assert node_seconds([call, *others]) == 1


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 0),
        ([(0, 1)], 1),
        ([(0, 1), (1, 2)], 1),
        ([(0, 2), (1, 3), (1.5, 1.75)], 3),
        ([(0, 0)], 0),
        ([(0, 10), (1, 2), (3, 4)], 2),
    ],
)
def test_calls_that_touch_are_not_parallel_and_calls_that_overlap_are(
    spans: list[tuple[float, float]], expected: int
) -> None:
    nodes = [node(str(number), *span) for number, span in enumerate(spans)]
    assert max_parallel(nodes) == expected


def test_with_rates_a_call_alone_is_its_uncached_prompt_and_its_completion() -> None:
    nodes = [
        node("a", 0, 10, kind="llm", usage=Usage(500, 100, 20)),
        node("b", 0, 10, kind="llm", usage=Usage(200, 0, 40)),
        node("t", 0, 2),
    ]
    estimate = one_at_a_time(nodes, EngineRates(prefill=400, decode=40))
    assert estimate == OneAtATime(
        seconds=(400 / 400 + 20 / 40) + (200 / 400 + 40 / 40) + 2,
        basis="estimated: tokens at the idle engine's rates, prefill 400 and decode 40 tokens/s,"
        " measured just now; tools as they ran",
        is_upper_bound=False,
    )


def test_no_call_is_slower_alone_than_it_was_in_company() -> None:
    nodes = [node("a", 0, 1, kind="llm", usage=Usage(4000, 0, 100))]
    assert one_at_a_time(nodes, EngineRates(prefill=400, decode=40)).seconds == 1


def test_a_server_that_counts_no_tokens_leaves_the_clock() -> None:
    nodes = [node("a", 1, 4, kind="llm")]
    assert one_at_a_time(nodes, EngineRates(prefill=400, decode=40)).seconds == 3


def test_more_cached_than_prompt_tokens_count_as_all_cached() -> None:
    nodes = [node("a", 0, 9, kind="llm", usage=Usage(10, 50, 40))]
    assert one_at_a_time(nodes, EngineRates(prefill=400, decode=40)).seconds == 1


@pytest.mark.parametrize("rates", [None, EngineRates(0, 10), EngineRates(10, 0)])
def test_without_usable_rates_the_sum_of_durations_is_called_an_upper_bound(
    rates: EngineRates | None,
) -> None:
    nodes = [node("a", 0, 3, kind="llm", usage=Usage(10, 0, 5)), node("b", 0, 2)]
    estimate = one_at_a_time(nodes, rates)
    assert (estimate.seconds, estimate.is_upper_bound) == (5, True)
    assert estimate.basis.startswith("upper bound")


def test_tools_alone_are_added_up_and_not_called_a_bound() -> None:
    assert one_at_a_time([node("a", 0, 3), node("b", 0, 2)], None) == OneAtATime(
        5, "the sum of the tools' durations, as they ran", is_upper_bound=False
    )


def test_nothing_run_takes_no_time() -> None:
    assert one_at_a_time([], EngineRates(1, 1)).seconds == 0
