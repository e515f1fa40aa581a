"""What `agentrt simulate` prints: a table for people, an object for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, assert_never

from agentrt.cli.simulate_words import SimulateWords
from agentrt.simulator.comparison import (
    FIGURES,
    AsRecorded,
    Load,
    Outcome,
    Oversubscription,
    grouped,
    load_text,
    spread,
)
from agentrt.simulator.workloads import ClosedLoop, Poisson

_ROWS = ("programs", "unfinished", *FIGURES)
_COUNTS = {"programs", "unfinished", "prompt_tokens", "computed_tokens"}
_SHARES = {"hit_ratio", "belady_hit_ratio", "jain_index"}


def result_text(words: SimulateWords, outcomes: Sequence[Outcome], block_tokens: int) -> str:
    """A table for each load, its columns the policies; below, how caps were found, what is modelled."""
    several = words.seeds > 1
    seeds = (
        f"seeds {words.seed} to {words.seed + words.seeds - 1}" if several else f"seed {words.seed}"
    )
    replicas = f"{words.replicas} replica{'s' if words.replicas > 1 else ''}"
    lines = [
        f"{words.workload}: {replicas} of {words.engine}, {outcomes[0].kv_blocks} KV blocks of "
        f"{block_tokens} tokens each, {seeds}"
    ]
    if several:
        lines.append("medians (least..most)")
    for load, by_label in grouped(outcomes):
        lines += ["", _heading(load, [o for found in by_label.values() for o in found]), ""]
        lines += _table(by_label)
        lines += _cap_notes(by_label)
    modelled = _modelled(outcomes)
    if modelled:
        lines += ["", "modelled:", *(f"- {sentence}" for sentence in modelled)]
    return "\n".join(lines)


def result_json(
    words: SimulateWords, outcomes: Sequence[Outcome], block_tokens: int
) -> dict[str, Any]:
    """Settings, and for each load and policy its figures; nothing that differs between two runs.

    A figure is the median over the seeds; `ranges` has the least and the most, `runs` each report.
    """
    return {
        "workload": words.workload,
        "settings": {
            "format": words.format,
            "engine": words.engine,
            "replicas": words.replicas,
            "kv_blocks": outcomes[0].kv_blocks,
            "block_tokens": block_tokens,
            "programs": outcomes[0].report.programs,
        },
        "seed": words.seed,
        "seeds": words.seeds,
        "modelled": _modelled(outcomes),
        "results": [
            _policy_json(label, load, found)
            for load, by_label in grouped(outcomes)
            for label, found in by_label.items()
        ],
    }


def _policy_json(label: str, load: Load, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    spreads = {figure: spread(outcomes, figure) for figure in _ROWS}
    return {
        "policy": label,
        "load": _load_json(load),
        **{figure: found.median for figure, found in spreads.items()},
        "ranges": {figure: [found.least, found.most] for figure, found in spreads.items()},
        "runs": [_run_json(outcome) for outcome in outcomes],
    }


def _run_json(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {"seed": outcome.seed, "programs_at_once": outcome.programs_at_once}
    if outcome.trials:
        found["cap"] = outcome.cap
        found["tried"] = [
            {"cap": trial.cap, "mean_completion_s": trial.mean_completion_s}
            for trial in outcome.trials
        ]
    report = outcome.report.to_json()
    del report["modelled"]
    return found | report


def _load_json(load: Load) -> dict[str, Any]:
    match load:
        case AsRecorded():
            return {"kind": "as_recorded"}
        case Poisson(rate):
            return {"kind": "poisson", "rate_per_s": rate}
        case ClosedLoop(count):
            return {"kind": "closed_loop", "programs_at_once": count}
        case Oversubscription(times):
            return {"kind": "oversubscription", "oversubscription": times}
        case _:
            assert_never(load)


def _heading(load: Load, outcomes: Sequence[Outcome]) -> str:
    """The load, and how many programs at once it came to."""
    text = load_text(load)
    wanted = [o.wanted_at_once for o in outcomes if o.wanted_at_once is not None]
    if isinstance(load, Oversubscription) and wanted:
        text += f": {_between(min(wanted), max(wanted))} programs at once"
    fewer = min(outcome.report.programs for outcome in outcomes)
    if wanted and max(wanted) > fewer:
        text += f"; there are only {fewer}, so the load is less than that"
    return text


def _table(by_label: dict[str, list[Outcome]]) -> Iterator[str]:
    names = max(len(row) for row in _ROWS)
    columns = [[label, *(_cell(row, found) for row in _ROWS)] for label, found in by_label.items()]
    widths = [max(len(cell) for cell in column) for column in columns]
    for at, name in enumerate(("", *_ROWS)):
        cells = (column[at].rjust(width) for column, width in zip(columns, widths, strict=True))
        yield "  ".join((name.ljust(names), *cells)).rstrip()


def _cell(figure: str, outcomes: Sequence[Outcome]) -> str:
    found = spread(outcomes, figure)
    middle = _number(figure, found.median)
    if found.least == found.most:
        return middle
    return f"{middle} ({_number(figure, found.least)}..{_number(figure, found.most)})"


def _number(figure: str, value: float) -> str:
    if figure in _COUNTS:
        return f"{value:,.0f}"
    if figure in _SHARES:
        return f"{value:.3f}"
    return f"{value:.2f}" if figure == "programs_per_min" else f"{value:.1f}"


def _cap_notes(by_label: dict[str, list[Outcome]]) -> Iterator[str]:
    for label, found in by_label.items():
        caps = [outcome.cap for outcome in found if outcome.cap is not None]
        tried = sorted({trial.cap for outcome in found for trial in outcome.trials})
        if caps:
            yield ""
            yield (
                f"{label}: {', '.join(f'cap-{cap}' for cap in caps)} had the lowest "
                f"mean_completion_s{' (by seed)' if len(caps) > 1 else ''}; tried: "
                f"{', '.join(map(str, tried))}"
            )


def _modelled(outcomes: Sequence[Outcome]) -> list[str]:
    return list(dict.fromkeys(text for outcome in outcomes for text in outcome.report.modelled))


def _between(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"
