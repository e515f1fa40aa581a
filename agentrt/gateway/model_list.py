"""What `/v1/models` says: all that the servers list, in the words of whoever lists it first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from agentrt.backends.json_shape import is_array, is_object
from agentrt.backends.passthrough import Passthrough
from agentrt.errors import BackendError, BackendUnavailable
from agentrt.gateway.asked import JsonObject

_WITHIN_S = 5.0


async def listed_models(passthroughs: Sequence[Passthrough]) -> JsonObject:
    """Asked of all servers at once; those that do not answer soon are left out.

    Raises:
        BackendUnavailable: none of them answers.
    """
    answers: dict[int, list[JsonObject]] = {}

    async def ask(number: int, passthrough: Passthrough) -> None:
        try:
            async with asyncio.timeout(_WITHIN_S):
                answers[number] = _entries(await passthrough.get(f"{passthrough.url}/models"))
        except (BackendError, TimeoutError):
            return

    async with asyncio.TaskGroup() as tasks:
        for number, passthrough in enumerate(passthroughs):
            tasks.create_task(ask(number, passthrough))
    if not answers:
        raise BackendUnavailable("no server says what it serves")
    by_name: dict[str, JsonObject] = {}
    for number in sorted(answers):
        for entry in answers[number]:
            by_name.setdefault(entry["id"], entry)
    return {"object": "list", "data": list(by_name.values())}


def _entries(page: bytes) -> list[JsonObject]:
    try:
        listed: Any = json.loads(page)
    except (ValueError, RecursionError):
        return []
    entries = listed.get("data") if is_object(listed) else None
    if not is_array(entries):
        return []
    return [entry for entry in entries if is_object(entry) and isinstance(entry.get("id"), str)]
