"""What a gateway remembers over a restart, and that it can do without."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agentrt.clock import SystemClock
from agentrt.errors import StoreError
from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.gateway.memory import Memory, Part, estimates_part
from agentrt.ir.schema import Json
from agentrt.store.documents import Documents, MemoryDocuments
from agentrt.store.open import open_documents


def learned() -> Estimates:
    estimates = Estimates()
    for seconds in (1.0, 2.0, 3.0):
        estimates.observe_next_call("w", 1, [(ToolUse("bash", "pytest"), 0.5)], seconds)
    return estimates


def memory(documents: Documents, **parts: Part) -> Memory:
    return Memory(documents, parts, clock=SystemClock())


async def test_estimates_are_the_same_after_a_restart(tmp_path: Path) -> None:
    documents = open_documents(str(tmp_path / "runs.db"))
    estimates = learned()
    assert await memory(documents, estimates=estimates_part(estimates)).save()
    await documents.aclose()

    documents = open_documents(str(tmp_path / "runs.db"))
    again = Estimates()
    await memory(documents, estimates=estimates_part(again)).restore()
    await documents.aclose()
    assert again.to_json() == estimates.to_json()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 99}', "null", '"' + "x" * 10_000])
async def test_what_is_damaged_is_lost_alone_and_told(
    damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    documents = MemoryDocuments()
    await documents.save({"estimates": damage, "other": '{"a": 1}'})
    estimates, other = Estimates(), list[Json]()
    kept = memory(
        documents, estimates=estimates_part(estimates), other=Part(lambda: None, other.append)
    )
    with caplog.at_level(logging.WARNING):
        await kept.restore()
    assert estimates.to_json() == Estimates().to_json()
    assert other == [{"a": 1}]
    assert [record.getMessage()[:56] for record in caplog.records] == [
        "what was learned is lost: estimates cannot be read: "
        + caplog.records[0].getMessage()[52:56]
    ]


class Broken:
    """A store whose disk is gone."""

    async def load(self) -> dict[str, str]:
        raise StoreError("the disk is gone")

    async def save(self, documents: Mapping[str, str]) -> None:
        raise StoreError("the disk is gone")

    async def aclose(self) -> None:
        return


async def test_a_store_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    kept = memory(Broken(), estimates=estimates_part(Estimates()))
    with caplog.at_level(logging.WARNING):
        await kept.restore()
        assert not await kept.save()
    assert len(caplog.records) == 2


async def test_a_part_that_cannot_be_taken_or_written_costs_no_other_part_anything(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> Json:
        raise RuntimeError("changed while it was read")

    documents = MemoryDocuments()
    await documents.save({"odd": "1", "torn": "2"})
    odd: Any = {1, 2}
    parts = {"odd": Part(lambda: odd, print), "torn": Part(broken, print)}
    kept = memory(documents, **parts, sound=Part(lambda: 3, print))
    with caplog.at_level(logging.ERROR):
        assert not await kept.save()
    assert await documents.load() == {"odd": "1", "torn": "2", "sound": "3"}
    assert sorted(record.getMessage() for record in caplog.records) == [
        "what was learned is not kept: odd has no JSON form",
        "what was learned is not kept: torn cannot be taken",
    ]


async def test_it_is_saved_again_and_again() -> None:
    documents, enough = MemoryDocuments(), asyncio.Event()
    taken = count(1)

    def take() -> Json:
        number = next(taken)
        if number == 3:
            enough.set()
        return number

    saving = asyncio.create_task(memory(documents, n=Part(take, print)).keep_saving(0.001))
    await enough.wait()
    saving.cancel()
    await asyncio.wait([saving])
    assert int((await documents.load())["n"]) >= 2
