from __future__ import annotations

import pytest

from agentrt.errors import InvariantError
from agentrt.scheduler.progress import (
    Advance,
    Cancelled,
    Child,
    Expanded,
    Failed,
    Finished,
    InstanceState,
    Progress,
    ProgressEvent,
    Skip,
    Start,
    Stop,
    expanded,
)

LONG = 50_000


def test_a_run_of_nothing_is_over_at_once() -> None:
    progress = Progress()
    assert progress.handle(Expanded(None, ())) == [Advance(None)]
    assert progress.is_settled


def test_an_instance_starts_in_the_answer_to_the_event_that_finished_its_last_input() -> None:
    progress = Progress()
    children = (Child("a"), Child("b"), Child("c", ("a", "b")), Child("d", ("a",)))
    assert progress.handle(Expanded(None, children)) == [Start("a"), Start("b")]
    assert progress.handle(Finished("a")) == [Start("d")]
    assert progress.handle(Finished("b")) == [Start("c")]
    assert progress.handle(Finished("d")) == []
    assert progress.handle(Finished("c")) == [Advance(None)]


def test_an_input_named_twice_counts_as_it_is_finished_once() -> None:
    progress = Progress()
    progress.handle(Expanded(None, (Child("a"), Child("b", ("a", "a")))))
    assert progress.handle(Finished("a")) == [Start("b")]


def test_a_reader_of_a_regions_mark_starts_when_it_unrolls_before_its_children_finish() -> None:
    progress = Progress()
    children = (Child("map"), Child("next", (expanded("map"),)))
    assert progress.handle(Expanded(None, children)) == [Start("map")]
    assert progress.handle(Expanded("map", (Child("map[0]"),))) == [Start("next"), Start("map[0]")]


def test_a_region_advances_each_time_its_children_have_settled() -> None:
    progress = Progress()
    progress.handle(Expanded(None, (Child("loop"),)))
    for index in range(3):
        name = f"loop[{index}]"
        assert progress.handle(Expanded("loop", (Child(name),))) == [Start(name)]
        assert progress.handle(Finished(name)) == [Advance("loop")]
    assert progress.handle(Finished("loop")) == [Advance(None)]


def test_the_first_failure_stops_everything_else() -> None:
    progress = Progress(on_error="fail")
    progress.handle(
        Expanded(None, (Child("a"), Child("b"), Child("region"), Child("c", ("a", "b"))))
    )
    progress.handle(Expanded("region", (Child("region.x"), Child("region.y", ("region.x",)))))
    assert progress.handle(Failed("a")) == [
        Stop("b"),
        Stop("region"),
        Stop("region.x"),
        Advance(None),
    ]
    assert progress.running == ()
    assert progress.is_settled
    assert progress.state("c") is InstanceState.STOPPED


def test_collecting_skips_exactly_the_readers_of_what_failed_and_says_why() -> None:
    progress = Progress(on_error="collect")
    progress.handle(
        Expanded(
            None,
            (Child("a"), Child("b"), Child("c", ("a",)), Child("d", ("c",)), Child("e", ("b",))),
        )
    )
    assert progress.handle(Failed("a")) == [Skip("c", "a"), Skip("d", "c")]
    assert progress.handle(Finished("b")) == [Start("e")]
    assert progress.handle(Finished("e")) == [Advance(None)]


def test_a_region_whose_new_children_are_all_skipped_advances_once() -> None:
    progress = Progress(on_error="collect")
    progress.handle(Expanded(None, (Child("a"), Child("region"))))
    progress.handle(Failed("a"))
    assert progress.handle(Expanded("region", (Child("region.x", ("a",)),))) == [
        Skip("region.x", "a"),
        Advance("region"),
    ]


def test_readers_of_what_a_cancelled_region_held_are_skipped() -> None:
    progress = Progress()
    progress.handle(Expanded(None, (Child("region"), Child("other"))))
    progress.handle(Expanded("region", (Child("region.x"),)))
    progress.handle(Expanded("other", (Child("other.x", ("region.x",)),)))
    assert progress.handle(Cancelled("region")) == [
        Stop("region.x"),
        Skip("other.x", "region.x"),
        Advance("other"),
    ]


def test_who_waits_for_a_region_to_unroll_is_skipped_when_it_failed_before_that() -> None:
    progress = Progress(on_error="collect")
    progress.handle(Expanded(None, (Child("map"), Child("other"))))
    progress.handle(Failed("map"))
    # The reader is added later: there was nobody to tell when the region failed.
    assert progress.handle(Expanded("other", (Child("other.x", (expanded("map"),)),))) == [
        Skip("other.x", "map"),
        Advance("other"),
    ]


