"""The report as text: tables in Markdown, targets beside the figures, and what they do not show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

CPU_TARGET_US = 25.0
DURABLE_CPU_TARGET_US = 60.0
DURABLE_RATE_TARGET = 5000.0
GROWTH_TARGET = 1.5
DELAY_TARGET_S = 0.020
IMPORT_TARGET_MB = 60.0
IMPORT_TARGET_S = 0.4
BUILD_TARGET_S = 0.050

LIMITS = """\
What these figures do not show:
- Nodes do nothing. Beside one call of a language model, of half a second say, none of this is seen:
  overhead matters for thousands of programs on one loop and for plans of many small nodes.
- The durable rows do not do the same work. dbos commits every step in a transaction of its own,
  before the next one starts, with SQLite's rollback journal (PostgreSQL is its production database).
  langgraph writes whole checkpoints, one a superstep. agentrt starts the next node when its inputs
  are in memory, groups commits, and reports a node only once it is on disk; a call that must not be
  repeated waits for everything before it, which no case here exercises.
- pydantic-graph keeps nothing on disk. dbos has no in-memory form. langgraph's functional API, and
  frameworks that need a server or a model, are not measured.
- Building the graph is left out of the table (pydantic-graph takes seconds for the layers).
- CPU time is that of the whole process. Wall figures depend on the load of the machine and its disk."""


def render(report: Mapping[str, Any]) -> str:
    results: Mapping[str, Any] = report["results"]
    parts = [
        _head(report),
        _cases(
            report,
            "cpu_us_per_node",
            "CPU per node, in us: median (lowest to highest)",
            1,
            has_range=report["repetitions"] > 1,
        ),
        _cases(report, "nodes_per_s", "Nodes per second of wall time: median", 0),
        _cases(report, "peak_rss_mb", "Peak memory of the process, in MB", 0),
        _growth(results),
        _targets(results),
        LIMITS,
    ]
    if report["skipped"]:
        lines = (f"- {name}: {why}" for name, why in report["skipped"].items())
        parts.insert(1, "Skipped:\n" + "\n".join(lines))
    if report["failures"]:
        parts.insert(1, "FAILED:\n" + "\n".join(f"- {line}" for line in report["failures"]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(report: Mapping[str, Any]) -> str:
    machine = report["machine"]
    load = machine["load_average"]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    quick = " QUICK: a tenth of the work, not for comparing." if report["is_quick"] else ""
    return (
        f"Python {machine['python']}, {machine['system']}, {machine['cores']} cores, "
        f"{machine['processor']}; load average {load['median']:.1f} "
        f"({load['min']:.1f} to {load['max']:.1f}). Repetitions: {report['repetitions']}.{quick}\n"
        f"{versions}"
    )


def _cases(
    report: Mapping[str, Any], key: str, title: str, digits: int, *, has_range: bool = False
) -> str:
    cases = report["cases"]
    rows = [
        [
            report["titles"][name],
            *(_cell(cells.get(case["name"]), key, digits, has_range=has_range) for case in cases),
        ]
        for name, cells in report["results"].get("cases", {}).items()
    ]
    return title + "\n\n" + table(["", *(case["title"] for case in cases)], rows)


def _cell(measured: Mapping[str, Any] | None, key: str, digits: int, *, has_range: bool) -> str:
    if measured is None:
        return "-"
    figure = measured[key]
    text = f"{figure['median']:,.{digits}f}"
    if has_range:
        text += f" ({figure['min']:,.{digits}f} to {figure['max']:,.{digits}f})"
    return text


def _growth(results: Mapping[str, Any]) -> str:
    if "growth" not in results:
        return ""
    sizes = list(next(iter(results["growth"].values())))
    rows = [
        [shape, *(f"{_median(cell, 'cpu_us_per_node'):.1f}" for cell in cells.values())]
        for shape, cells in results["growth"].items()
    ]
    return "Growth of agentrt in memory: CPU per node, in us, by nodes\n\n" + table(
        ["", *(f"{int(size):,}" for size in sizes)], rows
    )


def _targets(results: Mapping[str, Any]) -> str:
    rows = list(_target_rows(results))
    return "Targets\n\n" + table(["", "target", "measured", ""], rows) if rows else ""


def _target_rows(results: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    cases = results.get("cases", {})
    for name, cell in cases.get("agentrt", {}).items():
        us = _median(cell, "cpu_us_per_node")
        yield _row(
            f"in memory, {name}", f"<= {CPU_TARGET_US:.0f} us", f"{us:.1f} us", us <= CPU_TARGET_US
        )
    durable = cases.get("agentrt+sqlite", {}).get("many")
    if durable is not None:
        us, rate = _median(durable, "cpu_us_per_node"), _median(durable, "nodes_per_s")
        is_met = us <= DURABLE_CPU_TARGET_US
        yield _row("durable, many", f"<= {DURABLE_CPU_TARGET_US:.0f} us", f"{us:.1f} us", is_met)
        is_met = rate >= DURABLE_RATE_TARGET
        yield _row(
            "durable, many",
            f">= {DURABLE_RATE_TARGET:,.0f} nodes/s",
            f"{rate:,.0f} nodes/s",
            is_met,
        )
    for shape, cells in results.get("growth", {}).items():
        figures = [_median(cell, "cpu_us_per_node") for cell in cells.values()]
        factor = max(figures) / min(figures)
        yield _row(
            f"growth, {shape}",
            f"within {GROWTH_TARGET}x",
            f"{factor:.2f}x",
            factor <= GROWTH_TARGET,
        )
    for name, cells in results.get("slow_sibling", {}).items():
        delay_s = _median(cells[""], "start_delay_s")
        verdict = delay_s <= DELAY_TARGET_S if _is_ours(name) else None
        target, told = f"<= {DELAY_TARGET_S * 1e3:.0f} ms", f"{delay_s * 1e3:.1f} ms"
        yield _row(f"ready node beside sleeping siblings, {name}", target, told, verdict)
    for name, cells in results.get("import", {}).items():
        memory, cpu_s = _median(cells[""], "rss_mb"), _median(cells[""], "cpu_s")
        is_met = memory <= IMPORT_TARGET_MB and cpu_s <= IMPORT_TARGET_S
        target = f"<= {IMPORT_TARGET_MB:.0f} MB, {IMPORT_TARGET_S} s"
        told = f"{memory:.0f} MB, {cpu_s:.2f} s of CPU ({_median(cells[''], 'wall_s'):.2f} s wall)"
        yield _row(f"import {name}", target, told, is_met if _is_ours(name) else None)
    for cells in results.get("build", {}).values():
        build_s = _median(cells[""], "trace_and_lint_s")
        told = f"{build_s * 1e3:.0f} ms (and {_median(cells[''], 'compile_s') * 1e3:.0f} ms to compile)"
        yield _row(
            "build and lint 1,100 nodes",
            f"<= {BUILD_TARGET_S * 1e3:.0f} ms",
            told,
            build_s <= BUILD_TARGET_S,
        )


def _row(subject: str, target: str, measured: str, is_met: bool | None) -> Sequence[str]:
    """`is_met` is None for those who never heard of our targets: they are there for scale."""
    if is_met is None:
        return subject, "", measured, ""
    return subject, target, measured, "met" if is_met else "NOT MET"


def _is_ours(name: str) -> bool:
    return name.startswith("agentrt")


def _median(measured: Mapping[str, Any], key: str) -> float:
    value: float = measured[key]["median"]
    return value


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, padded so that it also reads well in a terminal."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])
