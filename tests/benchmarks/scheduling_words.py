"""The words of the targets' benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentrt.cli.simulate_jobs import cores
from tests.benchmarks import scheduling_cases as cases
from tests.benchmarks.scheduling_rows import CALM, FULL, ROWS

SLO, FLOOD, ABLATION_ROWS = "slo", "flood", "ablations"
ALL_ROWS = (*(row.name for row in ROWS), SLO, FLOOD, ABLATION_ROWS)

# What was not said: usually, and for a quick look.
_SIZES: tuple[tuple[str, Any, Any], ...] = (
    ("replicas", list(cases.REPLICAS), [1]),
    ("loads", list(cases.LOADS), [CALM, FULL]),
    ("arrivals", list(cases.ARRIVALS), list(cases.ARRIVALS)),
    ("programs", cases.PROGRAMS, 30),
    ("seeds", cases.SEEDS, 1),
)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def asked_for(words: Sequence[str], about: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small and few: a look, no result")
    parser.add_argument("--rows", type=_listed, default=list(ALL_ROWS), help=", ".join(ALL_ROWS))
    parser.add_argument("--ours", default="occupancy", help="the policy that is measured")
    parser.add_argument("--replicas", type=lambda text: [int(n) for n in _listed(text)])
    parser.add_argument("--loads", type=lambda text: [float(n) for n in _listed(text)])
    parser.add_argument("--kinds", type=_listed, default=list(cases.KINDS))
    parser.add_argument("--arrivals", type=_listed)
    parser.add_argument("--programs", type=int, help="for each replica")
    parser.add_argument("--kv-blocks", type=int, default=cases.KV_BLOCKS)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=cores())
    parser.add_argument("--slo-load", type=float, default=FULL, help="oversubscription of row slo")
    parser.add_argument("--json", type=Path, help="where every run's figures go")
    asked = parser.parse_args(words)
    unknown = set(asked.rows) - set(ALL_ROWS)
    if unknown:
        parser.error(f"no rows {', '.join(sorted(unknown))}; there are: {', '.join(ALL_ROWS)}")
    for name, usual, quick in _SIZES:
        if getattr(asked, name) is None:
            setattr(asked, name, quick if asked.quick else usual)
    return asked
