"""What a workload is, in numbers: programs, turns, tokens, times, and what a cache could give it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agentrt.ir.prefix import Chain
from agentrt.ir.workload import CallStep, ProgramTrace, StepId, ToolStep, Workload
from agentrt.simulator.workloads.quantiles import quantile

_PAGE_BITS = 16
_PAGE = 1 << _PAGE_BITS


@dataclass(frozen=True, slots=True)
class Spread:
    """Quantiles of measured values; all 0.0 of none."""

    p50: float
    p90: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A workload described.

    Attributes:
        turns: Calls a program.
        new_tokens: Tokens of a prompt that no earlier prompt or answer of the workload has.
        gap_s: Seconds between calls that no tool accounts for, over calls that wait for another.
        infinite_hit_ratio: Share of all prompt tokens that a cache without bounds would have: of
            full blocks, programs in the order of their arrival, each call as if answered at once.
    """

    name: str
    programs: int
    calls: int
    tool_calls: int
    turns: Spread
    prompt_tokens: Spread
    new_tokens: Spread
    completion_tokens: Spread
    tool_s: Spread
    gap_s: Spread
    total_prompt_tokens: int
    total_completion_tokens: int
    infinite_hit_ratio: float
    modelled: tuple[str, ...]


def summarise(workload: Workload) -> Summary:
    """Describe `workload`."""
    steps = [step for program in workload.programs for step in program.steps]
    calls = [step for step in steps if isinstance(step, CallStep)]
    tools = [step for step in steps if isinstance(step, ToolStep)]
    prompt_tokens = sum(call.prompt_tokens for call in calls)
    new_tokens = list(_new_tokens(workload))
    return Summary(
        name=workload.name,
        programs=len(workload.programs),
        calls=len(calls),
        tool_calls=len(tools),
        turns=spread(_turns(program) for program in workload.programs),
        prompt_tokens=spread(call.prompt_tokens for call in calls),
        new_tokens=spread(new_tokens),
        completion_tokens=spread(call.completion_tokens for call in calls),
        tool_s=spread(tool.duration_s for tool in tools),
        gap_s=spread(call.gap_s for call in calls if call.after),
        total_prompt_tokens=prompt_tokens,
        total_completion_tokens=sum(call.completion_tokens for call in calls),
        infinite_hit_ratio=1 - sum(new_tokens) / prompt_tokens if prompt_tokens else 0.0,
        modelled=workload.modelled,
    )


def spread(values: Iterable[float]) -> Spread:
    """The quantiles of `values`."""
    ordered = sorted(values)
    p50, p90, p99, most = (quantile(ordered, level) for level in (0.5, 0.9, 0.99, 1.0))
    return Spread(p50, p90, p99, most)


def _turns(program: ProgramTrace) -> int:
    return sum(isinstance(step, CallStep) for step in program.steps)


def _new_tokens(workload: Workload) -> Iterator[int]:
    """Tokens each call would have to compute if nothing were ever evicted."""
    seen = _SeenBlocks()
    for call in _in_order(workload.programs):
        known = seen.known(call.prompt)
        seen.add(call.context)
        yield call.prompt_tokens - known * workload.block_tokens


def _in_order(programs: Sequence[ProgramTrace]) -> Iterator[CallStep]:
    """The calls by the time they would be ready at if each were answered at once.

    Programs without an arrival come one after another.
    """
    timed: list[tuple[float, int, CallStep]] = []
    for at, program in enumerate(programs):
        if program.arrival_s is None:
            yield from (step for step in program.steps if isinstance(step, CallStep))
        else:
            ready = _ready_s(program)
            timed.extend(
                (ready[step_id], at, step)
                for step_id, step in enumerate(program.steps)
                if isinstance(step, CallStep)
            )
    timed.sort(key=lambda item: item[:2])
    yield from (call for _, _, call in timed)


def _ready_s(program: ProgramTrace) -> dict[StepId, float]:
    ended: dict[StepId, float] = {}
    for at, step in enumerate(program.steps):
        start_s = max((ended[before] for before in step.after), default=program.arrival_s or 0.0)
        ended[at] = start_s + (step.gap_s if isinstance(step, CallStep) else step.duration_s)
    return ended


class _SeenBlocks:
    """A set of block ids with fast runs: a byte an id, in pages."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def known(self, chain: Chain) -> int:
        """How many blocks of `chain` are in the set before the first that is not."""
        count = 0
        for page, start, stop in _pieces(chain):
            held = self._pages.get(page)
            if held is None:
                return count
            missing = held.find(0, start, stop)
            if missing >= 0:
                return count + missing - start
            count += stop - start
        return count

    def add(self, chain: Chain) -> None:
        for page, start, stop in _pieces(chain):
            held = self._pages.get(page)
            if held is None:
                held = self._pages[page] = bytearray(_PAGE)
            held[start:stop] = b"\x01" * (stop - start)


def _pieces(chain: Chain) -> Iterator[tuple[int, int, int]]:
    """The runs of a chain, cut where pages end: page, and positions in it."""
    for run in chain:
        first, end = run.first, run.first + run.count
        while first < end:
            stop = min(end, ((first >> _PAGE_BITS) + 1) << _PAGE_BITS)
            page = first >> _PAGE_BITS
            yield page, first - (page << _PAGE_BITS), stop - (page << _PAGE_BITS)
            first = stop
