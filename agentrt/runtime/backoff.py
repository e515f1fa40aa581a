"""How long to wait before another attempt."""

from __future__ import annotations

import random

from agentrt.errors import BackendError

FIRST_S = 0.25
LONGEST_S = 30.0


def backoff_s(attempt: int, random_source: random.Random) -> float:
    """Exponential backoff with full jitter after the `attempt`-th attempt (from 1), in seconds.

    Uniform between 0 and min(30, 0.25 * 2^(attempt-1)): "Exponential Backoff And Jitter", M. Brooker,
    AWS Architecture Blog, 2015, where full jitter finished the same work with the fewest calls.
    """
    return random_source.uniform(0.0, min(LONGEST_S, FIRST_S * 2.0 ** min(attempt - 1, 16)))


def backend_wait_s(error: BackendError, attempt: int, random_source: random.Random) -> float:
    """The same after a backend's error; never less than the server asked for."""
    return max(backoff_s(attempt, random_source), error.retry_after_s or 0.0)
