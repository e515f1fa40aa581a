"""What a run's calls would have taken one after another: arithmetic, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentrt.ir.report import NodeReport


@dataclass(frozen=True, slots=True)
class EngineRates:
    """Tokens per second of an engine that serves one request and nothing else."""

    prefill: float
    decode: float


@dataclass(frozen=True, slots=True)
class OneAtATime:
    """An estimate, and the words that say where it comes from."""

    seconds: float
    basis: str
    is_upper_bound: bool


def leaves(nodes: Iterable[NodeReport]) -> list[NodeReport]:
    """The instances that did work in this sitting: calls, not the regions around them."""
    return [
        node
        for node in nodes
        if node.kind in {"tool", "llm"} and not node.is_restored and node.started_s is not None
    ]


def node_seconds(nodes: Iterable[NodeReport]) -> float:
    """All calls' durations added up."""
    return sum(node.duration_s for node in leaves(nodes))


def max_parallel(nodes: Iterable[NodeReport]) -> int:
    """The most calls under way at one moment. One that starts as another ends is not beside it."""
    moments: list[tuple[float, int]] = []
    for node in leaves(nodes):
        if node.started_s is not None and node.finished_s is not None:
            moments += [(node.started_s, 1), (node.finished_s, -1)]
    highest = running = 0
    for _, change in sorted(moments):
        running += change
        highest = max(highest, running)
    return highest


def one_at_a_time(nodes: Sequence[NodeReport], rates: EngineRates | None) -> OneAtATime:
    """How long the same calls would have taken with nothing beside them.

    Calls at one engine slow each other down, so the sum of their durations overstates it. With the
    rates of the idle engine, an LLM call alone is the uncached prompt at the prefill rate plus the
    completion at the decode rate, and never longer than it took in company. Tools count as they
    ran. Without rates the sum of durations is all there is: an upper bound.
    """
    calls = leaves(nodes)
    if all(call.kind == "tool" for call in calls):
        return OneAtATime(
            sum(call.duration_s for call in calls),
            "the sum of the tools' durations, as they ran",
            is_upper_bound=False,
        )
    if rates is None or rates.prefill <= 0 or rates.decode <= 0:
        return OneAtATime(
            sum(call.duration_s for call in calls),
            "upper bound: the sum of all durations, and calls at one engine slow each other down",
            is_upper_bound=True,
        )
    return OneAtATime(
        sum(_alone(call, rates) for call in calls),
        f"estimated: tokens at the idle engine's rates, prefill {rates.prefill:.0f} and"
        f" decode {rates.decode:.0f} tokens/s, measured just now; tools as they ran",
        is_upper_bound=False,
    )


def _alone(call: NodeReport, rates: EngineRates) -> float:
    usage = call.usage
    if call.kind != "llm" or not usage.prompt_tokens:
        return call.duration_s  # a server that counts no tokens leaves only the clock
    uncached = max(usage.prompt_tokens - usage.cached_tokens, 0)
    alone_s = uncached / rates.prefill + usage.completion_tokens / rates.decode
    return min(alone_s, call.duration_s)
