"""`HintFeedback`: what `Hinting` has to be told for its trials, from requests that are over. Pure."""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus

from agentrt.gateway.hinting import Hinting
from agentrt.gateway.services import Answered
from agentrt.scheduler.events import ReplicaId

_MOST_PROGRAMS = 20_000


class HintFeedback:
    """Expects of each prompt what its program had at that replica after the answer before.

    A program that talks in several conversations at once has less of it than is expected. It has so
    with advice and without, so what comes of the trials is late, not wrong.
    """

    def __init__(self, hinting: Hinting, *, most_programs: int = _MOST_PROGRAMS) -> None:
        self._hinting = hinting
        self._most = most_programs
        self._contexts: OrderedDict[str, tuple[ReplicaId, int]] = OrderedDict()

    def observe(self, answered: Answered) -> None:
        """A request is over."""
        usage = answered.usage
        is_told = answered.status == HTTPStatus.OK and usage.prompt_tokens > 0
        if not (is_told and answered.program_id and answered.replica_id):
            return
        replica_id, before = self._contexts.pop(answered.program_id, ("", 0))
        context = usage.prompt_tokens + usage.completion_tokens
        self._contexts[answered.program_id] = (answered.replica_id, context)
        if len(self._contexts) > self._most:
            self._contexts.popitem(last=False)
        if replica_id == answered.replica_id:
            expected = min(before, usage.prompt_tokens)
            self._hinting.answered(answered.replica_id, usage, expected_tokens=float(expected))
