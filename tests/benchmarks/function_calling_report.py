"""Rows and tables of `function_calling`, next to what is published."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.function_calling_questions import SHAPES, Shape
from tests.benchmarks.function_calling_world import Call, Record

PUBLISHED: dict[tuple[str, Shape], tuple[float, int, int]] = {
    ("react", "movie"): (20.47, 20_000, 230),
    ("react", "hotpotqa"): (7.12, 2_900, 120),
    ("react", "parallelqa"): (35.90, 46_000, 470),
    ("parallel", "movie"): (7.42, 5_800, 160),
    ("parallel", "hotpotqa"): (4.42, 2_500, 63),
    ("parallel", "parallelqa"): (19.29, 25_000, 370),
    ("published", "movie"): (5.47, 2_800, 115),
    ("published", "hotpotqa"): (3.95, 1_300, 80),
    ("published", "parallelqa"): (16.69, 9_200, 340),
}
"""Seconds, input and output tokens: Kim et al., ICML 2024, tables 1 and 2. Tokens of ReAct are those of
its original form, seconds those of the form that is told not to repeat itself."""

OVER_REACT: dict[Shape, float] = {"movie": 4.2, "hotpotqa": 2.2, "parallelqa": 2.6}
OVER_PARALLEL = 1.5


@dataclass(frozen=True, slots=True)
class Row:
    """One contender on one shape: means over its questions.

    Attributes:
        planner_share: Of the seconds, those in which the planner wrote.
        late_s: What a call of a model took beyond the stated speeds: HTTP, and a busy machine.
    """

    setting: str
    shape: Shape
    contender: str
    questions: int
    total_s: float
    deviation_s: float
    over_react: float
    over_parallel: float
    prompt_tokens: float
    cached_tokens: float
    completion_tokens: float
    model_calls: float
    tool_calls: float
    first_tool_s: float
    planner_share: float
    plans_from_cache: float
    right: float
    late_s: float


def rows(setting: str, records: Sequence[Record]) -> list[Row]:
    found: list[Row] = []
    for shape in SHAPES:
        here = [record for record in records if record.shape == shape]
        names = dict.fromkeys(record.contender for record in here)
        by_name = {name: [each for each in here if each.contender == name] for name in names}
        means = {name: _mean(each.total_s for each in by_name[name]) for name in names}
        found += [_row(setting, shape, name, by_name[name], means) for name in names]
    return found


def _row(
    setting: str, shape: Shape, name: str, records: list[Record], means: dict[str, float]
) -> Row:
    def tokens(kind: str) -> float:
        return _mean(sum(getattr(call, kind) for call in record.counted) for record in records)

    return Row(
        setting=setting,
        shape=shape,
        contender=name,
        questions=len(records),
        total_s=means[name],
        deviation_s=statistics.pstdev(record.total_s for record in records),
        over_react=means.get("react", 0.0) / means[name],
        over_parallel=means.get("parallel", 0.0) / means[name],
        prompt_tokens=tokens("prompt_tokens"),
        cached_tokens=tokens("cached_tokens"),
        completion_tokens=tokens("completion_tokens"),
        model_calls=_mean(len(record.counted) for record in records),
        tool_calls=_mean(record.tool_calls for record in records),
        first_tool_s=_mean(record.first_tool_s for record in records),
        planner_share=_mean(_planner_s(record.calls) / record.total_s for record in records),
        plans_from_cache=_mean(record.is_from_cache for record in records),
        right=_mean(record.is_right for record in records),
        late_s=_mean(_late_s(call) for record in records for call in record.calls),
    )


def _planner_s(calls: Iterable[Call]) -> float:
    return sum(call.ended_s - call.began_s for call in calls if call.model == "planner")


def _late_s(call: Call) -> float:
    return call.ended_s - call.began_s - call.ideal_s


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


HEAD = (
    "contender",
    "s (deviation)",
    "published",
    "over ReAct",
    "over parallel",
    "tokens in",
    "published",
    "cached",
    "out",
    "published",
    "calls",
    "tools",
    "first tool s",
    "planner",
    "plan cached",
    "right",
)


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [_line(HEAD), _line("-" * max(3, len(head)) for head in HEAD)]
    return "\n".join([*lines, *(_line(_cells(row)) for row in rows)])


def _cells(row: Row) -> list[str]:
    seconds, prompt, completion = PUBLISHED.get((row.contender, row.shape), (None, None, None))
    return [
        row.contender,
        f"{row.total_s:.2f} ({row.deviation_s:.2f})",
        "" if seconds is None else f"{seconds:.2f}",
        f"{row.over_react:.2f}x",
        f"{row.over_parallel:.2f}x",
        f"{row.prompt_tokens:,.0f}",
        "" if prompt is None else f"{prompt:,}",
        f"{row.cached_tokens:,.0f}",
        f"{row.completion_tokens:.0f}",
        "" if completion is None else str(completion),
        f"{row.model_calls:.1f}",
        f"{row.tool_calls:.1f}",
        f"{row.first_tool_s:.2f}",
        f"{row.planner_share:.0%}",
        f"{row.plans_from_cache:.0%}",
        f"{row.right:.0%}",
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def verdicts(rows: Sequence[Row]) -> Iterator[str]:
    """Each target, and whether `agentrt` alone, without any variant of it, meets it."""
    for row in rows:
        if row.contender != "agentrt":
            continue
        target = OVER_REACT[row.shape]
        most = PUBLISHED["published", row.shape][1]
        yield (
            f"{row.setting}, {row.shape}: "
            f"{row.over_react:.2f}x over ReAct ({_met(row.over_react >= target)} {target}x), "
            f"{row.over_parallel:.2f}x over parallel calls "
            f"({_met(row.over_parallel >= OVER_PARALLEL)} {OVER_PARALLEL}x), "
            f"{row.prompt_tokens:,.0f} tokens in ({_met(row.prompt_tokens < most)} under {most:,})"
        )


def _met(is_met: bool) -> str:
    return "meets" if is_met else "MISSES"
