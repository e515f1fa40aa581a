"""`Hinting`: which hints go with a request to a replica, and whether they are worth sending. Pure.

Advice on caching is tried out at each replica: it is sent for a while and left out for a while, in
pairs of periods, and each pair tells whether more of the cached tokens that were expected were found
while it was sent. Wald's sequential test on those pairs decides; `Trial` states it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agentrt.backends.hint_table import Purpose
from agentrt.backends.hints import HintFields, translate
from agentrt.gateway.hint_trial import Trial, Verdict
from agentrt.ir.engine_fields import EngineFields
from agentrt.ir.hints import Hints
from agentrt.ir.request import Capabilities, Usage
from agentrt.scheduler.events import ReplicaId

__all__ = ["Advice", "Hinting"]

Advice: TypeAlias = Literal["none", "trying", "pays", "does not pay", "refused"]

_ALWAYS: tuple[Purpose, ...] = ("isolation", "identity", "order", "load")
_WITH_CACHING: tuple[Purpose, ...] = (*_ALWAYS, "caching")
_WORDS: Mapping[Verdict, Advice] = {
    Verdict.OPEN: "trying",
    Verdict.PAYS: "pays",
    Verdict.DOES_NOT_PAY: "does not pay",
}


@dataclass(slots=True)
class _Replica:
    trial: Trial
    is_advised: bool = False
    is_refused: bool = False


@dataclass(slots=True)
class Hinting:
    """The hints of all replicas.

    Attributes:
        dialects: What a replica understands beside what it was found to, by the operator's word:
            routers in front of engines cannot be told from outside.
        seed: Which period of each pair comes first; everything else follows from what is told.
    """

    dialects: Mapping[ReplicaId, tuple[str, ...]] = field(
        default_factory=dict[ReplicaId, tuple[str, ...]]
    )
    seed: int = 0
    _replicas: dict[ReplicaId, _Replica] = field(default_factory=dict[ReplicaId, _Replica])

    def fields(self, replica_id: ReplicaId, capabilities: Capabilities, hints: Hints) -> HintFields:
        """What to add to a request that goes to this replica now."""
        replica = self._replica(replica_id)
        takes = capabilities.takes
        if replica.is_refused:
            return self.isolating(replica_id, capabilities, hints)
        always = self._translated(replica_id, takes, hints, _ALWAYS)
        whole = self._translated(replica_id, takes, hints, _WITH_CACHING)
        if whole == always:
            return always
        replica.is_advised = True
        # Where nothing is reported, nothing can be found out: the server's word has to do.
        is_told = capabilities.reports_cached_tokens
        return whole if replica.trial.is_on or not is_told else always

    def isolating(
        self, replica_id: ReplicaId, capabilities: Capabilities, hints: Hints
    ) -> HintFields:
        """The part of them that keeps tenants apart."""
        return self._translated(replica_id, capabilities.takes, hints, ("isolation",))

    def answered(self, replica_id: ReplicaId, usage: Usage, *, expected_tokens: float) -> None:
        """A replica has answered, and said how much of the prompt it had cached.

        Args:
            replica_id: Which one.
            usage: As the server counted it.
            expected_tokens: Of the prompt, in the server's tokens, that it has seen before from
                this program; with 0 the answer tells nothing.
        """
        replica = self._replica(replica_id)
        if replica.is_advised and expected_tokens > 0:
            found = min(usage.cached_tokens, expected_tokens)
            replica.trial.observe(found_tokens=found, expected_tokens=expected_tokens)

    def refused(self, replica_id: ReplicaId) -> None:
        """A request with hints was refused, and the same without was not: no more of them there.

        What keeps tenants apart is sent all the same.
        """
        self._replica(replica_id).is_refused = True

    def up(self, replica_id: ReplicaId) -> None:
        """A replica is there (again), perhaps started with other options: all is open again."""
        self._replicas.pop(replica_id, None)

    def advice(self, replica_id: ReplicaId) -> Advice:
        """What has come of advice on caching at a replica, for people."""
        replica = self._replicas.get(replica_id)
        if replica is None or not (replica.is_advised or replica.is_refused):
            return "none"
        return "refused" if replica.is_refused else _WORDS[replica.trial.verdict]

    def _replica(self, replica_id: ReplicaId) -> _Replica:
        found = self._replicas.get(replica_id)
        if found is None:
            found = _Replica(Trial(seed=f"{self.seed} {replica_id}"))
            self._replicas[replica_id] = found
        return found

    def _translated(
        self,
        replica_id: ReplicaId,
        takes: EngineFields,
        hints: Hints,
        purposes: tuple[Purpose, ...],
    ) -> HintFields:
        dialects = dict.fromkeys((*takes.dialects, *self.dialects.get(replica_id, ())))
        return translate(hints, *dialects, takes=takes, purposes=purposes)
