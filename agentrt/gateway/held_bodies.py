"""`HeldBodies`: how many bytes of requests are held, of all that are under way. Pure."""

from __future__ import annotations

from agentrt.errors import RateLimited

_RETRY_AFTER_S = 1.0


class HeldBodies:
    """Those of all requests.

    Attributes:
        held_bytes: As many as came from clients; what is made of them takes its own.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0


class HeldBody:
    """One request's part. Whoever makes one gives it back, whatever happens."""

    __slots__ = ("_bytes", "_of")

    def __init__(self, of: HeldBodies) -> None:
        self._of = of
        self._bytes = 0

    @property
    def most_bytes(self) -> int:
        """Longer than this it can never be."""
        return self._of.most_bytes

    def grow(self, more_bytes: int) -> None:
        """So many more have come.

        Raises:
            RateLimited: with them there would be too many; this request's others are not held either.
        """
        if self._of.held_bytes + more_bytes > self._of.most_bytes:
            self.give_back()
            raise RateLimited(
                "the gateway holds as many bytes of requests as it may (max_bodies_bytes); come again later",
                retry_after_s=_RETRY_AFTER_S,
            )
        self._of.held_bytes += more_bytes
        self._bytes += more_bytes

    def give_back(self) -> None:
        """None of it is held any more. Safe to call twice."""
        self._of.held_bytes -= self._bytes
        self._bytes = 0
