"""`ForeignLoad`: calls at a replica that are not the gateway's, as the replica's own figures tell. Pure."""

from __future__ import annotations

from agentrt.backends.vital_signs import VitalSigns

_TIMES = 2
"""In a row: a call that has just ended here may be running there for a moment still."""


class ForeignLoad:
    """Of one replica. Nothing is told of load that is all ours: the scheduler counts that better."""

    def __init__(self) -> None:
        self._seen = 0
        self._is_told = False

    def seen(self, signs: VitalSigns, ours: int) -> tuple[float, int] | None:
        """What the scheduler is to be told: the share of the cache in use, and how many calls run.

        Args:
            signs: What the replica says.
            ours: The most calls that we had there while it was asked.
        """
        if signs.running is None or signs.used_share is None:
            return None
        if signs.running > ours:
            self._seen += 1
            if self._seen < _TIMES:
                return None
            self._is_told = True
            return signs.used_share, signs.running
        self._seen = 0
        was_told, self._is_told = self._is_told, False
        return (0.0, 0) if was_told else None
