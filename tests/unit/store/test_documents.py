"""What a gateway keeps over a restart."""

from __future__ import annotations

import sqlalchemy as sa

from agentrt.store.open import open_documents, open_store
from agentrt.store.sql_documents import SQLDocuments
from agentrt.store.tables import SCHEMA_VERSION, gateway_state, schema_version


async def test_what_was_saved_last_is_there_again(url: str) -> None:
    documents = open_documents(url)
    assert await documents.load() == {}
    await documents.save({"a": "1", "b": '{"\\u0000": "\u00e4\\ud800"}'})
    await documents.save({"a": "2"})
    await documents.save({})
    assert await documents.load() == {"a": "2", "b": '{"\\u0000": "\u00e4\\ud800"}'}
    await documents.aclose()
    await documents.aclose()


async def test_it_outlives_the_process_and_shares_a_store_with_runs(durable_url: str) -> None:
    documents, runs = open_documents(durable_url), open_store(durable_url)
    await documents.save({"a": "1"})
    assert await runs.list_runs() == []
    await documents.aclose()
    await runs.aclose()
    again = open_documents(durable_url)
    assert await again.load() == {"a": "1"}
    await again.aclose()


async def test_a_store_of_the_version_before_is_brought_to_this_one(durable_url: str) -> None:
    made = SQLDocuments(durable_url)

    def back(connection: sa.Connection) -> None:
        gateway_state.drop(connection)
        connection.execute(schema_version.update().values(version=1))

    await made._writer.call(lambda: made._database.write(back))
    await made.aclose()
    runs, documents = open_store(durable_url), SQLDocuments(durable_url)
    await documents.save({"a": "1"})
    assert await documents.load() == {"a": "1"}
    assert await runs.list_runs() == []

    def version(connection: sa.Connection) -> object:
        return connection.execute(sa.select(schema_version.c.version)).scalar_one()

    assert await documents._writer.call(lambda: documents._database.read(version)) == SCHEMA_VERSION
    await documents.aclose()
    await runs.aclose()
