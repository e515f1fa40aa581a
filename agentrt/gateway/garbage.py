"""Python's garbage collector in a process that serves: seldom, and never over what was there before."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

_YOUNG = 10_000
"""More objects than that have come than gone: a millisecond's work. Python's own 700 are two requests."""
_GENERATIONS = 10


@contextmanager
def rarely_collected() -> Generator[None]:
    """Inside the block all that exists already is never looked at, and the rest less often.

    Nearly nothing of a request is left to the collector, which looks at all that is remembered
    all the same: while it does nobody is answered.
    """
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _GENERATIONS, _GENERATIONS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
