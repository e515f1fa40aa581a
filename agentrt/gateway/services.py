"""`Services`: all that the HTTP application of the gateway is given. It makes none of it itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias

from agentrt.backends.hints import HintFields
from agentrt.backends.passthrough import Passthrough
from agentrt.gateway.model_list import ListingServer
from agentrt.gateway.turns import Caller, Turns
from agentrt.ir.hints import Hints
from agentrt.ir.request import Usage
from agentrt.runtime.pool import Replica
from agentrt.scheduler.events import ReplicaId

CLIENT_GONE = "client_gone"

Headers: TypeAlias = Mapping[str, str]
"""By their names in lower case."""


class Spending(Protocol):
    """What a request that is under way is told of its price."""

    def tell(self, usage: Usage) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A request that is over, for logs and counters. Nothing of what was said is in it.

    Attributes:
        status: As the client got it; 499: it had gone before there was one.
        code: What went wrong, as a word; empty: nothing.
        replica_id: Where it was forwarded to last; empty: nowhere.
        first_byte_s: Seconds from the request's head to the answer's first byte; None: there was none.
        total_s: Seconds to the last byte that the client took.
    """

    request_id: str
    endpoint: str
    status: int
    code: str = ""
    tenant: str = ""
    program_id: str = ""
    model: str = ""
    replica_id: str = ""
    is_streamed: bool = False
    usage: Usage = Usage()
    first_byte_s: float | None = None
    total_s: float = 0.0

    @property
    def is_gone(self) -> bool:
        """The client went before it had all of it."""
        return self.code == CLIENT_GONE

    @property
    def has_failed(self) -> bool:
        """There was no answer, or it broke off, on our side: no client could mend it."""
        if self.is_gone:
            return False
        is_cut = self.status < HTTPStatus.BAD_REQUEST and bool(self.code)
        return is_cut or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What it asks, each for one thing.

    Attributes:
        turns: Decides when and where a request goes.
        authenticate: Whose key the headers hold; raises `RequestRejected`, with its status.
        admitted: A request of that caller is under way inside the block, with a prompt of about so
            many tokens; raises `RateLimited`.
        passthrough: To the server of a replica.
        hinting: What a replica is told beside the request.
        isolating: The part of it that keeps tenants apart, which is never left out.
        hints_refused: That replica has refused a request with the rest of it, and not without.
        listing: All servers that are up, with what they are asked for.
        is_ready: A replica of each model is up.
        metrics: A page for Prometheus.
        programs: What there is of the caller's programs.
        end_program: Its program of that name is over; False: it has none.
        observe: Told of each request that is over.
        program_prefix: Where the caller's program of that name stopped sharing what it had sent, with
            the text that stands there or without; None: it has none.
    """

    turns: Turns
    authenticate: Callable[[Headers], Caller]
    admitted: Callable[[Caller, int], AbstractAsyncContextManager[Spending]]
    passthrough: Callable[[Replica], Passthrough]
    hinting: Callable[[Replica, Hints], HintFields]
    isolating: Callable[[Replica, Hints], HintFields]
    hints_refused: Callable[[ReplicaId], None]
    listing: Callable[[], Sequence[ListingServer]]
    is_ready: Callable[[], bool]
    metrics: Callable[[], bytes]
    programs: Callable[[Caller], Any]
    end_program: Callable[[Caller, str], bool]
    observe: Callable[[Answered], None]
    program_prefix: Callable[[Caller, str, bool], Any] = lambda _caller, _program, _has_text: None
