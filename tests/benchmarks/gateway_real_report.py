"""What `tests.benchmarks.gateway_real` found, as lines and as JSON, against what it is to show."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentrt.runtime.workload_figures import Figures
from tests.benchmarks.gateway_real_contenders import ALONE, CAP, GATEWAY, THUNDERAGENT

NOT_SHOWN = """What this does not show: GPUs (one small model on CPU cores, which the servers share with whatever
stands in front of them, so a proxy's own work slows them down), hundreds of programs, contexts of tens of
thousands of tokens. Every contender is started afresh for each replay and has
learned nothing before it. Caps are at the client and cost no proxy; the best of them is chosen after the
fact, on this very workload. Peers run with their defaults. "computed" is what the servers themselves count,
"by usage" what the clients were told: a call that is preempted is computed twice and is in neither."""

_HEAD = (
    "contender",
    "mean s",
    "(least..most)",
    "p95 s",
    "makespan",
    "ttft s",
    "hits",
    "computed",
    "x least",
    "by usage",
    "unfinished",
    "load",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One replay of one contender.

    Attributes:
        made: The preset of the programs.
        load: How many times the caches the contexts of the programs come to.
        words: What was replayed: rows of other words are not compared.
        server_tokens: Prompt tokens the servers computed meanwhile, by their own count.
        load_average: Of the machine, before.
        error: Why there are no figures, or what ended the first program that was given up.
    """

    made: str
    load: float
    words: str
    contender: str
    repetition: int
    figures: Figures | None
    server_tokens: float = 0.0
    load_average: float = 0.0
    error: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        return self.words, self.contender, self.repetition


def read_rows(path: Path) -> list[Row]:
    """Rows kept by an earlier invocation; a last line that was cut short is left out."""
    rows: list[Row] = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        figures = value.pop("figures")
        rows.append(Row(figures=Figures(**figures) if figures else None, **value))
    return rows


def row_line(row: Row) -> str:
    """For `read_rows`."""
    return json.dumps(asdict(row))


def told(row: Row) -> str:
    """One row as it ends."""
    if row.figures is None:
        return f"{row.contender}: not measured: {row.error}"
    found = row.figures
    why = f": {row.error.splitlines()[0]}" if row.error else ""
    return (
        f"{row.contender:24} {row.repetition + 1}: mean {_s(found.mean_completion_s)} s, p95"
        f" {_s(found.p95_s)} s, hits {_s(found.hit_ratio)}, computed {row.server_tokens:,.0f} of"
        f" {found.least_tokens:,} at least, {found.unfinished} unfinished, load {row.load_average:.1f}{why}"
    )


def table(rows: Sequence[Row]) -> Iterator[str]:
    """A table for each workload and load: means over the repetitions."""
    for made, load in _loads(rows):
        yield ""
        yield f"{made}, {load:g} times the KV cache"
        cells = [_HEAD, *(_cells(name, found) for name, found in _groups(rows, made, load).items())]
        widths = [max(len(line[at]) for line in cells) for at in range(len(_HEAD))]
        for line in cells:
            first, *others = line
            padded = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
            yield "  ".join([first.ljust(widths[0]), *padded])


def targets(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What it is to show, each with what was found; `is_met` None: not measured."""
    found: list[dict[str, Any]] = []
    for made, load in _loads(rows):
        groups = _groups(rows, made, load)
        ours = groups.get(GATEWAY)
        if ours is None:
            continue
        found += _pressed(groups, ours) if load > 1.0 else _idle(groups, ours)
        for target in found:
            target.setdefault("made", made)
            target.setdefault("load", load)
    return found


def target_lines(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    words = {True: "met", False: "MISSED", None: "not measured"}
    for target in found:
        value = "-" if target["value"] is None else f"{target['value']:.3f}"
        where, what = f"{target['made']} {target['load']:g}x", target["what"]
        yield f"{where}  {what}: {value} (target {target['target']}): {words[target['is_met']]}"


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Means of each contender over its repetitions, for each workload and load."""
    return [
        {
            "made": made,
            "load": load,
            "contender": name,
            "replays": len(_measured(group)),
            **{
                figure: _average(_measured(group), figure)
                for figure in (
                    "mean_completion_s",
                    "p50_s",
                    "p95_s",
                    "p99_s",
                    "makespan_s",
                    "mean_ttft_s",
                    "p95_ttft_s",
                    "hit_ratio",
                    "prompt_tokens",
                    "computed_tokens",
                    "least_tokens",
                    "unfinished",
                )
            },
            "server_tokens": _mean([row.server_tokens for row in _measured(group)]),
        }
        for made, load in _loads(rows)
        for name, group in _groups(rows, made, load).items()
    ]


def _pressed(groups: dict[str, list[Row]], ours: list[Row]) -> list[dict[str, Any]]:
    best = _best_cap(groups)
    capped = groups.get(best, [])
    found = [
        _ratio("mean completion time against vLLM alone", groups.get(ALONE), ours, least=3.5),
        _ratio(f"mean completion time against the best cap ({best})", capped, ours, least=1.1),
        _ratio(f"p95 against the best cap ({best})", capped, ours, least=1.0, figure="p95_s"),
    ]
    for name, rival in groups.items():
        if name != ALONE and not name.startswith((CAP, GATEWAY)):
            least = 2.0 if name == THUNDERAGENT else 1.0
            found.append(_ratio(f"mean completion time against {name}", rival, ours, least=least))
            found.append(_ratio(f"p95 against {name}", rival, ours, least=1.0, figure="p95_s"))
    times = _mean(
        [row.server_tokens / row.figures.least_tokens for row in _finished(ours) if row.figures]
    )
    met = None if times is None else times <= 1.15
    return [*found, _target("computed prefill tokens over every token once", times, "<= 1.15", met)]


def _idle(groups: dict[str, list[Row]], ours: list[Row]) -> list[dict[str, Any]]:
    times = _times(ours, groups.get(ALONE, []), "mean_completion_s")
    value = None if times is None else times - 1.0
    met = None if value is None else value <= 0.03
    return [_target("mean completion time more than vLLM alone", value, "<= 0.03", met)]


def _ratio(
    what: str,
    theirs: Sequence[Row] | None,
    ours: Sequence[Row],
    *,
    least: float,
    figure: str = "mean_completion_s",
) -> dict[str, Any]:
    value = _times(theirs or [], ours, figure)
    return _target(what, value, f">= {least:g}", None if value is None else value >= least)


def _target(what: str, value: float | None, target: str, is_met: bool | None) -> dict[str, Any]:
    return {"what": what, "value": value, "target": target, "is_met": is_met}


def _best_cap(groups: dict[str, list[Row]]) -> str:
    """By the mean of mean completion times: one cap for all that is drawn."""
    means = {
        name: mean
        for name, group in groups.items()
        if name.startswith(CAP)
        and (mean := _average(_finished(group), "mean_completion_s")) is not None
    }
    return min(means, key=lambda name: means[name], default="none")


def _times(rows: Sequence[Row], others: Sequence[Row], figure: str) -> float | None:
    """How many times that of `others` a figure is, in the mean of the repetitions both finished."""
    known = {row.repetition: row for row in _finished(rows)}
    shared = [(known[row.repetition], row) for row in _finished(others) if row.repetition in known]
    above = _average([row for row, _ in shared], figure)
    below = _average([row for _, row in shared], figure)
    return above / below if above is not None and below else None


def _average(group: Sequence[Row], figure: str) -> float | None:
    return _mean([getattr(row.figures, figure) for row in group])


def _mean(values: Sequence[float | None]) -> float | None:
    """Of what there is."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _finished(group: Sequence[Row]) -> list[Row]:
    """Replays whose programs all finished: only those are compared."""
    return [row for row in _measured(group) if row.figures and not row.figures.unfinished]


def _measured(group: Sequence[Row]) -> list[Row]:
    return [row for row in group if row.figures is not None]


def _loads(rows: Sequence[Row]) -> list[tuple[str, float]]:
    return list(dict.fromkeys((row.made, row.load) for row in rows))


def _groups(rows: Sequence[Row], made: str, load: float) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if (row.made, row.load) == (made, load):
            groups.setdefault(row.contender, []).append(row)
    return dict(sorted(groups.items(), key=lambda item: item[0].startswith(GATEWAY)))


def _cells(name: str, group: Sequence[Row]) -> tuple[str, ...]:
    known = _measured(group)
    if not known:
        return (name, *("-" for _ in _HEAD[1:]))
    means = [row.figures.mean_completion_s for row in known if row.figures]
    spread = sorted(mean for mean in means if mean is not None)
    server = _mean([row.server_tokens for row in known]) or 0.0
    least = _average(known, "least_tokens") or 1.0
    return (
        name,
        _s(_mean(means)),
        f"({_s(spread[0])}..{_s(spread[-1])})" if spread else "-",
        _s(_average(known, "p95_s")),
        _s(_average(known, "makespan_s")),
        _s(_average(known, "mean_ttft_s")),
        f"{_average(known, 'hit_ratio') or 0.0:.1%}",
        f"{server:,.0f}",
        f"{server / least:.2f}",
        f"{_average(known, 'computed_tokens') or 0.0:,.0f}",
        f"{_average(known, 'unfinished') or 0.0:.0f}",
        f"{max(row.load_average for row in known):.1f}",
    )


def _s(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
