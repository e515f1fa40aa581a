"""What `/v1/models` says: all that the servers list, in the words of whoever lists it first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentrt.backends.json_shape import is_array, is_object
from agentrt.backends.passthrough import Passthrough
from agentrt.errors import BackendError, BackendUnavailable
from agentrt.gateway.asked import JsonObject

_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class ListingServer:
    """A server that says what it has, and which of those `models` requests are sent to it for; none: all."""

    passthrough: Passthrough
    models: Sequence[str] = ()


async def listed_models(servers: Sequence[ListingServer]) -> JsonObject:
    """Asked of all servers at once; those that do not answer soon are left out.

    Raises:
        BackendUnavailable: none of them answers.
    """
    answers: dict[int, list[JsonObject]] = {}

    async def ask(number: int, server: ListingServer) -> None:
        try:
            async with asyncio.timeout(_WITHIN_S):
                page = await server.passthrough.get(f"{server.passthrough.url}/models")
                answers[number] = _entries(page, server.models)
        except (BackendError, TimeoutError):
            return

    async with asyncio.TaskGroup() as tasks:
        for number, server in enumerate(servers):
            tasks.create_task(ask(number, server))
    if not answers:
        raise BackendUnavailable("no server says what it serves")
    by_name: dict[str, JsonObject] = {}
    for number in sorted(answers):
        for entry in answers[number]:
            by_name.setdefault(entry["id"], entry)
    return {"object": "list", "data": list(by_name.values())}


def _entries(page: bytes, served: Sequence[str]) -> list[JsonObject]:
    try:
        listed: Any = json.loads(page)
    except (ValueError, RecursionError):
        return []
    entries = listed.get("data") if is_object(listed) else None
    if not is_array(entries):
        return []
    named = [entry for entry in entries if is_object(entry) and isinstance(entry.get("id"), str)]
    return [entry for entry in named if not served or entry["id"] in served]
