"""The benchmark of a scheduler that is told wrong runs, and says what it should."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks import cache_told


def test_every_row_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    cache_told.main(["--seeds", "1", "--programs", "3"])
    table, _, last = capsys.readouterr().out.rstrip().rpartition("\n")
    rows = json.loads(last)["rows"]
    told = [(kind, times) for kind in cache_told.KINDS for times in cache_told.TOLD]
    assert [(row["kind"], row["told"]) for row in rows] == told
    assert table.count("\n") == 1 + len(rows)
