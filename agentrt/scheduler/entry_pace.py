"""`EntryPace`: how often those that wait for their first place get one."""

from __future__ import annotations

import math

from agentrt.scheduler.recent_mean import RecentMean

_ENTRIES_REMEMBERED = 16
_SOONEST_S, _LATEST_S = 1.0, 60.0


class EntryPace:
    """Only the time counts in which somebody waited: that nobody came says nothing of the places."""

    def __init__(self) -> None:
        self._every_s = RecentMean(_ENTRIES_REMEMBERED)
        self._entered_at = -math.inf

    def entered(self, waits_since: float, now: float) -> None:
        """A program that waited has its first place."""
        self._every_s.add(now - max(self._entered_at, waits_since))
        self._entered_at = now

    def retry_after_s(self, before: int) -> float:
        """When it is likely that so many that wait have their places: a second at least, a minute at most."""
        return min(max(self._every_s.mean * before, _SOONEST_S), _LATEST_S)
