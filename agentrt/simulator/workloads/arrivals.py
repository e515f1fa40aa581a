"""When programs arrive: at random times, in bursts, or each when another ends."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from agentrt.errors import InputError
from agentrt.ir.workload import Workload

# Beyond these, gamma draws are all the same or nearly all 0.
_CV_LEAST, _CV_MOST = 0.01, 30.0
# Thirty years: nobody means that, and from there on a clock in floats loses a step's time.
_LATEST_S = 1e9


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent arrivals, `rate_per_s` on average."""

    rate_per_s: float


@dataclass(frozen=True, slots=True)
class Bursty:
    """Gamma-distributed times between arrivals, as measured on production services.

    Attributes:
        cv: Their standard deviation over their mean: 1 is Poisson, 3 to 5 is bursty.
    """

    rate_per_s: float
    cv: float


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """`programs_at_once` programs at any time: the next begins when one ends, in order.

    It is the replay's to do: programs without an arrival come as places become free.
    """

    programs_at_once: int


Arrivals: TypeAlias = Poisson | Bursty | ClosedLoop


def with_arrivals(workload: Workload, arrivals: Poisson | Bursty, *, seed: int) -> Workload:
    """The same programs in the same order, each with a time of arrival.

    Raises:
        InputError: a rate that is not positive, or so low that programs come after decades; or a
            coefficient of variation out of range.
    """
    times = _times(arrivals, random.Random(seed))
    programs = tuple(replace(program, arrival_s=next(times)) for program in workload.programs)
    return replace(workload, programs=programs)


def without_arrivals(workload: Workload) -> Workload:
    """The same programs, to arrive as the replay decides."""
    return replace(
        workload, programs=tuple(replace(program, arrival_s=None) for program in workload.programs)
    )


def _times(arrivals: Poisson | Bursty, rng: random.Random) -> Iterator[float]:
    if not 0 < arrivals.rate_per_s < math.inf:
        raise InputError(f"the rate of arrivals must be positive, not {arrivals.rate_per_s}")
    at_s = 0.0
    while True:
        at_s += _between(arrivals, rng)
        if not at_s <= _LATEST_S:
            raise InputError(
                f"at {arrivals.rate_per_s} programs/s, some come after {_LATEST_S:g} s: too low a rate"
            )
        yield at_s


def _between(arrivals: Poisson | Bursty, rng: random.Random) -> float:
    match arrivals:
        case Poisson(rate):
            return rng.expovariate(rate)
        case Bursty(rate, cv):
            if not _CV_LEAST <= cv <= _CV_MOST:
                raise InputError(
                    f"the coefficient of variation is from {_CV_LEAST} to {_CV_MOST}, not {cv}"
                )
            shape = 1 / (cv * cv)
            return rng.gammavariate(shape, 1 / (rate * shape))
        case _:
            assert_never(arrivals)
