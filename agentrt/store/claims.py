"""Who works on a run: within this process, and the words for refusing."""

from __future__ import annotations

from collections.abc import Sequence

from agentrt.errors import StoreError
from agentrt.store.base import RunRecord


class LocalClaims:
    """The runs that this process is working on, and for which owner.

    A run that was begun here (a `running` record was written without a claim) has no owner's name:
    nobody may claim it until it ends.
    """

    def __init__(self) -> None:
        self._owners: dict[str, str | None] = {}

    def observe(self, record: RunRecord) -> None:
        """A run that is written as `running` is ours until it is written as anything else."""
        if record.status == "running":
            self._owners.setdefault(record.run_id)
        else:
            self._owners.pop(record.run_id, None)

    def check(self, run_id: str, owner: str) -> None:
        """Raises `StoreError` if somebody else in this process is working on the run."""
        if run_id in self._owners and self._owners[run_id] != owner:
            raise StoreError(
                f"Run {run_id} is under way in this process. Wait until it ends, or cancel it."
            )

    def add(self, run_id: str, owner: str) -> None:
        self._owners[run_id] = owner

    def discard(self, run_id: str) -> None:
        self._owners.pop(run_id, None)


def pick_run(prefix: str, candidates: Sequence[str]) -> str:
    """The one run that `prefix` names.

    Args:
        prefix: A run id or the beginning of one.
        candidates: The run ids that begin with it, in any order; a few of them are enough.

    Raises:
        StoreError: there is none, or there are several and none is `prefix` itself.
    """
    if prefix in candidates:
        return prefix
    if not candidates or not prefix:
        raise StoreError(f"There is no run {prefix!r} in this store. `agentrt runs` lists them.")
    if len(candidates) > 1:
        shown = ", ".join(sorted(candidates)[:5])
        raise StoreError(f"Several runs begin with {prefix!r}: {shown}, ... Give more of the id.")
    return candidates[0]
