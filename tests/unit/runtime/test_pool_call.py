"""`PoolCall`: refused where it waits, and where it does not."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from agentrt.runtime.pool_call import PoolCall, over


async def test_a_refusal_that_nobody_waits_for_is_no_lost_error() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
    call = PoolCall("p")
    call.replica_id = "a"
    call.wait_again()  # its replica goes down, and before anybody has noticed its program ends
    call.refuse(over("p"))
    del call
    gc.collect()
    assert complaints == []
