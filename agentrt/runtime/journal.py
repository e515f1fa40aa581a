"""`Journal`: what happens in one run, told to its store and its observers.

The rule that makes runs resumable lives here: a node counts as finished, and observers hear of it,
only once its result is on disk. Nodes that read it may start before that (what they do can be done
again), except calls that must not be repeated: those wait until everything before them is on disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeAlias

from agentrt.clock import Clock, held
from agentrt.errors import SchemaError, StoreError
from agentrt.ir.event import (
    AttemptFailed,
    Event,
    NodeFailed,
    NodeFinished,
    NodeSkipped,
    NodeStarted,
    RunFinished,
    RunStarted,
    TokensReceived,
)
from agentrt.ir.schema import Json
from agentrt.runtime.instance import Instance
from agentrt.store.base import (
    AttemptRecord,
    EventRecord,
    NodeRecord,
    Record,
    RunRecord,
    RunStore,
)

_log = logging.getLogger("agentrt.runtime")

OnEvent: TypeAlias = Callable[[Event], None]


class Journal:
    """One run's. Without a store everything is told at once and nothing is kept.

    Attributes:
        observers: Told of everything; they may come and go while the run is under way.
        failure: The first thing that could not be kept. The run goes on: its results are still in
            memory.
    """

    def __init__(
        self,
        run_id: str,
        *,
        store: RunStore | None,
        clock: Clock,
        observers: Iterable[OnEvent] = (),
        sequence: int = 0,
    ) -> None:
        self.run_id = run_id
        self.observers = list(observers)
        self._store = store
        self._clock = clock
        self._sequence = sequence
        self.failure: StoreError | None = None

    @property
    def is_durable(self) -> bool:
        return self._store is not None

    @property
    def is_watched(self) -> bool:
        return bool(self.observers)

    def tell(self, event: Event) -> None:
        """Report an event that waits for no disk."""
        for observer in tuple(self.observers):
            try:
                observer(event)
            except Exception:  # noqa: BLE001  an observer's fault must not become the run's
                _log.exception("an observer of run %s failed on %s", self.run_id, event)

    def run_started(self, record: RunRecord, event: RunStarted) -> None:
        self._write(record)
        self._log("run_resumed" if event.is_resumed else "run_started", event.at_s)
        self.tell(event)

    def finished(self, instance: Instance, value: Any, to_json: Callable[[Instance], Json]) -> None:
        """A node finished. `to_json` gives its result as JSON; asked only if it is kept.

        A result that cannot be kept is not reported either; `failure` says why.
        """
        event: NodeFinished | None = None
        if self.observers:
            event = NodeFinished(
                self.run_id,
                instance.id,
                instance.kind,
                value,
                instance.usage,
                instance.started_s or 0.0,
                instance.finished_s or 0.0,
                instance.is_restored,
            )
        if self._store is None or instance.is_restored:
            if event is not None:
                self.tell(event)
            return
        try:
            data = to_json(instance)
        except SchemaError as error:
            message = f"the result of {instance.id!r} cannot be kept: {error}"
            self.failure = self.failure or StoreError(message)
            return
        is_kept = self._write(
            NodeRecord(
                run_id=self.run_id,
                node_id=instance.id,
                kind=instance.kind,
                status="finished",
                value=data,
                usage=instance.usage,
                attempts=instance.attempts,
                started_s=instance.started_s or 0.0,
                finished_s=instance.finished_s,
            )
        )
        if event is not None and is_kept:
            self._report_when_flushed(event)

    def failed(self, instance: Instance, error: str, *, is_effect_unknown: bool = False) -> None:
        """A node failed for good.

        A call that may have taken effect stays on record as started: a resume must ask about it.
        """
        at_s = instance.finished_s or 0.0
        if not is_effect_unknown:
            self._write_failure(instance, error)
        self._log("node_failed", at_s, instance.id, {"error": error})
        self.tell(NodeFailed(self.run_id, instance.id, error, at_s))

    def skipped(self, instance: Instance, because: str, at_s: float) -> None:
        self._log("node_skipped", at_s, instance.id, {"because": because})
        self.tell(NodeSkipped(self.run_id, instance.id, because, at_s))

    def started(self, instance: Instance, attempt: int, at_s: float) -> None:
        if self.observers:
            self.tell(NodeStarted(self.run_id, instance.id, instance.kind, attempt, at_s))

    def attempt_failed(self, instance: Instance, attempt: AttemptRecord, retry_in_s: float) -> None:
        self._write(attempt)
        error = attempt.error or ""
        at_s = attempt.finished_s
        self.tell(AttemptFailed(self.run_id, instance.id, attempt.attempt, error, retry_in_s, at_s))

    def attempted(self, attempt: AttemptRecord) -> None:
        """An attempt worth keeping that did not fail."""
        self._write(attempt)

    def received(self, instance: Instance, text: str, at_s: float) -> None:
        self.tell(TokensReceived(self.run_id, instance.id, text, at_s))

    async def about_to_write(self, instance: Instance) -> None:
        """Put on disk that a call which must not be repeated is about to be made.

        If it is cancelled before that, the call was not made, and nobody needs to be asked about it.

        Raises:
            StoreError: it cannot be recorded, so it must not be made.
        """
        if self._store is None:
            return
        started = NodeRecord(
            run_id=self.run_id,
            node_id=instance.id,
            kind=instance.kind,
            status="started",
            started_s=instance.started_s or 0.0,
        )
        if not self._write(started):
            raise self.failure or StoreError("the call cannot be recorded")
        try:
            await self.flush()
        except asyncio.CancelledError:
            self._write(replace(started, status="skipped"))
            raise

    async def run_finished(self, record: RunRecord, event: RunFinished) -> None:
        """The end of the run; returns once all of it is on disk."""
        self._write(record)
        self._log("run_finished", event.at_s, None, {"status": event.status})
        try:
            await self.flush()
        except StoreError as error:
            self.failure = self.failure or error
        if self.failure is not None:
            _log.warning("run %s is not kept whole: %s", self.run_id, self.failure)
        self.tell(event)

    async def flush(self) -> None:
        """Raises `StoreError` if what was written cannot be put on disk."""
        if self._store is None:
            return
        with held(self._clock):
            # A shared future: one run's cancellation must not cancel it for the others.
            await asyncio.shield(self._store.flushed())

    def _write(self, record: Record) -> bool:
        """Whether the store took it. It may refuse one record (a value no JSON holds), or all."""
        if self._store is None:
            return True
        try:
            self._store.write(record)
        except StoreError as error:
            self.failure = self.failure or error
            return False
        return True

    def _write_failure(self, instance: Instance, error: str) -> None:
        self._write(
            NodeRecord(
                run_id=self.run_id,
                node_id=instance.id,
                kind=instance.kind,
                status="failed",
                value=error,
                usage=instance.usage,
                attempts=instance.attempts,
                started_s=instance.started_s or 0.0,
                finished_s=instance.finished_s,
            )
        )

    def _log(self, kind: str, at_s: float, node_id: str | None = None, body: Json = None) -> None:
        if self._store is None:
            return
        self._sequence += 1
        self._write(
            EventRecord(
                run_id=self.run_id,
                seq=self._sequence,
                kind=kind,
                at_s=at_s,
                node_id=node_id,
                body=body,
            )
        )

    def _report_when_flushed(self, event: Event) -> None:
        if self._store is None:
            return
        flushed = self._store.flushed()
        if flushed.done():  # at once: a callback would come after what is told next
            self._report(flushed, event)
        else:
            flushed.add_done_callback(lambda future: self._report(future, event))

    def _report(self, flushed: asyncio.Future[None], event: Event) -> None:
        if flushed.cancelled():
            return
        error = flushed.exception()
        if error is None:
            self.tell(event)
        elif isinstance(error, StoreError):
            self.failure = self.failure or error
