"""`Circuit`: keeps calls away from a replica that fails one after another. Pure."""

from __future__ import annotations

_DOUBLINGS = 16


class Circuit:
    """Opens after so many failures in a row, for a time that doubles while it does not get better.

    When that time is over calls go there again; the first of them to end decides: one more failure
    opens it again, for longer, and one success forgets all of it.
    """

    def __init__(self, *, failures: int = 5, first_s: float = 1.0, longest_s: float = 60.0) -> None:
        self._most_failures = failures
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0
        self._openings = 0
        self._open_until: float | None = None

    def failed(self, now: float) -> bool:
        """A call has failed there; whether that has opened it."""
        self._failures += 1
        if self.is_open(now) or self._failures < (1 if self._openings else self._most_failures):
            return False
        open_s = self._first_s * 2.0 ** min(self._openings, _DOUBLINGS)
        self._open_until = now + min(open_s, self._longest_s)
        self._openings += 1
        self._failures = 0
        return True

    def succeeded(self) -> None:
        """A call has its answer; those that were sent before it opened say nothing."""
        self._failures = 0
        if self._open_until is None:
            self._openings = 0

    def close(self) -> None:
        """Calls go there again: whether it has got better is seen from how they end."""
        self._open_until = None

    def is_open(self, now: float) -> bool:
        """Whether no call should go there now."""
        return self._open_until is not None and now < self._open_until

    def open_s(self, now: float) -> float:
        """For how long still."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - now)
