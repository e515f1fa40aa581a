"""What `agentrt simulate` understands of its words, and what it says to those it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentrt.cli.failure import UsageError
from agentrt.cli.simulate_words import SimulateWords, contenders, default_load, loads, setup
from agentrt.errors import InputError
from agentrt.scheduler.policies import BY_NAME, named, parameters
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.policies.unmanaged import Unmanaged
from agentrt.simulator.comparison_bench import Setup
from agentrt.simulator.engine_file import engine_json
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.loads import AsRecorded, Oversubscription
from agentrt.simulator.workloads import Bursty, ClosedLoop, Poisson


def words(**given: Any) -> SimulateWords:
    return SimulateWords(workload="made:swe", **given)


def test_policies_are_named_with_their_parameters() -> None:
    assert isinstance(named("fcfs"), Unmanaged)
    assert named("occupancy") == ByOccupancy()
    assert named("occupancy:headroom=0.2, hold_limit_s=5") == ByOccupancy(
        headroom=0.2, hold_limit_s=5.0
    )
    cap = named("cap-12")
    assert isinstance(cap, FixedCap)
    assert (cap.cap, cap.name) == (12, "cap-12")


def test_parameters_are_the_numbers_a_policy_is_made_from() -> None:
    assert parameters("fcfs") == {}
    assert parameters("occupancy")["headroom"] is float
    assert "name" not in parameters("occupancy")
    assert parameters("thunderagent")["program_tokens"] is int


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are: " + ", ".join([*BY_NAME, "cap-N"])),
        ("lifo", "no policy 'lifo'"),
        ("cap", "no policy 'cap'"),
        ("cap-", "expected cap-N"),
        ("cap-0", "expected cap-N"),
        ("cap--3", "expected cap-N"),
        ("cap-٣", "expected cap-N"),
        ("cap-99999999999", "expected cap-N"),
        ("cap-3:size=2", "takes no parameters"),
        ("fcfs:headroom=1", "no parameter 'headroom'; it has none"),
        ("plas", "needs parameters; it has: cap, queues"),
        ("plas:cap=0", "policy 'plas:cap=0': "),
        ("occupancy:", "it has: headroom"),
        ("occupancy:name=x", "no parameter 'name'"),
        ("occupancy:headroom", "expected a number that is not negative, got ''"),
        ("occupancy:headroom=much", "got 'much'"),
        ("occupancy:headroom=nan", "got 'nan'"),
        ("occupancy:headroom=-0.1", "got '-0.1'"),
        ("occupancy:headroom=1,headroom=2", "given twice"),
        ("thunderagent:program_tokens=1.5", "expected a whole number"),
    ],
)
def test_a_policy_that_cannot_be_says_which_can(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        named(text)


def test_a_list_of_policies_keeps_parameters_with_theirs() -> None:
    found = contenders(words(compare="fcfs, occupancy:headroom=0.2,hold_limit_s=5, best-cap,cap-3"))
    labels = [contender.label for contender in found]
    assert labels == ["fcfs", "occupancy:headroom=0.2,hold_limit_s=5", "best-cap", "cap-3"]
    assert found[1].make is not None
    assert found[1].make() == ByOccupancy(headroom=0.2, hold_limit_s=5.0)
    assert found[2].make is None


def test_without_a_policy_it_is_by_occupancy() -> None:
    assert [contender.label for contender in contenders(words())] == ["occupancy"]


@pytest.mark.parametrize(
    "given",
    [
        {"policy": "fcfs", "compare": "fcfs"},
        {"compare": "fcfs,fcfs"},
        {"compare": ""},
        {"compare": "fcfs,"},
        {"compare": "best-cap:most=3"},
        {"policy": "best-cup"},
    ],
)
def test_policies_that_cannot_be_compared_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        contenders(words(**given))


def test_loads() -> None:
    assert loads(words()) is None
    assert loads(words(rate=0.5)) == [Poisson(0.5)]
    assert loads(words(at_once=7)) == [ClosedLoop(7)]
    assert loads(words(oversubscription="2,0.5,2")) == [
        Oversubscription(2.0),
        Oversubscription(0.5),
    ]
    assert loads(words(oversubscription="2", arrivals="poisson")) == [
        Oversubscription(2.0, "poisson")
    ]
    assert loads(words(oversubscription="2", arrivals="closed")) == [Oversubscription(2.0)]
    assert loads(words(rate=0.5, arrivals="poisson")) == [Poisson(0.5)]
    assert loads(words(rate=0.5, arrivals="bursty")) == [Bursty(0.5, 4.0)]


@pytest.mark.parametrize(
    "given",
    [
        {"rate": 0.0},
        {"rate": -1.0},
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"rate": 5e-324},
        {"oversubscription": "0"},
        {"oversubscription": ""},
        {"oversubscription": "1,,2"},
        {"oversubscription": "1e400"},
        {"rate": 1.0, "at_once": 2},
        {"rate": 0.0, "oversubscription": "1"},
        {"rate": 1.0, "arrivals": "closed"},
        {"arrivals": "poisson"},
        {"at_once": 3, "arrivals": "bursty"},
    ],
)
def test_a_load_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        loads(words(**given))


def test_what_arrives_at_recorded_times_keeps_them() -> None:
    assert default_load([0.0, 1.5]) == AsRecorded()
    assert default_load([0.0, None]) == Oversubscription(1.0)


def test_an_engine_that_is_not_there_names_those_that_are() -> None:
    expected = Setup(model=PRESETS["llama-3-8b-h100"], kv_blocks=100, replicas=3)
    assert setup(words(engine="llama-3-8b-h100", kv_blocks=100, replicas=3)) == expected
    with pytest.raises(UsageError) as raised:
        setup(words(engine="abacus"))
    assert "llama-3-8b-a100" in raised.value.hint


def test_tenants_and_deadlines_are_numbers_by_name() -> None:
    found = setup(words(tenants="a=1, b=9.5", deadline="a=1.5", held_blocks=7))
    assert (found.tenants, found.deadlines) == ({"a": 1.0, "b": 9.5}, {"a": 1.5})
    assert found.held_blocks == 7
    assert setup(words(deadline="2")).deadlines == {"*": 2.0}
    assert setup(words()).tenants == setup(words()).deadlines == {}


@pytest.mark.parametrize(
    "given",
    [
        {"tenants": ""},
        {"tenants": "a"},
        {"tenants": "a=1,a=2"},
        {"tenants": "=1"},
        {"tenants": "a=0"},
        {"tenants": "a=nan"},
        {"tenants": "a=1,"},
        {"deadline": ""},
        {"deadline": "soon"},
        {"deadline": "-1"},
        {"deadline": "a=inf"},
    ],
)
def test_tenants_and_deadlines_that_cannot_be_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        setup(words(**given))


def test_a_calibrated_engine_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "engine.json"
    file.write_text(json.dumps(engine_json(PRESETS["llama-3-8b-h100"])), encoding="utf-8")
    assert setup(words(engine=str(file))).model == PRESETS["llama-3-8b-h100"]


@pytest.mark.parametrize(
    ("contents", "message"),
    [(b"{}", "agentrt calibrate URL -o FILE"), (b"", "not JSON"), (b"\xff\xfe", "no engine")],
)
def test_a_file_that_is_no_engine_is_refused(tmp_path: Path, contents: bytes, message: str) -> None:
    file = tmp_path / "engine.json"
    file.write_bytes(contents)
    with pytest.raises(UsageError, match=message):
        setup(words(engine=str(file)))


@pytest.mark.parametrize("name", ["", ".", "a\0b", "x" * 5000])
def test_a_name_that_can_be_no_file_is_no_engine(name: str) -> None:
    with pytest.raises(UsageError, match="no engine"):
        setup(words(engine=name))
