"""Any JSON value and any text come back from every store; all stores keep the same."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrt.ir.request import Usage
from agentrt.ir.schema import Json
from agentrt.store import (
    AttemptRecord,
    EventRecord,
    MemoryStore,
    NodeRecord,
    Record,
    RunRecord,
    RunStore,
    open_store,
)
from agentrt.store.codec import decode_json, decode_text, encode_json, encode_text

# Surrogates included: a file name that is not UTF-8 holds them.
any_text = st.text(st.characters(codec=None, categories=None), max_size=20)
any_json: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**300), max_value=10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(["a", "b", '"c', "d'", "\0"])
finite = st.floats(allow_nan=False, allow_infinity=False)
usages = st.builds(Usage, *[st.integers(0, 2**40)] * 3)

few_examples = settings(
    max_examples=60,
    # The stores are made once: each example has run ids of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
run_numbers = itertools.count()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunStore]:
    match request.param:
        case "memory":
            url = "memory:"
        case "sqlite":
            url = str(tmp_path_factory.mktemp("store") / "runs.db")
        case _:
            url = request.getfixturevalue("postgres_url")
    store = open_store(url)
    yield store
    asyncio.run(store.aclose())


def same(one: Json, other: Json) -> bool:
    """Equal, and of equal types: 1, 1.0 and True are told apart, 0.0 and -0.0 too."""
    return repr(one) == repr(other)


@given(any_json)
def test_any_json_survives_the_codec_as_text_that_every_database_takes(value: Json) -> None:
    text = encode_json(value, what="It")
    text.encode()
    assert "\0" not in text
    assert same(decode_json(text), value)


@given(any_text)
def test_any_text_survives_the_codec_as_text_that_every_database_takes(text: str) -> None:
    kept = encode_text(text)
    kept.encode()
    assert "\0" not in kept
    assert decode_text(kept) == text


@given(value=any_json, text=any_text)
@few_examples
def test_any_value_and_text_come_back(store: RunStore, value: Json, text: str) -> None:
    run_id = f"run-{next(run_numbers)}"
    run = RunRecord(
        run_id=run_id,
        workflow=text,
        target=text,
        graph_hash=text,
        graph=value,
        input=value,
        status="finished",
        output=value,
        error=text,
        created_at=1.0,
    )
    node = NodeRecord(run_id=run_id, node_id=text, kind="tool", status="finished", value=value)
    event = EventRecord(run_id=run_id, seq=1, kind=text, at_s=0.0, node_id=text, body=value)

    async def main() -> None:
        for record in (run, node, event):
            store.write(record)
        await store.flushed()
        stored = await store.load(run_id)
        assert (stored.run, stored.nodes, stored.events) == (run, (node,), (event,))
        kept = (stored.run.graph, stored.run.input, stored.run.output, stored.nodes[0].value)
        assert same(kept, (value,) * 4)

    asyncio.run(main())


def records(run_id: str) -> st.SearchStrategy[Record]:
    node = st.builds(
        NodeRecord,
        run_id=st.just(run_id),
        node_id=names,
        kind=st.sampled_from(["llm", "tool", "agent"]),
        status=st.sampled_from(["started", "finished", "failed", "skipped"]),
        value=any_json,
        usage=usages,
        attempts=st.integers(0, 9),
        started_s=finite,
        finished_s=st.none() | finite,
    )
    attempt = st.builds(
        AttemptRecord,
        run_id=st.just(run_id),
        node_id=names,
        attempt=st.integers(1, 2),
        status=st.sampled_from(["finished", "failed"]),
        error=st.none() | any_text,
        model=any_text,
        usage=usages,
        ttft_s=st.none() | finite,
        started_s=st.sampled_from([0.0, 1.5]),
        finished_s=finite,
        detail=any_json,
    )
    event = st.builds(
        EventRecord,
        run_id=st.just(run_id),
        seq=st.integers(0, 3),
        kind=any_text,
        at_s=finite,
        node_id=st.none() | names,
        body=any_json,
    )
    return node | attempt | event


@given(data=st.data())
@few_examples
def test_every_store_keeps_what_the_plain_one_in_memory_keeps(
    store: RunStore, data: st.DataObject
) -> None:
    run_id = f"run-{next(run_numbers)}"
    groups = data.draw(st.lists(st.lists(records(run_id), max_size=6), max_size=4))

    async def main() -> None:
        plain = MemoryStore()
        run = RunRecord(
            run_id=run_id, workflow=run_id, graph_hash="", graph={}, input={}, created_at=1.0
        )
        for each in (plain, store):
            each.write(run)
            for group in groups:
                for record in group:
                    each.write(record)
                await each.flushed()
        assert await store.load(run_id) == await plain.load(run_id)
        assert await store.list_runs(workflow=run_id) == await plain.list_runs()

    asyncio.run(main())
