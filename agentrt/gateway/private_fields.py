"""What a tenant may not say to an engine: fields that reach into what is others'."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from agentrt.errors import RequestRejected
from agentrt.gateway.asked import Asked, JsonObject
from agentrt.gateway.turns import Caller, Forward, Turns
from agentrt.ir.request import Completion

PRIVATE = ("kv_transfer_params", "session_params", "priority")
"""vLLM reads the KV blocks that the first names, of whoever they are; SGLang goes on with the session
that the second names: salts guard neither. And whose turn it is, is not for those to say who wait."""

_HOLDS = "agentrt_"
"""How the names begin, in `vllm_xargs`, of what `agentrt.backends.vllm_holds` is told of programs."""


@dataclass(frozen=True, slots=True)
class PrivateFields:
    """`Turns` that refuse such requests of tenants that are kept apart.

    Refused, and not left out: who sends them relies on what they do.

    Attributes:
        sharing: Tenants that may share what is cached, and so say what they like.
    """

    turns: Turns
    sharing: frozenset[str] = frozenset()

    async def take(self, asked: Asked, caller: Caller, forward: Forward) -> Completion:
        """As `Turns` says.

        Raises:
            RequestRejected: also for what a tenant may not say.
        """
        if caller.tenant and caller.tenant not in self.sharing:
            for name in _said(asked.body):
                raise RequestRejected(
                    f"{name} is not for tenants of this gateway: leave it out",
                    status=HTTPStatus.BAD_REQUEST,
                )
        return await self.turns.take(asked, caller, forward)


def _said(body: JsonObject) -> list[str]:
    """What of it is private."""
    said = [name for name in PRIVATE if body.get(name) is not None]
    xargs = body.get("vllm_xargs")
    if isinstance(xargs, dict):
        names = [str(name) for name in cast("dict[object, object]", xargs)]
        said += [f"vllm_xargs.{name}" for name in names if name.startswith(_HOLDS)]
    return said
