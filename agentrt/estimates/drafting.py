"""Whether drafting without a model pays: what verifying costs, what share of drafts is taken.

A draft of k tokens is looked up in the text so far and verified by one pass over k + 1 tokens: the
pass gives one token more than were right. Nothing is lost but time: what a pass over k + 1 tokens
costs beyond a pass over one. On an accelerator that waits for memory that is next to nothing, on a
CPU it can be nearly everything (Agent-X, arXiv 2605.10380, measured 1.86 for two tokens over one).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_MOST_KINDS = 256
_HALF_LIFE_TOKENS = 4096.0
_LONGEST = 16
_LEAST_GAIN = 1.1


@dataclass(frozen=True, slots=True)
class DraftCounts:
    """What drafts came to.

    Attributes:
        tokens: Decoded, by drafts or not.
        drafted: Tokens of drafts.
        accepted: Those of them that were right; never more than `drafted` or `tokens`.
    """

    tokens: float = 0
    drafted: float = 0
    accepted: float = 0

    def __add__(self, other: DraftCounts) -> DraftCounts:
        return DraftCounts(
            self.tokens + other.tokens,
            self.drafted + other.drafted,
            self.accepted + other.accepted,
        )

    def scaled(self, factor: float) -> DraftCounts:
        """As if it were `factor` times as much."""
        return DraftCounts(self.tokens * factor, self.drafted * factor, self.accepted * factor)

    @property
    def share_taken(self) -> float:
        """Of the drafted tokens, those that were right; 0 if nothing was drafted."""
        return self.accepted / self.drafted if self.drafted else 0.0


class VerifyCost:
    """What a pass over some tokens of one sequence costs, where a pass over one costs 1.

    Straight lines between what was measured; beyond it, the last line goes on. Where a longer pass
    was measured as cheaper than a shorter one, that was noise: it counts as equal.
    """

    def __init__(self, measured: Sequence[tuple[int, float]]) -> None:
        """`measured`: (tokens, cost), tokens above 1, at least one.

        Raises:
            ValueError: nothing was measured, or what no pass can have.
        """
        points = sorted(measured)
        if not points or points[0][0] <= 1:
            raise ValueError("a verification cost is of two tokens or more")
        if not all(math.isfinite(cost) and cost > 0 for _, cost in points):
            raise ValueError("a verification cost is a number above 0")
        known = [(1, 1.0)]
        for tokens, cost in points:
            if tokens > known[-1][0]:
                known.append((tokens, max(cost, known[-1][1])))
        self._points = known

    @property
    def points(self) -> tuple[tuple[int, float], ...]:
        """What it goes by, (1, 1.0) first."""
        return tuple(self._points)

    def of(self, tokens: int) -> float:
        """The cost of a pass over `tokens`, at least 1."""
        lines = pairwise(self._points)
        left, right = next((line for line in lines if tokens <= line[1][0]), self._points[-2:])
        slope = (right[1] - left[1]) / (right[0] - left[0])
        return max(1.0, left[1] + slope * (tokens - left[0]))

    def of_drafted(self, length: int) -> float:
        """What each token of drafts of `length` adds to the cost of its pass."""
        return (self.of(length + 1) - 1.0) / length


def expected_tokens(acceptance: float, length: int) -> float:
    """Tokens a pass gives if each drafted token is right with `acceptance`, given those before it.

    `(1 - a^(k+1)) / (1 - a)`: Leviathan, Kalman, Matias, "Fast Inference from Transformers via
    Speculative Decoding", ICML 2023, equation 1.
    """
    if acceptance >= 1.0:
        return length + 1.0
    return (1.0 - acceptance ** (length + 1)) / (1.0 - acceptance)


def expected_speedup(acceptance: float, length: int, cost: VerifyCost) -> float:
    """Decoding speed with drafts of `length` in every pass, over that without.

    Theorem 3.8 of the same paper, with the draft free (it is looked up) and the pass not: there it
    is taken to cost the same however many tokens it verifies, here it costs `cost`.
    """
    return expected_tokens(acceptance, length) / cost.of(length + 1)


def best_length(acceptance: float, cost: VerifyCost, *, longest: int = _LONGEST) -> int:
    """The length of drafts that decodes fastest, of 1 to `longest`; the shortest of equals."""
    return max(
        range(1, longest + 1), key=lambda k: (round(expected_speedup(acceptance, k, cost), 9), -k)
    )


def observed_speedup(counts: DraftCounts, extra: float) -> float:
    """Decoding speed with these drafts over that without; 1 if nothing was decoded.

    T tokens, A of them right in drafts of D tokens in all, took T - A passes and D tokens verified
    in vain or not, each for `extra` of a pass: `T / (T - A + extra * D)`. So drafting pays if and
    only if the share taken, A / D, is above `extra`.
    """
    passes = counts.tokens - counts.accepted + extra * counts.drafted
    return counts.tokens / passes if passes > 0 else 1.0


@dataclass(frozen=True, slots=True)
class KindDrafting:
    """Of one kind of program: what drafts came to lately, and what they are worth there."""

    kind: str
    counts: DraftCounts
    speedup: float


class DraftingSwitch:
    """Turns drafting on when it would have paid, off when it did not; deterministic.

    Turning costs time, so it is done when what the other way would have saved since the last turn
    has come to as much (renting skis until they could have been bought: at most twice as bad as
    knowing beforehand). One lucky answer is not enough, unless it alone would have paid for it.
    What the other way would have saved is known without trying it: while drafting is off, the
    lookup is done over prompts and answers all the same, outside the engine. So nothing is explored.

    Not for several threads.
    """

    def __init__(
        self, cost: VerifyCost, *, length: int, token_s: float, turn_s: float, is_on: bool = False
    ) -> None:
        """`token_s`: a pass over one token. `turn_s`: what turning costs; `is_on`: how it begins."""
        self.extra = cost.of_drafted(length)
        self.is_on = is_on
        self._token_s = token_s
        self._turn_s = turn_s
        self._missed_s = 0.0
        self._kinds: OrderedDict[str, DraftCounts] = OrderedDict()

    @property
    def wants_turn(self) -> bool:
        """Whether it should be the other way."""
        return self._missed_s > 0.0 and self._missed_s >= self._turn_s

    def observe(self, kind: str, counts: DraftCounts) -> None:
        """A request of a program of this kind was answered; drafts came, or would have come, to `counts`."""
        saved_s = (counts.accepted - self.extra * counts.drafted) * self._token_s
        self._missed_s = max(0.0, self._missed_s + (-saved_s if self.is_on else saved_s))
        known = self._kinds.pop(kind, DraftCounts())
        self._kinds[kind] = known.scaled(0.5 ** (counts.tokens / _HALF_LIFE_TOKENS)) + counts
        if len(self._kinds) > _MOST_KINDS:
            self._kinds.popitem(last=False)

    def turned(self) -> None:
        """It is the other way now."""
        self.is_on = not self.is_on
        self._missed_s = 0.0

    def kinds(self) -> tuple[KindDrafting, ...]:
        """The kinds seen, the latest last."""
        return tuple(
            KindDrafting(kind, counts, observed_speedup(counts, self.extra))
            for kind, counts in self._kinds.items()
        )


def can_pay(cost: VerifyCost, *, share: float = 0.97) -> bool:
    """Whether drafts could be worth it here at all, if nearly all of them were right."""
    length = best_length(share, cost)
    return expected_speedup(share, length, cost) >= _LEAST_GAIN
