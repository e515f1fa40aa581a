"""What a prefill costs on a replica: seconds as a function of the tokens that are not cached."""

from __future__ import annotations

import math
from typing import NamedTuple

from agentrt.estimates.stored_form import Json, a_field, a_number, an_object, numbers
from agentrt.estimates.three_terms import PRODUCTS, TERMS, add, solved

_SCALE = 1e-3
_FLOOR_S = 0.002
_HALF_LIFE = 400.0
_DECAY = 2.0 ** (-1.0 / _HALF_LIFE)
_PRIOR_WEIGHT = 0.05
_LARGEST_STORED = 1e40
_MOST_TOKENS = 10**8
_SHORTEST_S = 1e-6
_LONGEST_S = 1e6

_LOW_PART = 0.25
_TOLERANCE = 0.4
_STEP = 0.5
_LEAST_STEP = 0.02
_STEP_LIFE = 16.0
_SOLVE_EVERY = 8
_ALWAYS_SOLVED = 32


class PrefillCost(NamedTuple):
    """`constant_s + linear_s * u + quadratic_s * u * (p - u / 2)`: u tokens uncached of p in the prompt.

    The product is what attention reads: each new token looks at all before it.
    """

    constant_s: float
    linear_s: float
    quadratic_s: float

    def seconds(self, uncached_tokens: float, prompt_tokens: float) -> float:
        uncached = max(uncached_tokens, 0.0)
        read = uncached * max(prompt_tokens - uncached / 2.0, uncached / 2.0)
        return self.constant_s + self.linear_s * uncached + self.quadratic_s * read


PRIOR = PrefillCost(0.02, 1.0 / 5_000.0, 1e-9)
"""Before anything is seen: 5,000 tokens a second, an 8B model on a data-centre GPU or a little less."""


class PrefillEstimates:
    """Learns the cost from times to the first token, of one replica.

    Least squares on the relative error, the old forgotten. Times to the first token contain waiting:
    what is known of it is to be taken off by the caller; beyond that, times far above the lower
    quarter of what was seen lately, in proportion to what was expected, count little.
    """

    def __init__(self, prior: PrefillCost = PRIOR) -> None:
        self.prior = prior
        self.observed = 0
        self._products = [0.0] * PRODUCTS
        self._answers = [0.0] * TERMS
        self._low = 0.0
        # The machine is taken to be like the prior's, only faster or slower: the logarithm of that.
        self._slower = 0.0
        self._cost = prior

    @property
    def cost(self) -> PrefillCost:
        """What is believed now."""
        return self._cost

    def observe(
        self, *, uncached_tokens: int, prompt_tokens: int, seconds: float, waited_s: float = 0.0
    ) -> None:
        """A call had its first token `seconds` after it was sent, `waited_s` of which in a queue."""
        seconds -= waited_s
        if not 0.0 < seconds < math.inf or uncached_tokens < 0:
            return
        seconds = min(max(seconds, _SHORTEST_S), _LONGEST_S)
        uncached = float(min(uncached_tokens, _MOST_TOKENS))
        prompt_tokens = min(prompt_tokens, _MOST_TOKENS)
        expected = max(self._cost.seconds(uncached, prompt_tokens), _FLOOR_S)
        assumed = max(self.prior.seconds(uncached, prompt_tokens), _FLOOR_S)
        self._slower = self._lowered(self._slower, math.log(seconds / assumed))
        weight = self._trust(math.log(seconds / expected)) / max(seconds, _FLOOR_S) ** 2
        linear = uncached * _SCALE
        read = linear * max(prompt_tokens - uncached / 2.0, uncached / 2.0) * _SCALE
        add(
            self._products,
            self._answers,
            (1.0, linear, read),
            seconds,
            weight=weight,
            decay=_DECAY,
        )
        self.observed += 1
        if self.observed < _ALWAYS_SOLVED or self.observed % _SOLVE_EVERY == 0:
            self._cost = self._solved()

    def seconds(self, uncached_tokens: float, prompt_tokens: float | None = None) -> float:
        """Time to the first token without waiting; `prompt_tokens` None: none of it is cached."""
        whole = uncached_tokens if prompt_tokens is None else prompt_tokens
        return self._cost.seconds(uncached_tokens, whole)

    def rebuild_s(self, tokens: float, prompt_tokens: float | None = None) -> float:
        """What it costs more if the first `tokens` of a prompt are not cached.

        `prompt_tokens` are those of the whole prompt; None: no more than `tokens`.
        """
        whole = tokens if prompt_tokens is None else max(prompt_tokens, tokens)
        rest = whole - tokens
        return self._cost.seconds(whole, whole) - self._cost.seconds(rest, whole)

    def merge(self, other: PrefillEstimates) -> None:
        """Add what `other` has seen: two replicas of one kind."""
        if not other.observed:
            return
        self._products = [a + b for a, b in zip(self._products, other._products, strict=True)]
        self._answers = [a + b for a, b in zip(self._answers, other._answers, strict=True)]
        seen = self.observed + other.observed
        self._low = min(self._low, other._low) if self.observed else other._low
        weighed = self.observed * self._slower + other.observed * other._slower
        self._slower = weighed / seen
        self.observed = seen
        self._cost = self._solved()

    def to_json(self) -> Json:
        return {
            "prior": list(self.prior),
            "observed": self.observed,
            "products": list(self._products),
            "answers": list(self._answers),
            "low": self._low,
            "slower": self._slower,
        }

    @classmethod
    def from_json(cls, data: Json) -> PrefillEstimates:
        """What `to_json` gave. Raises `StoreError` for anything else."""
        fields = an_object(data)
        estimates = cls(
            PrefillCost(*numbers(a_field(fields, "prior"), TERMS, most=_LARGEST_STORED))
        )
        estimates.observed = int(a_number(a_field(fields, "observed"), most=1e15))
        estimates._products = numbers(a_field(fields, "products"), PRODUCTS, most=_LARGEST_STORED)
        estimates._answers = numbers(a_field(fields, "answers"), TERMS, most=_LARGEST_STORED)
        estimates._low = a_number(a_field(fields, "low"), least=-100.0, most=100.0)
        estimates._slower = a_number(a_field(fields, "slower"), least=-100.0, most=100.0)
        if estimates.observed:
            estimates._cost = estimates._solved()
        return estimates

    def _trust(self, error: float) -> float:
        """How much an observation counts whose logarithm is `error` off what was expected."""
        self._low = self._lowered(self._low, error)
        above = error - self._low - _TOLERANCE
        return 1.0 if above <= 0.0 else math.exp(-4.0 * above)

    def _lowered(self, low: float, value: float) -> float:
        """`low` moved towards the lower quarter of the values that come, of which `value` is one."""
        if not self.observed:
            return value
        step = max(_LEAST_STEP, _STEP / (1.0 + self.observed / _STEP_LIFE))
        return low + step * (_LOW_PART if value > low else _LOW_PART - 1.0)

    def _solved(self) -> PrefillCost:
        """The least squares with the prior as a weak observation of each term, none negative."""
        factor = math.exp(self._slower)
        constant, linear, quadratic = (factor * term for term in self.prior)
        scaled = (constant, linear / _SCALE, quadratic / _SCALE**2)
        found = solved(self._products, self._answers, scaled, trust=_PRIOR_WEIGHT)
        return PrefillCost(found[0], found[1] * _SCALE, found[2] * _SCALE**2)
