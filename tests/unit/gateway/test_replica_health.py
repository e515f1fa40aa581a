"""When a replica is taken for down, and when calls are kept away from it. No I/O."""

from __future__ import annotations

import pytest

from agentrt.backends.vital_signs import VitalSigns, read_metrics
from agentrt.errors import BackendTimeout, BackendUnavailable
from agentrt.gateway.circuit import Circuit
from agentrt.gateway.health import Health, Patience


def test_a_circuit_opens_for_longer_each_time_until_a_call_succeeds() -> None:
    circuit = Circuit(failures=2, first_s=1.0, longest_s=3.0)
    now, opened = 0.0, list[float]()
    for _ in range(4):
        while not circuit.failed(now):
            pass
        opened.append(circuit.open_s(now))
        now += circuit.open_s(now)
        assert not circuit.is_open(now)
        circuit.close()
    assert opened == [1.0, 2.0, 3.0, 3.0]
    circuit.succeeded()
    assert [circuit.failed(now), circuit.failed(now), circuit.open_s(now)] == [False, True, 1.0]


def test_once_it_was_open_one_failure_opens_it_again() -> None:
    circuit = Circuit(failures=3)
    assert [circuit.failed(0.0) for _ in range(3)] == [False, False, True]
    circuit.close()
    assert circuit.failed(1.0)


def test_calls_that_were_sent_before_it_opened_change_nothing() -> None:
    circuit = Circuit(failures=2)
    assert [circuit.failed(0.0), circuit.failed(0.0)] == [False, True]
    circuit.succeeded()
    assert not circuit.failed(0.5)
    assert circuit.open_s(0.5) == 0.5
    circuit.close()
    assert circuit.failed(2.0)


def test_successes_between_failures_keep_it_closed() -> None:
    circuit = Circuit(failures=2)
    for _ in range(10):
        assert not circuit.failed(0.0)
        circuit.succeeded()


def test_where_nobody_listens_one_question_is_enough() -> None:
    assert Health(Patience()).unwell(BackendUnavailable("refused"), 0.0)


@pytest.mark.parametrize(
    "error", [BackendTimeout("silent"), BackendUnavailable("not well", status=503)]
)
def test_other_bad_answers_have_to_come_twice_in_a_row(error: BackendUnavailable) -> None:
    health = Health(Patience(failures=2))
    assert not health.unwell(error, 0.0)
    assert health.well(VitalSigns())
    assert not health.unwell(error, 0.0)
    assert health.unwell(error, 0.0)


def test_silence_counts_for_nothing_while_answers_come() -> None:
    health = Health(Patience(failures=1))
    health.heard_at = 5.0
    assert not health.unwell(BackendTimeout("silent"), 4.0)
    assert health.unwell(BackendTimeout("silent"), 6.0)


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        (VitalSigns(started_at=1.0, tokens=9), VitalSigns(started_at=1.0, tokens=0), True),
        (VitalSigns(started_at=1.0), VitalSigns(started_at=2.0), False),
        (VitalSigns(started_at=2.0), VitalSigns(started_at=1.0), True),
        (VitalSigns(tokens=90), VitalSigns(tokens=8), False),
        (VitalSigns(tokens=90), VitalSigns(tokens=80), True),
        (VitalSigns(tokens=9), VitalSigns(tokens=9), True),
        (VitalSigns(tokens=9), VitalSigns(), True),
        (VitalSigns(models=frozenset("a")), VitalSigns(models=frozenset("ab")), False),
        (VitalSigns(models=frozenset("a")), VitalSigns(), True),
    ],
)
def test_another_process_and_other_models_are_noticed(
    before: VitalSigns, after: VitalSigns, is_same: bool
) -> None:
    health = Health(Patience())
    assert health.well(before)
    assert health.well(after) == is_same


def test_processes_that_take_turns_to_answer_are_new_only_once() -> None:
    health = Health(Patience())
    health.up(VitalSigns(started_at=1.0))
    told = [health.well(VitalSigns(started_at=at)) for at in (1.0, 2.0)]
    health.up(VitalSigns(started_at=1.0))
    told += [health.well(VitalSigns(started_at=at)) for at in (2.0, 1.0, 2.0)]
    assert told == [True, False, True, True, True]


def test_metrics_of_several_engines_are_added_up() -> None:
    page = """
# HELP vllm:num_requests_running Number of requests
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
vllm:prompt_tokens_total{engine="0",model_name="m"} 100.0
vllm:generation_tokens_total{engine="0",model_name="m"} 1e2
process_start_time_seconds 1.7e9
"""
    assert read_metrics(page) == VitalSigns(
        started_at=1.7e9, tokens=200.0, running=5, used_share=0.5
    )


@pytest.mark.parametrize(
    "page", ["", "vllm:num_requests_running", "vllm:num_requests_running{ NaN", "\x00" * 99]
)
def test_damaged_metrics_say_nothing(page: str) -> None:
    assert read_metrics(page) == VitalSigns()


@pytest.mark.parametrize("value", ["inf", "-1", "nan", "1e999", "x"])
def test_values_that_can_be_none_say_nothing(value: str) -> None:
    assert read_metrics(f"vllm:num_requests_running {value}") == VitalSigns()
