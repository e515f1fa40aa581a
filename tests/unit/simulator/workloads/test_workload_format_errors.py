"""What the reader of the workload format says of files that are not in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentrt.errors import InputError
from agentrt.ir.prefix import Run
from agentrt.ir.workload import CallStep, ProgramTrace, ToolStep, Workload
from agentrt.simulator import workloads

WORKLOAD = Workload(
    name="two",
    block_tokens=16,
    modelled=("All of it.",),
    programs=(
        ProgramTrace(
            program_id="a",
            workflow="swe",
            tenant="t",
            arrival_s=0.5,
            deadline_s=60.0,
            steps=(
                CallStep(
                    after=(),
                    prompt=(Run(0, 2),),
                    prompt_tokens=40,
                    completion_tokens=10,
                    context=(Run(0, 3),),
                ),
                ToolStep(after=(0,), tool="bash", duration_s=1.5, argument_class="ls"),
            ),
        ),
        ProgramTrace(program_id="b", steps=()),
    ),
)


def _lines() -> list[Any]:
    return [json.loads(line) for line in workloads.write(WORKLOAD)]


def _refusal(lines: list[Any]) -> str:
    with pytest.raises(InputError) as caught:
        workloads.read(map(json.dumps, lines))
    return str(caught.value)


def test_the_form_on_disk_is_this() -> None:
    assert list(workloads.write(WORKLOAD)) == [
        '{"agentrt_workload":1,"name":"two","block_tokens":16,"programs":2,'
        '"modelled":["All of it."]}\n',
        '{"id":"a","workflow":"swe","tenant":"t","arrival_s":0.5,"deadline_s":60.0,"steps":['
        '{"kind":"call","after":[],"prompt":[[0,2]],"prompt_tokens":40,"completion_tokens":10,'
        '"context":[[0,3]]},'
        '{"kind":"tool","after":[0],"tool":"bash","duration_s":1.5,"argument_class":"ls"}]}\n',
        '{"id":"b","steps":[]}\n',
    ]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((0, "agentrt_workload"), 2, "line 1: agentrt_workload: expected version 1, got 2"),
        ((0, "block_tokens"), 0, "line 1: block_tokens: expected a whole number from 1"),
        ((0, "block_tokens"), True, "line 1: block_tokens: expected a whole number from 1"),
        ((0, "programs"), 3, "line 1: programs: expected 2, as many as follow, got 3"),
        ((0, "modelled"), ["x", 1], "line 1: modelled[1]: expected a text, got 1"),
        ((1, "id"), None, "line 2: id: expected a text, got nothing"),
        ((2, "id"), "a", "line 3: id: expected an id not used before, got 'a'"),
        ((1, "arrival_s"), -1, "line 2: arrival_s: expected seconds, not negative, got -1.0"),
        (
            (1, "arrival_s"),
            10**400,
            "line 2: arrival_s: expected a finite number, got a number out",
        ),
        ((1, "steps"), {}, "line 2: steps: expected a list, got an object"),
        ((1, "steps", 1, "kind"), "wait", "line 2, steps[1]: kind: expected 'call' or 'tool'"),
        ((1, "steps", 1, "after"), [1], "line 2, steps[1]: after: expected steps before this one"),
        (
            (1, "steps", 0, "prompt"),
            [[0, 3]],
            "line 2, steps[0]: prompt: expected at most 2 blocks",
        ),
        (
            (1, "steps", 0, "prompt"),
            [[0, 1], [1, 1]],
            "line 2, steps[0]: prompt: expected runs of at least one block that do not continue",
        ),
        (
            (1, "steps", 0, "context"),
            [[1, 2]],
            "line 2, steps[0]: context: expected blocks that begin with the prompt's",
        ),
        (
            (1, "steps", 0, "context"),
            [[0, 4]],
            "line 2, steps[0]: context: expected at most 3 blocks, got 4",
        ),
        (
            (1, "steps", 0, "prompt_tokens"),
            10**9,
            "line 2, steps[0]: prompt_tokens: expected a whole number from 0 to 100000000",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_line(
    path: tuple[Any, ...], value: Any, message: str
) -> None:
    lines = _lines()
    at: Any = lines
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value

    assert _refusal(lines).startswith(message)


def test_a_file_cut_short_is_noticed() -> None:
    assert _refusal(_lines()[:-1]) == ("line 1: programs: expected 1, as many as follow, got 2")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON: "),
        ("[" * 100_000, "line 1: not JSON: "),
        ("9" * 5_000, "line 1: not JSON: "),
        ("[]", "line 1: expected an object, got a list"),
        ('{"agentrt_workload": NaN}', "line 1: agentrt_workload: expected version 1, got a number"),
    ],
)
def test_a_line_that_is_no_record_is_told(line: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        workloads.read([line])

    assert str(caught.value).startswith(message)
