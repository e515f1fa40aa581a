"""Properties of the workload format: what is written is read back, and garbage is told apart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.errors import InputError
from agentrt.ir.prefix import Chain, Run, block_count, chained
from agentrt.ir.workload import CallStep, ProgramTrace, Step, ToolStep, Workload
from agentrt.simulator import workloads

_NAMES = st.text(max_size=8)
_SECONDS = st.floats(0, 1e9) | st.integers(0, 100).map(float)
_RUNS = st.builds(Run, st.integers(0, 2**40), st.integers(1, 50))
_CHAINS = st.lists(_RUNS, max_size=3).map(chained)


@st.composite
def _call(draw: st.DrawFn, after: tuple[int, ...], block_tokens: int) -> CallStep:
    prompt = draw(_CHAINS)
    context: Chain = chained((*prompt, *draw(st.lists(_RUNS, max_size=2))))
    prompt_tokens = block_count(prompt) * block_tokens + draw(st.integers(0, block_tokens - 1))
    missing = max(0, block_count(context) * block_tokens - prompt_tokens)
    return CallStep(
        after=after,
        prompt=prompt,
        prompt_tokens=prompt_tokens,
        completion_tokens=missing + draw(st.integers(0, 10)),
        context=context,
        gap_s=draw(_SECONDS),
    )


@st.composite
def _steps(draw: st.DrawFn, block_tokens: int) -> tuple[Step, ...]:
    steps: list[Step] = []
    for at in range(draw(st.integers(0, 5))):
        after = tuple(draw(st.sets(st.integers(0, at - 1), max_size=2))) if at else ()
        if draw(st.booleans()):
            steps.append(draw(_call(after, block_tokens)))
        else:
            steps.append(
                ToolStep(
                    after=after,
                    tool=draw(_NAMES),
                    duration_s=draw(_SECONDS),
                    argument_class=draw(_NAMES),
                )
            )
    return tuple(steps)


@st.composite
def _workloads(draw: st.DrawFn) -> Workload:
    block_tokens = draw(st.integers(1, 512))
    ids = draw(st.lists(_NAMES, unique=True, max_size=4))
    return Workload(
        name=draw(_NAMES),
        block_tokens=block_tokens,
        programs=tuple(
            ProgramTrace(
                program_id=program_id,
                workflow=draw(_NAMES),
                tenant=draw(_NAMES),
                arrival_s=draw(st.none() | _SECONDS),
                deadline_s=draw(st.none() | _SECONDS),
                steps=draw(_steps(block_tokens)),
            )
            for program_id in ids
        ),
        modelled=tuple(draw(st.lists(_NAMES, max_size=2))),
    )


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["call", "tool", 2**53, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(_workloads())
def test_a_workload_is_read_back_as_it_was_written(workload: Workload) -> None:
    assert workloads.read(workloads.write(workload)) == workload


@given(_workloads())
def test_what_was_read_is_written_as_it_was(workload: Workload) -> None:
    lines = list(workloads.write(workload))

    assert list(workloads.write(workloads.read(lines))) == lines


@given(st.lists(st.text() | _JSON.map(json.dumps), max_size=4))
def test_garbage_is_an_input_error_that_names_a_line(lines: list[str]) -> None:
    with pytest.raises(InputError, match=r"^line \d"):
        workloads.read(lines)


@given(_workloads(), st.data())
def test_a_spoilt_field_is_refused_by_line_or_makes_another_workload(
    workload: Workload, data: st.DataObject
) -> None:
    lines = [json.loads(line) for line in workloads.write(workload)]
    line = data.draw(st.sampled_from(lines))
    _spoil(line, data)
    read = _read_or_refused(map(json.dumps, lines))
    if isinstance(read, Workload):
        assert workloads.read(workloads.write(read)) == read
    else:
        assert read.startswith("line ")


def _read_or_refused(lines: Iterable[str]) -> Workload | str:
    try:
        return workloads.read(lines)
    except InputError as error:
        return str(error)


def _spoil(value: Any, data: st.DataObject) -> None:
    """Put any JSON in the place of something inside `value`."""
    key = data.draw(
        st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value)))
    )
    inner = value[key]
    if isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
        _spoil(inner, data)
    else:
        value[key] = data.draw(_JSON)
