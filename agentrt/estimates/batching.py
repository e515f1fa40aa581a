"""What calls at once bring on a replica: how much of a call's time others could have had as well."""

from __future__ import annotations

import math
from typing import NamedTuple

from agentrt.estimates.stored_form import Json, a_field, a_number, an_object, numbers
from agentrt.estimates.three_terms import PRODUCTS, TERMS, add, solved

_HALF_LIFE = 200.0
_DECAY = 2.0 ** (-1.0 / _HALF_LIFE)
_PRIOR_WEIGHT = 2e-4
_SOLVE_EVERY = 4
_ALWAYS_SOLVED = 16
_SIZES_REMEMBERED = 100
_SCALE = 1e-2  # tokens are counted in hundreds, so that products are near 1
_MOST_TOKENS = 10**8
_SHORTEST_S, _LONGEST_S = 1e-5, 1e6
_LARGEST_STORED = 1e40


class StepCost(NamedTuple):
    """What a step of decoding takes.

    Attributes:
        step_s: However many calls get a token in it.
        sequence_s: More for each call.
        prefill_s: More for each token of a prompt that is computed in it.
    """

    step_s: float
    sequence_s: float
    prefill_s: float


PRIOR = StepCost(1e-2, 5e-4, 1e-4)
"""Before anything is seen: an 8B model on a data-centre GPU or a little less."""


class BatchEstimates:
    """Learns the cost from how long answers took, and what was computed beside them.

    An answer of n further tokens, beside which b answered on average (itself counted) and p tokens of
    prompts were computed, took

        n * (step_s + b * sequence_s)  +  p * prefill_s

    which is fitted to what is seen: least squares of the relative error, the old forgotten.
    """

    def __init__(self, prior: StepCost = PRIOR) -> None:
        self.prior = prior
        self.observed = 0
        self._products = [0.0] * PRODUCTS
        self._answers = [0.0] * TERMS
        self._prompt_tokens = 0.0
        self._computed_tokens = 0.0
        self._answered_tokens = 0.0
        self._cost = prior

    @property
    def cost(self) -> StepCost:
        """What is believed now."""
        return self._cost

    @property
    def mean_prompt(self) -> tuple[float, float]:
        """Tokens that a call computes of its prompt, and tokens of the whole, on average lately."""
        return self._computed_tokens, self._prompt_tokens

    def observe_call(
        self, *, computed_tokens: int, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """How large a call was."""
        self.observed += 1
        share = 1.0 / min(self.observed, _SIZES_REMEMBERED)
        computed, prompt = max(computed_tokens, 0), max(prompt_tokens, 0)
        self._computed_tokens += (min(computed, _MOST_TOKENS) - self._computed_tokens) * share
        self._prompt_tokens += (min(prompt, _MOST_TOKENS) - self._prompt_tokens) * share
        answered = min(max(completion_tokens, 0), _MOST_TOKENS)
        self._answered_tokens += (answered - self._answered_tokens) * share

    def observe_answer(
        self, *, steps: int, seconds: float, calls: float, computed_tokens: float
    ) -> None:
        """After its first token an answer took `steps` more in `seconds`.

        `calls` answered at once on average, and `computed_tokens` of others' prompts were computed.
        """
        if steps <= 0 or not _SHORTEST_S < seconds < _LONGEST_S or not calls >= 0.0:
            return
        tokens = min(steps, _MOST_TOKENS) * _SCALE
        computed = min(max(computed_tokens, 0.0), _MOST_TOKENS) * _SCALE
        add(
            self._products,
            self._answers,
            (tokens, tokens * min(calls, _MOST_TOKENS), computed),
            seconds,
            weight=1.0 / seconds**2,
            decay=_DECAY,
        )
        if self.observed < _ALWAYS_SOLVED or self.observed % _SOLVE_EVERY == 0:
            self._cost = self._solved()

    def worth_running(self, programs: float, prefill_s: float) -> float:
        """How many calls at once end `programs` programs soonest in the mean; at least 1.

        A call takes `alone` of the engine's time for itself: its prompt, `prefill_s`, and its part of
        each step; and `shared`, the steps that others have as well. With b at once calls end every
        `alone + shared / b` seconds, and programs wait for half of the others' on average; each of
        their own calls takes `shared + alone * b`. The sum is least at
        `sqrt(programs * shared / (2 * alone))`. Infinite while nothing is known.
        """
        alone = prefill_s + self._cost.sequence_s * self._answered_tokens
        shared = self._cost.step_s * self._answered_tokens
        if not self.observed or alone <= 0.0:
            return math.inf
        return max(1.0, math.sqrt(programs * shared / (2.0 * alone)))

    def merge(self, other: BatchEstimates) -> None:
        """Add what `other` has seen: two replicas of one kind."""
        seen = self.observed + other.observed
        part = other.observed / seen if seen else 0.0
        self._prompt_tokens += (other._prompt_tokens - self._prompt_tokens) * part
        self._computed_tokens += (other._computed_tokens - self._computed_tokens) * part
        self._answered_tokens += (other._answered_tokens - self._answered_tokens) * part
        self._products = [a + b for a, b in zip(self._products, other._products, strict=True)]
        self._answers = [a + b for a, b in zip(self._answers, other._answers, strict=True)]
        self.observed = seen
        self._cost = self._solved()

    def to_json(self) -> Json:
        return {
            "prior": list(self.prior),
            "observed": self.observed,
            "products": list(self._products),
            "answers": list(self._answers),
            "sizes": [self._prompt_tokens, self._computed_tokens, self._answered_tokens],
        }

    @classmethod
    def from_json(cls, data: Json) -> BatchEstimates:
        """What `to_json` gave. Raises `StoreError` for anything else."""
        fields = an_object(data)
        estimates = cls(StepCost(*numbers(a_field(fields, "prior"), TERMS, most=_LARGEST_STORED)))
        estimates.observed = int(a_number(a_field(fields, "observed"), most=1e15))
        estimates._products = numbers(a_field(fields, "products"), PRODUCTS, most=_LARGEST_STORED)
        estimates._answers = numbers(a_field(fields, "answers"), TERMS, most=_LARGEST_STORED)
        sizes = numbers(a_field(fields, "sizes"), TERMS, most=_LARGEST_STORED)
        estimates._prompt_tokens, estimates._computed_tokens, estimates._answered_tokens = sizes
        if estimates.observed:
            estimates._cost = estimates._solved()
        return estimates

    def _solved(self) -> StepCost:
        scaled = [value / _SCALE for value in self.prior]
        found = solved(self._products, self._answers, scaled, trust=_PRIOR_WEIGHT)
        return StepCost(*(value * _SCALE for value in found))
