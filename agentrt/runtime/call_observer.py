"""`InstanceObserver`: how an LLM call fares, for the record."""

from __future__ import annotations

from collections.abc import Callable

from agentrt.ir.request import Usage
from agentrt.ir.schema import Json
from agentrt.runtime.call_detail import CallDetail
from agentrt.runtime.instance import Instance
from agentrt.runtime.journal import Journal
from agentrt.runtime.llm_calls import Attempt
from agentrt.runtime.scheduled_program import Served
from agentrt.scheduler.events import CallId
from agentrt.store.base import AttemptRecord

_NO_USAGE = Usage()


class InstanceObserver:
    """Records the attempts of an LLM call on its instance and in the journal.

    Attributes:
        latest_calls: Each agent's latest turn, as the schedulers know it, for the tools it asks for.
    """

    def __init__(
        self,
        instance: Instance,
        journal: Journal,
        now: Callable[[], float],
        origin_s: float,
        latest_calls: dict[str, CallId] | None,
    ) -> None:
        self._instance = instance
        self._journal = journal
        self._now = now
        self._origin_s = origin_s
        self.latest_calls = latest_calls

    def call_sent(self, attempt: int) -> None:
        self._instance.attempts = attempt
        if attempt == 1:
            self._instance.started_s = self._now()  # when it was sent, not when it could have been
        self._journal.started(self._instance, attempt, self._now())

    def call_ended(self, attempt: Attempt) -> None:
        served = attempt.served
        completion = None if served is None else served.completion
        parent = self._instance.parent
        if served is not None and self.latest_calls is not None and parent is not None:
            self.latest_calls[parent.id] = served.call_id
        record = AttemptRecord(
            run_id=self._journal.run_id,
            node_id=self._instance.id,
            attempt=attempt.number,
            status="failed" if completion is None else "finished",
            error=None if attempt.error is None else str(attempt.error),
            model="" if completion is None else completion.model,
            usage=_NO_USAGE if completion is None else completion.usage,
            ttft_s=None if completion is None else completion.ttft_s,
            started_s=attempt.started_s - self._origin_s,
            finished_s=attempt.finished_s - self._origin_s,
            detail=self._detail(served),
        )
        if completion is not None:
            self._instance.usage += completion.usage
            self._journal.attempted(record)
        elif attempt.retry_in_s is not None:
            self._journal.attempt_failed(self._instance, record, attempt.retry_in_s)
        else:
            self._journal.attempted(record)

    def _detail(self, served: Served | None) -> Json:
        if served is None or not self._journal.is_durable:
            return None
        prompt, context = served.prompt, served.context
        return CallDetail(
            ids=served.origin,
            prompt=prompt.chain,
            context=context.chain,
            characters=(prompt.characters, context.characters - prompt.characters),
            ready_s=served.ready_at - self._origin_s,
        ).to_json()
