"""Which replicas serve which model, as replicas come, go and come back."""

from __future__ import annotations

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import SystemClock
from agentrt.errors import RequestRejected
from agentrt.gateway.models import Models
from agentrt.ir.request import Capabilities
from agentrt.runtime.pool import Pool
from agentrt.runtime.scheduling import Scheduling


def models() -> Models:
    def pool(name: str) -> Pool:
        return Pool(name, {}, clock=SystemClock(), scheduling=Scheduling())

    return Models(pool, unavailable_s=10.0)


async def test_a_replica_that_named_no_model_at_first_takes_none_it_does_not_name_later() -> None:
    known = models()
    backend = ScriptedBackend(script=["x"])
    first = known.join("r", backend, Capabilities())
    assert await known.find("anything") == ("anything", (first,))
    known.leave("r")
    second = known.join("r", backend, Capabilities(models=("m",)))
    assert await known.find("m") == ("m", (second,))
    with pytest.raises(RequestRejected, match="there are m"):
        await known.find("anything")


async def test_one_that_names_no_model_is_asked_for_any_while_it_is_away() -> None:
    known = models()
    pool = known.join("r", ScriptedBackend(script=["x"]), Capabilities())
    known.leave("r")
    assert await known.find("anything") == ("anything", (pool,))
