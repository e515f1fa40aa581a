"""Whatever a file holds, an importer gives a workload or an `InputError`, never anything else."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.errors import InputError
from agentrt.ir.prefix import block_count, shared_blocks
from agentrt.ir.workload import CallStep, Workload
from agentrt.simulator import workloads
from tests.unit.simulator.workloads.recorded_samples import SAMPLES

_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.integers(0, 100)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["", "n", "subagent", "user", "tool", 10**400, "x" * 400, "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
_NAMES = tuple(SAMPLES)


@pytest.mark.parametrize("name", workloads.FORMATS)
@given(lines=st.lists(st.text() | _JSON.map(json.dumps), max_size=4))
def test_any_lines_are_a_workload_or_an_input_error(name: str, lines: list[str]) -> None:
    _check(_read_or_refused(name, lines))


@pytest.mark.parametrize("name", _NAMES)
@settings(max_examples=100)
@given(data=st.data())
def test_a_spoilt_record_is_refused_or_read_soundly(name: str, data: st.DataObject) -> None:
    samples = copy.deepcopy(SAMPLES[name])
    _spoil(data.draw(st.sampled_from(samples)), data)
    _check(_read_or_refused(name, map(json.dumps, samples)))


@given(
    st.lists(
        st.sampled_from(
            ["TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:17:03.9799600,4808,10", '"']
        )
        | st.text(alphabet='0123456789-:. ,"\n\x00TZ+', max_size=30),
        max_size=4,
    )
)
def test_any_csv_is_a_workload_or_an_input_error(lines: list[str]) -> None:
    _check(_read_or_refused("azure", ["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]))


@given(st.text() | _JSON.map(json.dumps))
def test_any_first_line_is_recognised_or_refused(line: str) -> None:
    try:
        name, _ = workloads.format_of_lines([line])
    except InputError:
        return
    assert name in workloads.FORMATS


def _spoil(value: Any, data: st.DataObject) -> None:
    key = data.draw(
        st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value)))
    )
    inner = value[key]
    if isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
        _spoil(inner, data)
    elif isinstance(value, dict) and data.draw(st.booleans()):
        del value[key]
    else:
        value[key] = data.draw(_JSON)


def _read_or_refused(name: str, lines: Iterable[str]) -> Workload | str:
    try:
        return workloads.read_as(name, lines)
    except InputError as error:
        return str(error)


def _check(workload: Workload | str) -> None:
    """What every replay relies on; a refusal names the line."""
    if isinstance(workload, str):
        assert workload.startswith("line ")
        return
    assert workloads.read(workloads.write(workload)) == workload
    assert 0 <= workloads.summarise(workload).infinite_hit_ratio <= 1
    for program in workload.programs:
        for at, step in enumerate(program.steps):
            assert all(0 <= before < at for before in step.after)
            if isinstance(step, CallStep):
                assert step.gap_s >= 0
                assert block_count(step.prompt) * workload.block_tokens <= step.prompt_tokens
                assert shared_blocks(step.prompt, step.context) == block_count(step.prompt)
            else:
                assert step.duration_s >= 0
        arrivals = [p.arrival_s for p in workload.programs if p.arrival_s is not None]
        assert all(a >= 0 for a in arrivals)
        assert all(a <= b for a, b in pairwise(arrivals))
