"""A store whose disk is full in the middle of a run: the results are not lost with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from agentrt.store.open import open_store

ROOT = Path(__file__).parents[2]
SIZES = [20_000 * len(str(number)) for number in range(60)]


def run_with_little_room(store: Path, name: str) -> tuple[Any, str]:
    """What the script printed, and its stderr."""
    done = subprocess.run(  # noqa: S603  our own script
        [sys.executable, "-m", "tests.integration.crash.full_disk", str(store), name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


async def test_a_run_whose_store_fills_up_ends_with_its_result_and_says_so(tmp_path: Path) -> None:
    told, _ = run_with_little_room(tmp_path / "runs.db", "read")
    assert (told["status"], told["output"], told["error"]) == ("finished", SIZES, None)
    assert "cannot be used" in told["store_error"]
    assert 0 < len(told["reported"]) < 60
    # What was reported finished can be read by the next who opens the file.
    store = open_store(str(tmp_path / "runs.db"))
    kept = {node.node_id for node in (await store.load("r1")).nodes if node.status == "finished"}
    await store.aclose()
    assert set(told["reported"]) <= kept


def test_run_sync_returns_the_result_though_it_could_not_be_kept(tmp_path: Path) -> None:
    told, stderr = run_with_little_room(tmp_path / "runs.db", "sync")
    assert told == SIZES
    assert "is not kept whole" in stderr
    assert "could not be closed in order" in stderr


def test_calls_that_write_stop_when_they_can_no_longer_be_recorded(tmp_path: Path) -> None:
    told, _ = run_with_little_room(tmp_path / "runs.db", "publish")
    assert (told["status"], told["error"]) == ("failed", "StoreError")
    assert 0 < told["written"] < 60
