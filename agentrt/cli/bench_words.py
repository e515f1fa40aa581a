"""The words of `agentrt bench replay`, checked before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentrt.cli.failure import UsageError
from agentrt.cli.workload_source import workload_source
from agentrt.ir.workload import Workload
from agentrt.simulator.loads import BURSTY_CV
from agentrt.simulator.workloads import Bursty, Poisson, with_arrivals, without_arrivals


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchWords:
    """As given on the command line; None: not given."""

    workload: str
    urls: tuple[str, ...]
    names: tuple[str, ...] = ()
    model: str | None = None
    format: str | None = None
    programs: int | None = None
    at_once: int | None = None
    rate: float | None = None
    arrivals: Literal["poisson", "bursty"] = "poisson"
    repeat: int = 3
    has_session_header: bool = False
    seed: int = 0
    limit_s: float = 3600.0
    timeout_s: float = 600.0
    is_json: bool = False
    is_quiet: bool = False


def names_of(words: BenchWords) -> tuple[str, ...]:
    """What to call each URL: its name, or itself.

    Raises:
        UsageError: not as many names as URLs, or two that are the same.
    """
    if words.names and len(words.names) != len(words.urls):
        raise UsageError(
            f"{len(words.urls)} times --url and {len(words.names)} times --name",
            hint="give a --name for each --url, in the same order, or none",
        )
    names = words.names or words.urls
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two are called {name!r}", hint="a --name for each --url tells them apart"
            )
    return names


def workload_of(words: BenchWords) -> Workload:
    """What is to be replayed, with its arrivals.

    Raises:
        UsageError: words that do not go together, or a workload that is not there.
        InputError: it cannot be read, or is empty.
    """
    if words.at_once is not None and words.rate is not None:
        raise UsageError("--at-once and --rate at once", hint="give one of them")
    source = workload_source(words.workload, format_name=words.format, programs=words.programs)
    workload = source(words.seed)
    if not workload.programs:
        raise UsageError(f"{words.workload}: there is no program in it")
    if words.at_once is not None:
        return without_arrivals(workload)
    if words.rate is None:
        return workload
    rate = words.rate
    arrivals = Poisson(rate) if words.arrivals == "poisson" else Bursty(rate, BURSTY_CV)
    return with_arrivals(workload, arrivals, seed=words.seed)