def test_cancelling_twice_stops_once() -> None:
    progress = Progress()
    progress.handle(Expanded(None, (Child("a"),)))
    assert progress.handle(Cancelled()) == [Stop("a"), Advance(None)]
    assert progress.handle(Cancelled()) == []


def test_nothing_is_added_to_a_run_that_was_cancelled() -> None:
    progress = Progress()
    progress.handle(Cancelled())
    assert progress.handle(Expanded(None, (Child("a"),))) == []
    assert progress.state("a") is None


UNROLLED = Expanded(None, (Child("a"), Child("b", ("a",))))


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([Finished("a"), Finished("a")], "'a' finished while it was finished"),
        ([Finished("b")], "'b' finished while it was waiting"),
        ([Finished("nobody")], "'nobody' is unknown"),
        ([Failed("b")], "'b' failed while it was waiting"),
        ([Failed("a"), Failed("a")], "'a' failed while it was failed"),
        ([Cancelled(), Finished("a")], "'a' finished while it was stopped"),
        ([Finished("a"), Expanded("a", ())], "'a' unrolled while it was not running"),
        ([Expanded(None, (Child("a"),))], "'a' was added twice"),
        ([Expanded("a", (Child("a.x"),)), Finished("a")], "'a' finished before its children"),
        ([Cancelled("b")], "'b' was cancelled while it was waiting"),
        ([Cancelled("nobody")], "'nobody' is unknown"),
    ],
)
def test_what_cannot_happen_is_refused_with_its_story(
    events: list[ProgressEvent], told: str
) -> None:
    progress = Progress(on_error="collect")
    progress.handle(UNROLLED)
    for event in events[:-1]:
        progress.handle(event)
    with pytest.raises(InvariantError) as raised:
        progress.handle(events[-1])
    first, *story = str(raised.value).splitlines()
    assert first == told
    assert raised.value.story[-1] == _as_told(events[-1])
    assert len(story) == len(raised.value.story)


def _as_told(event: ProgressEvent) -> str:
    match event:
        case Expanded(None, children):
            return f"added {children[-1].instance_id}"
        case Expanded(region, children):
            return f"unrolled {region}"
        case Finished(subject):
            return f"finished {subject}"
        case Failed(subject):
            return f"failed {subject}"
        case Cancelled(region):
            return f"cancelled {region}"


# 50,000: a walk by recursion would overflow the stack, one of quadratic cost take many minutes.


@pytest.mark.timeout(120)
def test_a_chain_of_50_000_runs_to_its_end() -> None:
    progress = Progress()
    chain = [Child("0"), *(Child(str(i), (str(i - 1),)) for i in range(1, LONG))]
    assert progress.handle(Expanded(None, tuple(chain))) == [Start("0")]
    for index in range(LONG - 1):
        assert progress.handle(Finished(str(index))) == [Start(str(index + 1))]
    assert progress.handle(Finished(str(LONG - 1))) == [Advance(None)]
    progress.check()


@pytest.mark.timeout(120)
def test_a_chain_of_50_000_is_skipped_in_one_answer() -> None:
    progress = Progress(on_error="collect")
    chain = [Child("0"), *(Child(str(i), (str(i - 1),)) for i in range(1, LONG))]
    progress.handle(Expanded(None, tuple(chain)))
    assert progress.handle(Failed("0")) == [
        *(Skip(str(i), str(i - 1)) for i in range(1, LONG)),
        Advance(None),
    ]


@pytest.mark.timeout(120)
def test_50_000_readers_of_50_000_failures_are_skipped_once_each() -> None:
    progress = Progress(on_error="collect")
    sources = [Child(f"s{i}") for i in range(LONG)]
    readers = [Child(f"r{i}", (f"s{i}", f"s{(i + 1) % LONG}")) for i in range(LONG)]
    progress.handle(Expanded(None, (*sources, *readers)))
    skips: list[Skip] = []
    for source in sources:
        skips += [a for a in progress.handle(Failed(source.instance_id)) if isinstance(a, Skip)]
    assert {skip.instance_id for skip in skips} == {reader.instance_id for reader in readers}
    assert len(skips) == LONG
    assert progress.is_settled


@pytest.mark.timeout(120)
def test_a_region_nested_a_thousand_deep_unrolls_and_folds() -> None:
    progress = Progress()
    names = ["r"]
    progress.handle(Expanded(None, (Child("r"),)))
    for _ in range(1000):
        child = names[-1] + ".r"
        assert progress.handle(Expanded(names[-1], (Child(child),))) == [Start(child)]
        names.append(child)
    for name, parent in zip(reversed(names), [*reversed(names[:-1]), None], strict=True):
        assert progress.handle(Finished(name)) == [Advance(parent)]
