"""`Memory`: what the gateway has learned, kept over a restart. Losing it costs only speed."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentrt.clock import Clock
from agentrt.errors import StoreError
from agentrt.estimates.book import Estimates
from agentrt.ir.schema import Json
from agentrt.store.documents import Documents

_log = logging.getLogger("agentrt.gateway")

SAVE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Part:
    """Something worth keeping.

    Attributes:
        take: What there is now, as plain data.
        give: What there was, as `take` gave it. Raises anything for what it cannot read, and has
            taken in nothing then.
    """

    take: Callable[[], Json]
    give: Callable[[Json], None]


def estimates_part(estimates: Estimates) -> Part:
    """What is known of tools and workflows; schedulers go on learning in the same `estimates`."""
    return Part(estimates.to_json, lambda data: estimates.merge(Estimates.from_json(data)))


class Memory:
    """The parts, by the names they are kept under."""

    def __init__(self, documents: Documents, parts: Mapping[str, Part], *, clock: Clock) -> None:
        self._documents = documents
        self._parts = dict(parts)
        self._clock = clock

    async def restore(self) -> None:
        """Give each part what was kept of it; one that cannot be read begins with nothing."""
        try:
            documents = await self._documents.load()
        except StoreError as error:
            _log.warning("the gateway begins with nothing learned: %s", error)
            return
        for name, part in self._parts.items():
            document = documents.get(name)
            if document is None:
                continue
            try:
                part.give(await asyncio.to_thread(json.loads, document))
            except Exception as error:  # noqa: BLE001  whatever is wrong with it, it is not needed
                _log.warning("what was learned is lost: %s cannot be read: %r", name, error)

    async def save(self) -> bool:
        """Keep all parts as they are now; False: one could not be, and what was kept of it still is."""
        # Parts change with every request: they are taken at once, and written elsewhere.
        taken: dict[str, Json] = {}
        for name, part in self._parts.items():
            try:
                taken[name] = part.take()
            except Exception:  # noqa: BLE001  a part that breaks must not stop the others
                _log.exception("what was learned is not kept: %s cannot be taken", name)
        written = await asyncio.to_thread(_written, taken)
        try:
            await self._documents.save(written)
        except StoreError as error:
            _log.warning("what was learned is not kept: %s", error)
            return False
        return len(written) == len(self._parts)

    async def keep_saving(self, every_s: float = SAVE_EVERY_S) -> None:
        """For ever: cancel it, and `save` once more."""
        while True:
            await self._clock.sleep(every_s)
            await self.save()


def _written(taken: Mapping[str, Json]) -> dict[str, str]:
    written: dict[str, str] = {}
    for name, data in taken.items():
        try:
            written[name] = json.dumps(data, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError):
            _log.exception("what was learned is not kept: %s has no JSON form", name)
    return written
