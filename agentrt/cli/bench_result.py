"""What `agentrt bench replay` prints: a table for people, an object for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentrt.cli.bench_words import BenchWords
from agentrt.ir.workload import Workload
from agentrt.runtime.workload_figures import Figures, median

_SECONDS = "_s"
_ROWS = (
    "programs",
    "unfinished",
    "calls",
    "failed_calls",
    "retried_calls",
    "mean_completion_s",
    "p50_s",
    "p95_s",
    "p99_s",
    "makespan_s",
    "mean_ttft_s",
    "p95_ttft_s",
    "prompt_tokens",
    "cached_tokens",
    "hit_ratio",
    "computed_tokens",
    "least_tokens",
    "computed_over_least",
)
_AGAINST = ("mean_completion_s", "p95_s", "mean_ttft_s", "computed_tokens")
_NOT_SHOWN = (
    "Not shown: other loads than this one; servers that had other users meanwhile. Computed tokens are "
    "those that answers do not call cached: what a server computes twice because it preempted a call, or "
    "computes before it is asked, is not in them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One replay at one URL.

    Attributes:
        repetition: From 0.
        error: What ended the first program that was given up; empty: none was.
    """

    name: str
    url: str
    repetition: int
    figures: Figures
    error: str = ""


def line_of(replayed: Replayed) -> str:
    """One replay, as it ends."""
    figures = replayed.figures
    return (
        f"{replayed.name}, {replayed.repetition + 1}: completion {_shown('mean_completion_s', figures.mean_completion_s)}"
        f" s, p95 {_shown('p95_s', figures.p95_s)} s, hits {_shown('hit_ratio', figures.hit_ratio)},"
        f" computed {_shown('computed_tokens', figures.computed_tokens)}"
        f" ({_shown('computed_over_least', figures.computed_over_least)} times the least),"
        f" {figures.unfinished} of {figures.programs} unfinished"
    )


def result_text(words: BenchWords, workload: Workload, done: Sequence[Replayed]) -> str:
    """A column for each URL; below, each against the first."""
    by_name = _by_name(done)
    several = max(len(found) for found in by_name.values()) > 1
    heading = f"{words.workload}: {len(workload.programs)} programs, seed {words.seed}"
    if several:
        heading += f", {words.repeat} replays at each URL in rotated order: medians (least..most)"
    lines = [heading, "", *_table(by_name)]
    against = list(_against(by_name))
    if against:
        lines += ["", *against]
    if workload.modelled:
        lines += ["", "modelled:", *(f"- {sentence}" for sentence in workload.modelled)]
    return "\n".join([*lines, "", _NOT_SHOWN])


def result_json(
    words: BenchWords, workload: Workload, done: Sequence[Replayed], *, is_whole: bool
) -> dict[str, Any]:
    """Settings, and for each URL the medians of its figures and every replay's."""
    return {
        "workload": words.workload,
        "settings": {
            "programs": len(workload.programs),
            "at_once": words.at_once,
            "rate": words.rate,
            "arrivals": words.arrivals if words.rate is not None else None,
            "repeat": words.repeat,
            "session_header": words.has_session_header,
            "seed": words.seed,
            "limit_s": words.limit_s,
        },
        "is_whole": is_whole,
        "modelled": list(workload.modelled),
        "results": [
            {
                "name": name,
                "url": found[0].url,
                "medians": {row: median(_values(found, row)) for row in _ROWS},
                "replays": [
                    {"repetition": r.repetition, "error": r.error or None, **r.figures.to_json()}
                    for r in found
                ],
            }
            for name, found in _by_name(done).items()
        ],
        "not_shown": _NOT_SHOWN,
    }


def notes_of(done: Sequence[Replayed]) -> list[str]:
    """What a reader of the figures has to know beside them."""
    notes: list[str] = []
    for name, found in _by_name(done).items():
        unfinished = sum(replayed.figures.unfinished for replayed in found)
        if unfinished:
            of = sum(replayed.figures.programs for replayed in found)
            why = next((replayed.error for replayed in found if replayed.error), "")
            why = why.partition("\n")[0] or "the time was up (--limit)"
            notes.append(f"warning: {name}: {unfinished} of {of} programs did not finish: {why}")
        if not any(replayed.figures.cached_tokens for replayed in found):
            notes.append(
                f"note: {name} reports no cached tokens: nothing was found in a cache, or it has to be told"
                " to count (vLLM: --enable-prompt-tokens-details)"
            )
    return notes


def _by_name(done: Sequence[Replayed]) -> dict[str, list[Replayed]]:
    found: dict[str, list[Replayed]] = {}
    for replayed in sorted(done, key=lambda r: r.repetition):
        found.setdefault(replayed.name, []).append(replayed)
    return found


def _table(by_name: dict[str, list[Replayed]]) -> Iterator[str]:
    columns = [[name, *(_cell(found, row) for row in _ROWS)] for name, found in by_name.items()]
    widths = [max(len(cell) for cell in column) for column in columns]
    first = max(len(row) for row in _ROWS)
    for at, row in enumerate(("", *_ROWS)):
        cells = (column[at].rjust(width) for column, width in zip(columns, widths, strict=True))
        yield "  ".join([row.ljust(first), *cells]).rstrip()


def _cell(found: Sequence[Replayed], row: str) -> str:
    values = _values(found, row)
    middle = _shown(row, median(values))
    known = [value for value in values if value is not None]
    if len(known) < 2 or min(known) == max(known):  # noqa: PLR2004  a range has two ends
        return middle
    return f"{middle} ({_shown(row, min(known))}..{_shown(row, max(known))})"


def _against(by_name: dict[str, list[Replayed]]) -> Iterator[str]:
    """Each URL but the first against it, by medians: above 1 is better."""
    (first, base), *others = by_name.items()
    for name, found in others:
        parts: list[str] = []
        for row in _AGAINST:
            ours, theirs = median(_values(found, row)), median(_values(base, row))
            if ours and theirs:
                parts.append(f"{row} {theirs / ours:.2f}x")
        yield f"{name} against {first} (above 1: better): {', '.join(parts) or 'nothing to compare'}"


def _values(found: Sequence[Replayed], row: str) -> list[float | None]:
    return [getattr(replayed.figures, row) for replayed in found]


def _shown(row: str, value: float | None) -> str:
    if value is None:
        return "-"
    if row.endswith(_SECONDS) or row == "computed_over_least":
        return f"{value:.2f}"
    return f"{value:.1%}" if row == "hit_ratio" else f"{value:,.0f}"
