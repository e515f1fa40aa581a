"""`SentHints`: what one server is sent of hints, and what it has refused. Pure."""

from __future__ import annotations

from dataclasses import replace

from agentrt.backends.hints import HintFields, translate
from agentrt.backends.prompt_marking import shared_key
from agentrt.ir.engine_fields import EngineFields
from agentrt.ir.hints import NO_HINTS
from agentrt.ir.request import Request


class SentHints:
    """A request that is refused with hints is made again without; if that is taken, none are sent any more.

    But for what keeps tenants apart: that is sent always. Fields that a request was answered with once
    are not in question again.
    """

    def __init__(self, dialects: tuple[str, ...] = ()) -> None:
        """`dialects`: those understood beside what `EngineFields` says, by the operator's word."""
        self._dialects = dialects
        self._taken: set[frozenset[str]] = set()
        self._is_refused = False

    @property
    def is_refused(self) -> bool:
        """Whether no more of them are sent."""
        return self._is_refused

    def fields(self, request: Request, takes: EngineFields | None) -> HintFields:
        """What to add to a request; nothing, where nobody has asked the server yet what it takes."""
        hints = request.hints
        if hints == NO_HINTS or (takes is None and not self._dialects):
            return HintFields()
        takes = takes or EngineFields()
        dialects = dict.fromkeys((*takes.dialects, *self._dialects))
        if self._is_refused:
            return translate(hints, *dialects, takes=takes, purposes=("isolation",))
        if "prompt_cache_key" in takes.body:
            hints = replace(hints, cache_key=shared_key(request))
        return translate(hints, *dialects, takes=takes)

    def least(self, request: Request, takes: EngineFields | None) -> HintFields:
        """Of them, what is sent in any case."""
        dialects = dict.fromkeys((*(takes.dialects if takes else ()), *self._dialects))
        return translate(request.hints, *dialects, takes=takes, purposes=("isolation",))

    def is_in_question(self, fields: HintFields, *, is_marked: bool = False) -> bool:
        """Whether a refusal may be of these, or of markers in the prompt."""
        names = _names(fields, is_marked)
        return bool(names) and not any(names <= taken for taken in self._taken)

    def taken(self, fields: HintFields, *, is_marked: bool = False) -> None:
        """A request with these was answered."""
        names = _names(fields, is_marked)
        if names:
            self._taken.add(names)

    def refused(self) -> None:
        """A request with hints was refused, and the same without them was not."""
        self._is_refused = True


def _names(fields: HintFields, is_marked: bool) -> frozenset[str]:
    return frozenset((*fields.body, *fields.headers, *(("cache_control",) if is_marked else ())))
