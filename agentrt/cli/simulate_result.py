"""What `agentrt simulate` prints: a table for people, an object for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, assert_never

from agentrt.cli.simulate_words import SimulateWords
from agentrt.simulator.comparison import FIGURES, TENANT_FIGURES, Spread, grouped, spread
from agentrt.simulator.comparison_work import Outcome
from agentrt.simulator.loads import AsRecorded, Load, Oversubscription, load_text
from agentrt.simulator.workloads import Bursty, ClosedLoop, Poisson

_ROWS = ("programs", "unfinished", *FIGURES)
_COUNTS = {
    "programs",
    "unfinished",
    "prompt_tokens",
    "computed_tokens",
    "prewarmed_tokens",
    "shed",
}
_SHARES = {"hit_ratio", "belady_hit_ratio", "jain_index", "slo_attainment"}
_RATIOS = {"programs_per_min", "mean_slowdown", "p99_slowdown", "belady_distance"}
# Said where it happens, and where it does not a row of nothing.
_RARE = {"prewarmed_tokens", "shed"}
# The same as max_wait_s, which has more readers.
_LEFT_OUT = {"max_call_wait_s"}


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
            "held_blocks": words.held_blocks,
            "tenants": words.tenants,
            "deadline": words.deadline,
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
    tenants = outcomes[0].report.tenants
    return {
        "policy": label,
        "load": _load_json(load),
        **_figures_json({figure: spread(outcomes, figure) for figure in _ROWS}),
        "tenants": {
            tenant: _figures_json({f: spread(outcomes, f, tenant) for f in TENANT_FIGURES})
            for tenant in tenants
        },
        "runs": [_run_json(outcome) for outcome in outcomes],
    }


def _figures_json(spreads: dict[str, Spread | None]) -> dict[str, Any]:
    """Medians, and under `ranges` the least and the most; null where a figure has no value."""
    return {
        **{figure: found.median if found else None for figure, found in spreads.items()},
        "ranges": {
            figure: [found.least, found.most] if found else None
            for figure, found in spreads.items()
        },
    }


def _run_json(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {
        "seed": outcome.seed,
        "programs_at_once": outcome.programs_at_once,
        "rate_per_s": outcome.rate_per_s,
    }
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
        case Bursty(rate, cv):
            return {"kind": "bursty", "rate_per_s": rate, "cv": cv}
        case ClosedLoop(count):
            return {"kind": "closed_loop", "programs_at_once": count}
        case Oversubscription(times, arrivals):
            return {"kind": "oversubscription", "oversubscription": times, "arrivals": arrivals}
        case _:
            assert_never(load)


def _heading(load: Load, outcomes: Sequence[Outcome]) -> str:
    """The load, and how many programs at once it came to."""
    text = load_text(load)
    wanted = [o.wanted_at_once for o in outcomes if o.wanted_at_once is not None]
    if isinstance(load, Oversubscription) and wanted:
        text += f": {_between(min(wanted), max(wanted))} programs at once"
    rates = [o.rate_per_s for o in outcomes if o.rate_per_s is not None]
    if isinstance(load, Oversubscription) and rates:
        least, most = (f"{rate:.3g}" for rate in (min(rates), max(rates)))
        text += f": {least if least == most else f'{least} to {most}'} programs/s"
    fewer = min(outcome.report.programs for outcome in outcomes)
    if wanted and max(wanted) > fewer:
        text += f"; there are only {fewer}, so the load is less than that"
    return text


def _table(by_label: dict[str, list[Outcome]]) -> Iterator[str]:
    rows = {figure: _cells(by_label, figure) for figure in _ROWS if figure not in _LEFT_OUT}
    for tenant in next(iter(by_label.values()))[0].report.tenants:
        for figure in TENANT_FIGURES:
            rows[f"{tenant or 'no tenant'}: {figure}"] = _cells(by_label, figure, tenant)
    shown = {name: cells for name, cells in rows.items() if _says_something(name, cells)}
    lines = {"": list(by_label), **shown}
    names = max(len(name) for name in lines)
    widths = [max(len(cells[at]) for cells in lines.values()) for at in range(len(by_label))]
    for name, cells in lines.items():
        padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        yield "  ".join((name.ljust(names), *padded)).rstrip()


def _cells(by_label: dict[str, list[Outcome]], figure: str, tenant: str | None = None) -> list[str]:
    return [_cell(figure, spread(found, figure, tenant)) for found in by_label.values()]


def _says_something(name: str, cells: list[str]) -> bool:
    return set(cells) != {"-"} and not (name in _RARE and set(cells) == {"0"})


def _cell(figure: str, found: Spread | None) -> str:
    if found is None:
        return "-"
    middle = _number(figure, found.median)
    if found.least == found.most:
        return middle
    return f"{middle} ({_number(figure, found.least)}..{_number(figure, found.most)})"


def _number(figure: str, value: float) -> str:
    if figure in _COUNTS:
        return f"{value:,.0f}"
    if figure in _SHARES:
        return f"{value:.3f}"
    return f"{value:.2f}" if figure in _RATIOS else f"{value:.1f}"


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
