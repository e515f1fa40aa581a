"""The words of `agentrt bench replay` are checked before anything is sent, and its lines are what was found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agentrt.cli.bench import rotated
from agentrt.cli.bench_result import Replayed, line_of, notes_of, result_text
from agentrt.cli.bench_words import BenchWords, names_of, workload_of
from agentrt.cli.failure import UsageError
from agentrt.errors import InputError
from agentrt.ir.request import Usage
from agentrt.runtime.workload_figures import Figures, figures_of, median, quantile
from agentrt.runtime.workload_served import Served, ServedCall, ServedProgram
from agentrt.simulator.workloads import generate, preset, with_arrivals, write
from agentrt.simulator.workloads.arrivals import Poisson

WORDS = BenchWords(workload="made:tiny-agents", urls=("http://a/v1", "http://b/v1"), programs=3)


def call(program: int, *, first_s: float, cached: int = 40) -> ServedCall:
    return ServedCall(
        program=program,
        step=0,
        ready_s=1.0,
        sent_s=1.0,
        first_token_s=1.0 + first_s,
        finished_s=5.0,
        usage=Usage(100, cached, 10),
    )


def served(*, cached: int = 40) -> Served:
    """Of three programs two finished, after 4 and 8 s; the third's only call never ended."""
    return Served(
        programs=(
            ServedProgram(arrived_s=1.0, finished_s=5.0),
            ServedProgram(arrived_s=2.0, finished_s=10.0),
            ServedProgram(arrived_s=3.0),
        ),
        calls=(
            call(0, first_s=0.5, cached=cached),
            call(1, first_s=1.5, cached=cached),
            ServedCall(program=2, step=0, ready_s=3.0, attempts=3),
        ),
    )


def figures(*, cached: int = 40) -> Figures:
    return figures_of(served(cached=cached), least_tokens=60)


def test_what_is_served_comes_to_these_figures() -> None:
    assert figures() == Figures(
        programs=3,
        unfinished=1,
        calls=3,
        mean_completion_s=6.0,
        p50_s=6.0,
        p95_s=7.8,
        p99_s=7.96,
        makespan_s=10.0,
        mean_ttft_s=1.0,
        p95_ttft_s=1.45,
        prompt_tokens=200,
        cached_tokens=80,
        completion_tokens=20,
        hit_ratio=0.4,
        computed_tokens=120,
        least_tokens=60,
        retried_calls=1,
        failed_calls=1,
        is_cut=False,
    )


def test_how_often_tokens_were_computed_is_said_only_where_all_programs_finished() -> None:
    assert figures().computed_over_least is None
    assert replace(figures(), unfinished=0).computed_over_least == 2.0
    assert replace(figures(), unfinished=0, least_tokens=0).computed_over_least is None


def test_nothing_served_has_no_times() -> None:
    nothing = figures_of(Served(programs=(ServedProgram(),), calls=()), least_tokens=1)
    assert (nothing.mean_completion_s, nothing.p95_s, nothing.makespan_s) == (None, None, None)
    assert (nothing.hit_ratio, nothing.unfinished) == (None, 1)


def test_quantiles_lie_between_values_and_medians_are_of_what_there_is() -> None:
    assert [quantile([1.0, 2.0, 4.0], level) for level in (0.0, 0.5, 0.75, 1.0)] == [1, 2, 3, 4]
    assert quantile([], 0.5) is None
    assert median([None, 3.0, 1.0, None]) == 2.0
    assert median([None]) is None


def test_every_repetition_begins_with_another() -> None:
    assert [rotated(3, by) for by in range(4)] == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]


def test_urls_are_called_by_their_names_or_by_themselves() -> None:
    assert names_of(WORDS) == WORDS.urls
    assert names_of(replace(WORDS, names=("x", "y"))) == ("x", "y")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"names": ("x",)}, "2 times --url and 1 times --name"),
        ({"names": ("x", "x")}, "two are called 'x'"),
        ({"urls": ("http://a", "http://a")}, "two are called 'http://a'"),
    ],
)
def test_names_that_do_not_tell_urls_apart_are_refused(
    changed: dict[str, tuple[str, ...]], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        names_of(replace(WORDS, **changed))  # type: ignore[arg-type]  # all of them are names


def test_programs_arrive_as_they_are_asked_to(tmp_path: Path) -> None:
    timed = with_arrivals(generate(preset("tiny-agents", programs=3), seed=0), Poisson(1.0), seed=0)
    file = tmp_path / "timed.jsonl"
    file.write_text("".join(write(timed)), encoding="utf-8")
    words = replace(WORDS, workload=str(file))

    def arrivals(words: BenchWords) -> list[float | None]:
        return [program.arrival_s for program in workload_of(words).programs]

    recorded = [program.arrival_s for program in timed.programs]
    assert arrivals(words) == pytest.approx(recorded)
    assert arrivals(replace(words, at_once=2)) == [None] * 3
    assert arrivals(replace(words, rate=5.0)) == pytest.approx(
        [at / 5.0 for at in recorded if at is not None]
    )
    bursty = arrivals(replace(words, rate=5.0, arrivals="bursty"))
    assert None not in bursty
    assert bursty != arrivals(replace(words, rate=5.0))


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"at_once": 2, "rate": 1.0}, UsageError),
        ({"rate": 0.0}, InputError),
        ({"rate": float("nan")}, InputError),
        ({"workload": "made:none"}, InputError),
        ({"workload": "no such file"}, UsageError),
    ],
)
def test_loads_that_cannot_be_are_refused(
    changed: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        workload_of(replace(WORDS, **changed))  # type: ignore[arg-type]  # of several types


def test_a_workload_without_programs_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "none.jsonl"
    file.write_text("".join(write(generate(preset("swe", programs=0), seed=0))), encoding="utf-8")
    with pytest.raises((UsageError, InputError)):
        workload_of(replace(WORDS, workload=str(file)))


def replays(name: str, *, unfinished: int = 0, cached: int = 40, error: str = "") -> list[Replayed]:
    found = replace(figures(cached=cached), unfinished=unfinished)
    return [
        Replayed(name=name, url=f"http://{name}", repetition=at, figures=found, error=error)
        for at in range(2)
    ]


def test_the_table_has_a_column_for_each_url_and_says_how_they_compare() -> None:
    slower = [
        replace(r, figures=replace(r.figures, mean_completion_s=12.0 + r.repetition))
        for r in replays("slow")
    ]
    text = result_text(WORDS, workload_of(WORDS), [*slower, *replays("fast")])
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows["slow"] == ["fast"]
    assert rows["mean_completion_s"] == ["12.50", "(12.00..13.00)", "6.00"]
    assert rows["hit_ratio"] == ["40.0%", "40.0%"]
    assert "fast against slow (above 1: better): mean_completion_s 2.08x" in text


def test_a_line_says_what_one_replay_came_to() -> None:
    assert line_of(replays("a", unfinished=1)[0]) == (
        "a, 1: completion 6.00 s, p95 7.80 s, hits 40.0%, computed 120 (- times the least),"
        " 1 of 3 unfinished"
    )


def test_what_figures_do_not_say_is_noted() -> None:
    notes = notes_of(
        replays("a", unfinished=1, error="it broke\nand more") + replays("b", cached=0)
    )
    assert [note.partition(":")[0] for note in notes] == ["warning", "note"]
    assert notes[0].endswith("a: 2 of 6 programs did not finish: it broke")
    assert "b reports no cached tokens" in notes[1]
    (cut,) = notes_of(replays("a", unfinished=1))
    assert cut.endswith("the time was up (--limit)")
