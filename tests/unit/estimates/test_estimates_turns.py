"""Turns and service that are left."""

from __future__ import annotations

import json
import math
import random

import pytest

from agentrt.errors import StoreError
from agentrt.estimates.service import ServiceEstimates
from agentrt.estimates.turns import BIN_STARTS, TurnEstimates


def programs(estimates: TurnEstimates, workflow: str, turns: list[int]) -> TurnEstimates:
    for last in turns:
        for turn in range(1, last + 1):
            estimates.observe(workflow, turn, is_last=turn == last)
    return estimates


@pytest.fixture(scope="module")
def geometric() -> TurnEstimates:
    """Each turn is the last with chance 0.1."""
    rng = random.Random(1)
    lengths = [1 + int(math.log(1 - rng.random()) / math.log(0.9)) for _ in range(20_000)]
    return programs(TurnEstimates(), "w", lengths)


def test_memoryless_programs_have_as_many_turns_left_at_any_turn(geometric: TurnEstimates) -> None:
    for turn in (1, 5, 20):
        assert geometric.goes_on("w", turn) == pytest.approx(0.9, abs=0.015)
        assert geometric.left("w", turn) == pytest.approx(9.0, rel=0.1)
        assert geometric.left_within("w", turn, 6) == pytest.approx(1 - 0.9**7, abs=0.03)
        assert geometric.left_quantile("w", turn, 0.5) == pytest.approx(6, abs=1)
        assert geometric.gittins("w", turn) == pytest.approx(0.1, rel=0.2)


def test_a_fixed_number_of_turns_is_learned() -> None:
    estimates = programs(TurnEstimates(), "w", [7] * 500)
    assert [round(estimates.left("w", turn)) for turn in range(1, 8)] == [6, 5, 4, 3, 2, 1, 0]
    assert [estimates.left_quantile("w", turn, 0.5) for turn in range(1, 8)] == [
        6,
        5,
        4,
        3,
        2,
        1,
        0,
    ]
    assert estimates.gittins("w", 7) == pytest.approx(1.0, rel=0.02)
    assert estimates.gittins("w", 1) == pytest.approx(1 / 7, rel=0.05)


def test_programs_that_still_live_count() -> None:
    finished_only, all_of_them = TurnEstimates(), TurnEstimates()
    programs(finished_only, "w", [2] * 20)
    programs(all_of_them, "w", [2] * 20)
    for _ in range(80):
        for turn in range(1, 11):
            all_of_them.observe("w", turn, is_last=False)
    assert finished_only.left("w", 1) < 3.0
    assert all_of_them.left("w", 1) > 8.0


def test_programs_that_have_become_longer_are_followed() -> None:
    estimates = programs(TurnEstimates(), "w", [2] * 50_000)
    programs(estimates, "w", [8] * 20_000)
    assert estimates.left("w", 1) == pytest.approx(7.0, rel=0.15)


def test_a_workflow_not_seen_is_expected_to_be_as_all_are(geometric: TurnEstimates) -> None:
    assert geometric.left("new", 3) == pytest.approx(geometric.left("w", 3), rel=0.05)


def test_the_parts_agree_at_every_turn() -> None:
    estimates = programs(TurnEstimates(), "w", [3, 20, 20, 45, 300, 5_000])
    for turn in (1, 2, 14, 15, 16, 17, 30, 100, 5_000, 10**6):
        on, left = estimates.goes_on("w", turn), estimates.left("w", turn)
        assert 0.0 < on < 1.0
        assert left == pytest.approx(on * (1 + estimates.left("w", turn + 1)), rel=1e-6)
        assert estimates.left_within("w", turn, 0) == pytest.approx(1 - on)
        for q in (0.0, 0.3, 0.5, 0.9):
            more = estimates.left_quantile("w", turn, q)
            assert estimates.left_within("w", turn, more) >= q - 1e-9
            assert more == 0 or estimates.left_within("w", turn, more - 1) < q + 1e-9


@pytest.mark.parametrize("turn", [-3, 0])
def test_an_impossible_turn_is_taken_as_the_first(turn: int, geometric: TurnEstimates) -> None:
    assert geometric.goes_on("w", turn) == geometric.goes_on("w", 1)
    assert geometric.left("w", turn) == geometric.left("w", 1)
    assert geometric.left_quantile("w", turn, 0.5) == geometric.left_quantile("w", 1, 0.5)


def test_however_many_workflows_come_so_many_are_kept() -> None:
    estimates = TurnEstimates(capacity=10)
    for index in range(1_000):
        estimates.observe(f"workflow {index}", 1, is_last=False)
    assert len(estimates.to_json()["workflows"]) == 10
    assert estimates.goes_on("gone", 1) > 0.99


def test_stored_and_merged_turns_expect_the_same() -> None:
    one = programs(TurnEstimates(), "a", [4, 9, 20])
    other = programs(TurnEstimates(), "b", [2, 30])
    again = TurnEstimates()
    again.load(json.loads(json.dumps(one.to_json())))
    again.merge(other)
    whole = programs(programs(TurnEstimates(), "a", [4, 9, 20]), "b", [2, 30])
    for workflow in ("a", "b", "new"):
        assert again.left(workflow, 3) == pytest.approx(whole.left(workflow, 3))


@pytest.mark.parametrize(
    "damaged",
    [
        {"all": {"reached": [], "ended": []}, "workflows": []},
        {
            "all": {"reached": [0.0] * len(BIN_STARTS), "ended": [1.0] * len(BIN_STARTS)},
            "workflows": [],
        },
        {"all": None, "workflows": []},
        [],
    ],
)
def test_damaged_turns_are_refused(damaged: object) -> None:
    with pytest.raises(StoreError):
        TurnEstimates().load(damaged)


def test_the_service_of_a_workflow_is_learned_and_ranks_programs() -> None:
    service = ServiceEstimates()
    for _ in range(200):
        service.observe("short", 1_000.0)
        service.observe("long", 100_000.0)
    assert service.total("short").quantile(0.5) == pytest.approx(1_000, rel=0.1)
    assert service.gittins("short", 0.0) > 20 * service.gittins("long", 0.0)
    assert service.gittins("long", 90_000.0) > service.gittins("long", 0.0)
    assert service.total("long").remaining_quantile(0.5, 60_000) == pytest.approx(40_000, rel=0.1)
    again = ServiceEstimates()
    again.load(service.to_json())
    assert again.gittins("long", 500.0) == pytest.approx(service.gittins("long", 500.0))
