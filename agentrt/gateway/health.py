"""`Health`: what is known of whether one replica lives. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentrt.backends.vital_signs import VitalSigns
from agentrt.errors import BackendError, BackendTimeout, BackendUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long replicas, and those that wait for them, are waited for.

    Attributes:
        check_every_s: Between two questions whether a replica is well.
        check_timeout_s: For an answer to that.
        failures: Questions in a row without a good answer until a replica is down. One is enough
            where nobody listens any more.
        first_retry_s, longest_retry_s: Between two looks whether one that is down is back.
        unavailable_s: How long calls wait while no replica of their model is up.
        circuit_failures: Calls in a row that fail until a replica gets none for a time.
        circuit_s, longest_circuit_s: For how long: the first time, and at most.
    """

    check_every_s: float = 5.0
    check_timeout_s: float = 5.0
    failures: int = 2
    first_retry_s: float = 0.25
    longest_retry_s: float = 5.0
    unavailable_s: float = 10.0
    circuit_failures: int = 5
    circuit_s: float = 1.0
    longest_circuit_s: float = 60.0


class Health:
    """One replica, from each time that it is up.

    Attributes:
        heard_at: When an answer of its began or ended last; None: none has yet.
    """

    def __init__(self, patience: Patience) -> None:
        self.heard_at: float | None = None
        self._patience = patience
        self._failures = 0
        self._signs: VitalSigns | None = None

    def up(self, signs: VitalSigns) -> None:
        """It is there (again), and says this of itself."""
        self._failures = 0
        self._signs = _latest(self._signs, signs)

    def well(self, signs: VitalSigns) -> bool:
        """It has answered; False: it is another process than before, or serves other models."""
        before, self._signs = self._signs, _latest(self._signs, signs)
        self._failures = 0
        if before is None:
            return True
        has_models = before.models is None or signs.models is None or before.models == signs.models
        return has_models and before.is_same_process(signs)

    def unwell(self, error: BackendError, asked_at: float) -> bool:
        """It has not answered well; whether it is to be taken for down.

        A server that is busy may be slow to say so, while its answers to calls keep coming.
        """
        is_heard = self.heard_at is not None and self.heard_at >= asked_at
        if is_heard and isinstance(error, BackendTimeout):
            return False
        self._failures += 1
        is_gone = isinstance(error, BackendUnavailable) and error.status is None
        return is_gone or self._failures >= self._patience.failures


def _latest(before: VitalSigns | None, signs: VitalSigns) -> VitalSigns:
    """What later ones are compared with: of processes that take turns to answer, the youngest."""
    if before is None or before.started_at is None or signs.started_at is None:
        return signs
    return replace(signs, started_at=max(before.started_at, signs.started_at))
