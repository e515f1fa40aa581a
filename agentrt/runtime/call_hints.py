"""What an engine is told of a call that a plan or a program makes. Pure."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from agentrt.estimates.book import Estimates
from agentrt.ir.hints import Hints
from agentrt.ir.plan import Retention
from agentrt.ir.request import Request
from agentrt.runtime.standing import Standing
from agentrt.runtime.text_rate import TextRate

FIRST_PRIORITY = 1 << 30
_HELD_QUANTILE = 0.9
_LONGEST_HOLD_S = 3600.0
# Durations known beforehand are medians along a path: half of what follows comes later.
_SLACK = 2.0
_LEAST_HOLD_S = 10.0
_UNKNOWN_S = 60.0


def hints_for(
    identity: Hints,
    request: Request,
    *,
    standing: Standing,
    expects_more: bool,
    hold_s: float,
    rate: TextRate,
) -> Hints:
    """All that is known before the answer.

    Args:
        identity: Of the program.
        request: What is asked.
        standing: What a plan knows of it.
        expects_more: Whether it is likely that the next prompt begins with this one and its answer.
        hold_s: Seconds until that is there, then.
        rate: How the model's tokenizer cuts text.
    """
    has_begun = any(message.role == "assistant" for message in request.messages)
    retention = standing.retention or Retention(is_shared=True)
    is_unshared = not (retention.is_shared or standing.is_in_fan_out)
    is_needless = not expects_more and retention.is_last and is_unshared
    reused = retention.reused_chars
    return replace(
        identity,
        # Of agents that begin alike, only first turns do.
        has_followers=standing.is_in_fan_out and not has_begun,
        hold_s=0.0 if is_needless else _hold_s(retention, hold_s if expects_more else None),
        is_last=is_needless and retention.ends_run,
        reused_tokens=rate.tokens(reused) if reused else None,
        stable_chars=standing.stable_chars,
        next_use_s=retention.next_use_s if reused else None,
    )


def expected_hold_s(estimates: Estimates, workflow: str) -> float:
    """By then nine in ten programs of this workflow have come back with their next call."""
    gap = estimates.next_call.glance_at_any(workflow)
    return round(min(gap.remaining_quantile(_HELD_QUANTILE, 0.0), _LONGEST_HOLD_S), 3)


def opaque(program_id: str) -> str:
    """The same for each request of a program, and nothing of what its client calls it."""
    return sha256(program_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _hold_s(retention: Retention, until_next: float | None) -> float | None:
    """Until the latest of what uses it again; None: nothing is known to."""
    until = [] if until_next is None else [until_next]
    if retention.reused_chars and retention.next_use_s is None:
        until.append(_UNKNOWN_S)
    elif retention.reused_chars and retention.next_use_s is not None:
        until.append(max(_LEAST_HOLD_S, _SLACK * retention.next_use_s))
    return min(max(until), _LONGEST_HOLD_S) if until else None
