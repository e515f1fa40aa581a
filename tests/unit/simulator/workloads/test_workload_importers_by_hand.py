"""Each importer on records small enough to work out by hand what must come of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest

from agentrt.errors import InputError
from agentrt.ir.prefix import Run, shared_blocks
from agentrt.ir.workload import CallStep, ProgramTrace, ToolStep, Workload
from agentrt.simulator import workloads
from tests.unit.simulator.workloads.recorded_samples import AZURE, MOONCAKE, SAMPLES, WEKA


def _read(name: str, records: Iterable[dict[str, Any]] | None = None) -> Workload:
    return workloads.read_as(name, map(json.dumps, SAMPLES[name] if records is None else records))


def _calls(program: ProgramTrace) -> list[CallStep]:
    return [step for step in program.steps if isinstance(step, CallStep)]


def _tools(program: ProgramTrace) -> list[ToolStep]:
    return [step for step in program.steps if isinstance(step, ToolStep)]


def test_weka_runs_sub_agents_beside_their_parent_which_waits_for_those_that_end_before_it() -> (
    None
):
    first, second = _read("weka").programs

    assert first == ProgramTrace(
        program_id="trace_1",
        workflow="claude_code",
        steps=(
            CallStep(
                after=(),
                prompt=(Run(1, 3),),
                prompt_tokens=200,
                completion_tokens=70,
                context=(Run(1, 4),),
            ),
            # Started at 20 - 14 s, a second after its parent's answer.
            CallStep(
                after=(0,),
                prompt=(Run(8, 2),),
                prompt_tokens=130,
                completion_tokens=10,
                context=(Run(8, 2),),
                gap_s=1.0,
            ),
            ToolStep(after=(1,), tool="tool", duration_s=3.0),
            CallStep(
                after=(2,),
                prompt=(Run(8, 3),),
                prompt_tokens=200,
                completion_tokens=20,
                context=(Run(8, 3),),
            ),
            # The sub-agent's last answer came at 6 + 7 + 4 s, this request at 25 s.
            CallStep(
                after=(0, 3),
                prompt=(Run(1, 6),),
                prompt_tokens=400,
                completion_tokens=64,
                context=(Run(1, 7),),
                gap_s=8.0,
            ),
            ToolStep(after=(4,), tool="tool", duration_s=2.0),
            CallStep(
                after=(5,),
                prompt=(Run(1, 7),),
                prompt_tokens=500,
                completion_tokens=10,
                context=(Run(1, 7),),
            ),
            # A person's text, and a prompt that keeps one block.
            CallStep(
                after=(6,),
                prompt=(Run(1, 1), Run(20, 1)),
                prompt_tokens=128,
                completion_tokens=10,
                context=(Run(1, 1), Run(20, 1)),
                gap_s=60.0,
            ),
        ),
    )
    # Local id 1 is another block in another session.
    assert _calls(second)[0].prompt == (Run(22, 1),)


def test_weka_sub_agents_that_end_later_are_not_waited_for() -> None:
    session = json.loads(json.dumps(WEKA[0]))
    session["requests"][1] |= {"t": 30.0, "duration_ms": 24000}

    steps = _read("weka", [session]).programs[0].steps

    assert [step.after for step in steps] == [(), (0,), (1,), (2,), (0,), (4,), (5, 3), (6,)]


def test_weka_block_counts_must_fit_the_tokens() -> None:
    session = json.loads(json.dumps(WEKA[1]))
    session["requests"][0]["in"] = 64_000

    with pytest.raises(
        InputError, match=r"line 1, requests\[0\]: runs: expected 1000 blocks, got 1"
    ):
        _read("weka", [session])


def test_mooncake_joins_requests_that_begin_with_all_of_an_earlier_one() -> None:
    workload = _read("mooncake")

    assert [(p.program_id, p.arrival_s) for p in workload.programs] == [
        ("conversation-0", 0.0),
        ("conversation-1", 0.5),
    ]
    first, second = _calls(workload.programs[0])
    assert (first.prompt, first.context) == ((Run(0, 2),), (Run(0, 2),))
    assert second.prompt == (Run(0, 2), Run(4, 1))
    # 10 s after the first request, which took 0.5 s and 0.02 s for each of 100 tokens.
    assert (second.after, second.gap_s) == ((0,), 7.5)


def test_mooncake_does_not_take_a_common_system_prompt_for_a_conversation() -> None:
    # Only the first block is shared, and the second request did not bring it.
    short = {"timestamp": 0, "input_length": 512, "output_length": 1, "hash_ids": [0]}
    later = {"timestamp": 9000, "input_length": 2000, "output_length": 1, "hash_ids": [0, 7, 8, 9]}

    workload = _read("mooncake", [MOONCAKE[0], short, later])

    assert [len(program.steps) for program in workload.programs] == [1, 1, 1]


def test_mooncake_takes_one_next_turn_and_leaves_the_other_alone() -> None:
    again = MOONCAKE[2] | {"timestamp": 20000, "hash_ids": [0, 1, 6, 7]}

    workload = _read("mooncake", [*MOONCAKE, again])

    assert [len(program.steps) for program in workload.programs] == [2, 1, 1]


def test_miniswe_prompts_grow_by_what_the_shell_says_and_commands_have_classes() -> None:
    (program,) = _read("lmcache_miniswe").programs

    assert [step.after for step in program.steps] == [(), (0,), (1,)]
    assert [(tool.tool, tool.argument_class) for tool in _tools(program)] == [("bash", "pytest")]
    assert [call.prompt_tokens for call in _calls(program)] == [12, 21]


def test_miniswe_durations_depend_on_the_seed_and_on_nothing_else() -> None:
    lines = [json.dumps(record) for record in SAMPLES["lmcache_miniswe"]]
    by_seed = [workloads.read_as("lmcache_miniswe", lines, seed=seed) for seed in (1, 1, 2)]

    assert by_seed[0] == by_seed[1]
    assert by_seed[0].programs != by_seed[2].programs


def test_magagent_agents_take_turns_and_calls_without_a_prompt_are_left_out() -> None:
    (program,) = _read("lmcache_magagent").programs

    # 5 s after the first, whose answer of 200 tokens took 2; then at once.
    assert [(call.after, call.gap_s) for call in _calls(program)] == [
        ((), 0.0),
        ((0,), 3.0),
        ((1,), 0.0),
    ]


def test_tau_bench_calls_follow_tools_and_people() -> None:
    (program,) = _read("tau_bench").programs
    calls = _calls(program)

    assert [step.kind for step in program.steps] == ["call", "tool", "call", "call"]
    assert [step.after for step in program.steps] == [(), (0,), (1,), (2,)]
    assert [tool.tool for tool in _tools(program)] == ["find"]
    assert [call.gap_s > 0 for call in calls] == [False, False, True]
    assert all(
        shared_blocks(before.context, call.prompt) == sum(run.count for run in before.context)
        for before, call in itertools.pairwise(calls)
    )


def test_tau_bench_tools_called_at_once_run_beside_one_another() -> None:
    messages = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": "", "tool_calls": []},
        {"role": "tool", "name": "a", "content": "1"},
        {"role": "tool", "name": "b", "content": "2"},
        {"role": "assistant", "content": "Done."},
    ]

    (program,) = _read("tau_bench", [{"traj": messages}]).programs

    assert [step.after for step in program.steps] == [(), (0,), (0,), (1, 2)]


def test_swe_agent_takes_recorded_times_and_makes_up_the_rest() -> None:
    (program,) = _read("swe_agent").programs
    viewed, tested = _tools(program)

    assert viewed == ToolStep(
        after=(0,), tool="str_replace_editor", duration_s=0.25, argument_class="view"
    )
    assert (tested.tool, tested.argument_class) == ("bash", "pytest")
    assert 0 < tested.duration_s <= 3.2


def test_openhands_prompts_extend_one_another_and_share_the_system_prompt() -> None:
    first, second = _read("openhands").programs

    assert [step.after for step in first.steps] == [(), (0,), (1,), (2,)]
    assert _calls(first)[0].context == (Run(0, 7),)
    assert _calls(first)[1].prompt == (Run(0, 12),)
    # The second call came 6 s in: after the first action at 2 s, its 0.5 s and a latency of 3 s.
    assert _calls(first)[1].gap_s == 0.5
    assert _tools(first) == [
        ToolStep(after=(0,), tool="run", duration_s=0.5, argument_class="ls"),
        ToolStep(after=(2,), tool="finish", duration_s=0.0),
    ]
    assert shared_blocks(_calls(first)[0].prompt, _calls(second)[0].prompt) == 3


def test_azure_requests_are_programs_of_their_own() -> None:
    workload = workloads.read_as("azure", AZURE)

    assert [(p.arrival_s, _calls(p)) for p in workload.programs] == [
        (
            0.0,
            [
                CallStep(
                    after=(),
                    prompt=(Run(0, 3),),
                    prompt_tokens=48,
                    completion_tokens=10,
                    context=(Run(0, 3),),
                )
            ],
        ),
        (
            1.5,
            [
                CallStep(
                    after=(),
                    prompt=(),
                    prompt_tokens=8,
                    completion_tokens=40,
                    context=(Run(3, 3),),
                )
            ],
        ),
    ]


@pytest.mark.parametrize("name", workloads.FORMATS)
def test_an_empty_file_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="line 1: expected"):
        workloads.read_as(name, [])


@pytest.mark.parametrize("name", SAMPLES)
def test_every_importer_says_what_it_made_up(name: str) -> None:
    workload = _read(name)

    assert workload.modelled
    assert all(sentence.endswith(".") for sentence in workload.modelled)


def test_programs_of_one_name_are_told_apart() -> None:
    first, second = SAMPLES["openhands"]
    records = [first, first, first | {"instance_id": "i1#2"}, second]

    ids = [program.program_id for program in _read("openhands", records).programs]

    assert ids == ["i1", "i1#3", "i1#2", "i2"]


def test_a_tau_bench_role_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match=r"line 1, traj\[0\]: role: expected system, user"):
        _read("tau_bench", [{"traj": [{"role": "robot", "content": "x"}]}])


def test_weka_sessions_must_have_blocks_of_one_size() -> None:
    with pytest.raises(InputError, match="line 2: block_size: expected 64, as in the sessions"):
        _read("weka", [WEKA[0], WEKA[1] | {"block_size": 32}])


def test_weka_cannot_keep_more_blocks_than_there_were() -> None:
    session = json.loads(json.dumps(WEKA[0]))
    session["requests"][2]["keep"] = 4

    with pytest.raises(InputError, match=r"requests\[2\]: keep: expected at most 3 blocks, got 4"):
        _read("weka", [session])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2023-11-16 18:17:03,1", "line 2: expected 3 columns, got 2"),
        ("yesterday,1,1", "line 2: TIMESTAMP: Invalid isoformat string"),
        ("2023-11-16 18:17:03,1.5,1", "line 2: ContextTokens: expected a whole number, got '1.5'"),
        ("2023-11-16 18:17:03,0,1", "line 2: ContextTokens: expected a whole number from 1 to"),
        (
            "2023-11-16 18:17:03,1,999999999",
            "line 2: GeneratedTokens: expected a whole number from",
        ),
    ],
)
def test_a_wrong_row_of_azure_is_named(row: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        workloads.read_as("azure", [AZURE[0], row])

    assert str(caught.value).startswith(message)


def test_lmcache_turns_cannot_keep_more_than_the_prompt_before_had() -> None:
    turns = [{"ts_us": 0, "keep": 1, "tail": "x", "output": "", "in_tokens": 1, "out_tokens": 0}]

    with pytest.raises(InputError, match=r"turns\[0\]: keep: expected at most 0 characters, got 1"):
        _read("lmcache_miniswe", [{"session_id": "s", "turns": turns}])


def test_azure_requests_come_in_the_order_of_time() -> None:
    workload = workloads.read_as("azure", [AZURE[0], AZURE[2], AZURE[1]])

    assert [program.arrival_s for program in workload.programs] == [0.0, 1.5]


def test_openhands_prompts_that_became_shorter_keep_the_system_prompt_alone() -> None:
    run = json.loads(json.dumps(SAMPLES["openhands"][0]))
    run["token_usages"].append({"prompt_tokens": 120, "completion_tokens": 5})

    (program,) = _read("openhands", [run]).programs
    first, _, condensed = _calls(program)

    assert shared_blocks(first.prompt, condensed.prompt) == 3


def test_mooncake_next_turns_have_room_for_the_answer() -> None:
    short = MOONCAKE[2] | {"input_length": 1199, "hash_ids": [0, 1, 4]}

    workload = _read("mooncake", [MOONCAKE[0], short])

    assert [len(program.steps) for program in workload.programs] == [1, 1]
