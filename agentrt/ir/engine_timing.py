"""How long an engine took for requests whose sizes are known: what its constants are fitted from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTiming:
    """One request. Times are seconds since its batch was sent.

    Attributes:
        piece_s: When the pieces of the answer came. A piece is mostly a token.
        ended_s: When the answer was over.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    piece_s: tuple[float, ...]
    ended_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTiming:
    """Requests sent together to an engine that had nothing else to do.

    Attributes:
        what: Which probe it was; batches of one name are repetitions of one another.
        is_held_out: Constants are not fitted to it but tried on it.
    """

    what: str
    calls: tuple[CallTiming, ...]
    is_held_out: bool = False
