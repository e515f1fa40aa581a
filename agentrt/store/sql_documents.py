"""Documents in a database: the table `gateway_state`."""

from __future__ import annotations

import time
from collections.abc import Mapping

import sqlalchemy as sa

from agentrt.store.database import SQLDatabase
from agentrt.store.engines import parse_url
from agentrt.store.tables import gateway_state
from agentrt.store.writer import GroupedWriter

_BUSY_TIMEOUT_S = 30.0


class SQLDocuments:
    """Opening blocks until the tables are there; nothing else does. See `Documents`."""

    def __init__(self, url: str) -> None:
        """Open the store at `url`, or make it.

        Raises:
            StoreError: it cannot be opened; the message says what to do.
        """
        self._database = SQLDatabase(
            # Losing the last minute to a power failure costs nothing that an fsync is worth.
            parse_url(url),
            busy_timeout_s=_BUSY_TIMEOUT_S,
            synchronous="NORMAL",
        )
        self._writer = GroupedWriter(self._database, name="agentrt-gateway-state")

    async def load(self) -> dict[str, str]:
        return await self._writer.call(lambda: self._database.read(_load))

    async def save(self, documents: Mapping[str, str]) -> None:
        kept = dict(documents)
        await self._writer.call(lambda: self._database.write(lambda c: _save(c, kept)))

    async def aclose(self) -> None:
        await self._writer.aclose()


def _load(connection: sa.Connection) -> dict[str, str]:
    rows = connection.execute(sa.select(gateway_state.c.name, gateway_state.c.document))
    return {row.name: row.document for row in rows}


def _save(connection: sa.Connection, documents: Mapping[str, str]) -> None:
    if not documents:
        return
    connection.execute(gateway_state.delete().where(gateway_state.c.name.in_(documents)))
    saved_at = time.time()  # noqa: TID251  for people who look
    connection.execute(
        gateway_state.insert(),
        [
            {"name": name, "document": document, "saved_at": saved_at}
            for name, document in documents.items()
        ],
    )
