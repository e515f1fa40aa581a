"""The importers on the recorded sets themselves, where they are: figures, and decodings done twice.

The files are parts of the sets that the published figures were measured on, hence the tolerances.
"""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrt.ir.prefix import Chain, block_count, shared_blocks
from agentrt.ir.workload import CallStep, ProgramTrace, ToolStep, Workload
from agentrt.simulator import workloads
from agentrt.simulator.workloads.summary import spread

_DATA = Path(
    os.environ.get("AGENTRT_DATA_DIR")
    or Path(__file__).resolve().parents[2].parent / "shared" / "data"
)
_FILES = {
    "weka": "claude_code_weka/traces.jsonl.gz",
    "lmcache_miniswe": "lmcache_agent_trace/miniswe.jsonl.gz",
    "lmcache_magagent": "lmcache_agent_trace/magagent.jsonl.gz",
    "mooncake": "mooncake_fast25/conversation_trace.jsonl.gz",
    "openhands": "openhands_multiswe/trajectories.jsonl.gz",
    "swe_agent": "swe_agent_trajs/trajectories.jsonl.gz",
    "tau_bench": "tau_bench_airline_gpt4o/trajectories.jsonl.gz",
    "azure_code": "azure_llm_2023/AzureLLMInferenceTrace_code.csv.gz",
    "azure_conv": "azure_llm_2023/AzureLLMInferenceTrace_conv.csv.gz",
}


def _lines(name: str) -> Iterator[str]:
    path = _DATA / _FILES[name]
    if not path.is_file():
        pytest.skip(f"the recorded set is not here: set AGENTRT_DATA_DIR ({_FILES[name]})")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from file


@functools.cache
def _workload(name: str) -> Workload:
    found, lines = workloads.format_of_lines(_lines(name))
    assert name.startswith(found)
    return workloads.read_as(found, lines)


def _records(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _lines(name)]


def _calls(program: ProgramTrace) -> list[CallStep]:
    return [step for step in program.steps if isinstance(step, CallStep)]


def _ids(chain: Chain) -> list[int]:
    return [run.first + at for run in chain for at in range(run.count)]


@pytest.mark.parametrize("name", _FILES)
def test_every_set_is_recognised_sound_and_comes_back_from_our_format(name: str) -> None:
    workload = _workload(name)

    # Reading checks blocks against tokens, contexts against prompts, and the order of steps.
    assert workloads.read(workloads.write(workload)) == workload


@pytest.mark.parametrize(
    ("name", "p50", "p90", "output_p50", "output_p90", "tolerance"),
    [
        ("weka", 101_000, 210_000, 217, 894, 0.15),
        ("lmcache_miniswe", 3_900, 12_300, 94, 177, 0.6),  # 8 of 20 programs, some of them long
        ("lmcache_magagent", 1_000, 9_000, 329, 476, 0.2),
        ("mooncake", 6_900, 27_000, 350, 597, 0.02),
        ("openhands", 18_000, 32_000, 99, 181, 0.03),
        ("swe_agent", 5_200, 10_300, 45, 105, 0.2),
        ("tau_bench", 2_400, 5_100, 59, 149, 0.15),
        ("azure_code", 1_500, 5_200, 13, 55, 0.03),
        ("azure_conv", 1_000, 2_700, 129, 424, 0.03),
    ],
)
def test_tokens_are_as_published(
    name: str, p50: float, p90: float, output_p50: float, output_p90: float, tolerance: float
) -> None:
    summary = workloads.summarise(_workload(name))

    found = (
        summary.prompt_tokens.p50,
        summary.prompt_tokens.p90,
        summary.completion_tokens.p50,
        summary.completion_tokens.p90,
    )
    assert found == pytest.approx((p50, p90, output_p50, output_p90), rel=tolerance)


@pytest.mark.parametrize(
    ("name", "p50", "p90", "most"),
    [
        ("lmcache_magagent", 33, 42, 44),
        ("tau_bench", 11, 20, 30),
        ("swe_agent", 12, 22, 37),
        ("openhands", 33, 49, 49),
    ],
)
def test_turns_are_as_published(name: str, p50: float, p90: float, most: float) -> None:
    turns = workloads.summarise(_workload(name)).turns

    assert (turns.p50, turns.p90, turns.most) == pytest.approx((p50, p90, most), rel=0.16)


def test_text_is_counted_nearly_as_the_sources_count_it() -> None:
    for name in ("lmcache_miniswe", "lmcache_magagent"):
        counted = [
            turn["in_tokens"]
            for record in _records(name)
            for turn in record["turns"]
            if turn["in_tokens"]
        ]
        estimated = [
            call.prompt_tokens for program in _workload(name).programs for call in _calls(program)
        ]
        off = sorted(ours / theirs for ours, theirs in zip(estimated, counted, strict=True))
        assert sum(estimated) == pytest.approx(sum(counted), rel=0.02)
        assert off[len(off) // 50] > 0.9
        assert off[-len(off) // 50] < 1.1


def test_weka_prompts_are_decoded_block_for_block() -> None:
    """Against the decoding that the set's own description gives, ids made comparable."""
    workload = _workload("weka")
    for record, program in zip(_records("weka"), workload.programs, strict=True):
        base: int | None = None
        calls = iter(_calls(program))
        for ids, request in _decoded(record["requests"]):
            call = next(calls)
            if ids and base is None:
                base = _ids(call.prompt)[0] - ids[0]
            assert _ids(call.prompt) == [(base or 0) + local for local in ids]
            assert (call.prompt_tokens, call.completion_tokens) == (request["in"], request["out"])
        assert next(calls, None) is None


def _decoded(requests: list[dict[str, Any]]) -> Iterator[tuple[list[int], dict[str, Any]]]:
    before: list[int] = []
    for request in requests:
        if request["type"] == "subagent":
            yield from _decoded(request["requests"])
        else:
            new = (range(first, first + count) for first, count in request["runs"])
            before = before[: request["keep"]] + list(itertools.chain.from_iterable(new))
            yield before, request


def test_weka_sessions_have_the_published_turns_reuse_and_gaps() -> None:
    workload = _workload("weka")
    parents = [
        [request for request in record["requests"] if request["type"] != "subagent"]
        for record in _records("weka")
    ]
    turns = spread(len(requests) for requests in parents if requests)
    assert (turns.p50, turns.p90) == pytest.approx((44, 149), rel=0.1)

    hits: list[float] = []
    for program in workload.programs:
        if any(len(step.after) > 1 for step in program.steps):
            continue  # with sub-agents, calls do not follow one another
        for before, call in itertools.pairwise(_calls(program)):
            hits.append(shared_blocks(before.prompt, call.prompt) * 64 / call.prompt_tokens)
    hits.sort()
    assert hits[len(hits) // 2] == pytest.approx(0.993, abs=0.01)
    assert hits[len(hits) // 20] == pytest.approx(0.89, abs=0.05)

    tools = workloads.summarise(workload).tool_s
    assert (tools.p50, tools.p90, tools.p99) == pytest.approx((9, 76, 908), rel=0.05)


def test_weka_sub_agents_are_waited_for_by_the_call_after_them() -> None:
    with_agents = [
        (record, program)
        for record, program in zip(_records("weka"), _workload("weka").programs, strict=True)
        if any(request["type"] == "subagent" for request in record["requests"])
    ]
    assert len(with_agents) > 5
    for record, program in with_agents:
        calls = [sum(1 for _ in _decoded([r])) for r in record["requests"]]
        assert sum(calls) == len(_calls(program))
        waited = sum(len(step.after) - 1 for step in program.steps if len(step.after) > 1)
        started = sum(request["type"] == "subagent" for request in record["requests"])
        assert waited <= started


def test_mooncake_has_the_published_reuse() -> None:
    """0.37 with hashes of prompts alone; answers that stand in later prompts come on top."""
    summary = workloads.summarise(_workload("mooncake"))

    assert summary.calls == 12_031
    assert summary.infinite_hit_ratio == pytest.approx(0.37, abs=0.02)
    assert summary.programs < 10_000


def test_mooncake_prompts_keep_their_hashes() -> None:
    by_time = sorted(
        (record["timestamp"] / 1000, tuple(record["hash_ids"][: record["input_length"] // 512]))
        for record in _records("mooncake")
    )
    firsts = sorted(
        (program.arrival_s or 0.0, tuple(_ids(_calls(program)[0].prompt)))
        for program in _workload("mooncake").programs
    )
    assert set(firsts) <= set(by_time)


def test_tool_times_that_were_recorded_are_kept() -> None:
    for name, of_steps in (("swe_agent", _swe_agent_times), ("openhands", _openhands_times)):
        recorded = [of_steps(record) for record in _records(name)]
        read = [
            [step.duration_s for step in program.steps if isinstance(step, ToolStep)]
            for program in _workload(name).programs
        ]
        for theirs, ours in zip(recorded, read, strict=True):
            assert len(theirs) == len(ours)
            assert all(a == b for a, b in zip(theirs, ours, strict=True) if a is not None)
    tools = workloads.summarise(_workload("openhands")).tool_s
    assert (tools.p50, tools.p90, tools.most) == pytest.approx((0.012, 0.62, 265), rel=0.02)


def _swe_agent_times(record: dict[str, Any]) -> list[float | None]:
    return [step["execution_time"] for step in record["steps"]]


def _openhands_times(record: dict[str, Any]) -> list[float | None]:
    took = {event.get("cause"): event.get("tool_s") for event in record["events"]}
    actions = [
        event
        for event in record["events"]
        if event.get("source") == "agent" and event.get("action") not in (None, "system")
    ]
    return [took.get(action["id"], 0.0) for action in actions]


def test_agents_that_share_a_system_prompt_share_its_blocks() -> None:
    for name, least in (("tau_bench", 60), ("openhands", 100), ("swe_agent", 0)):
        firsts = [_calls(program)[0].prompt for program in _workload(name).programs]
        shared = [shared_blocks(firsts[0], prompt) for prompt in firsts]
        assert min(shared) >= least


def test_agents_histories_grow_at_their_end() -> None:
    for name in ("tau_bench", "swe_agent"):
        for program in _workload(name).programs:
            for before, call in itertools.pairwise(_calls(program)):
                assert shared_blocks(before.context, call.prompt) == block_count(before.context)


def test_magagent_agents_have_conversations_of_their_own() -> None:
    """Nearly every prompt begins with all of an earlier one; mostly not of the last."""
    own, last, calls = 0, 0, 0
    for program in _workload("lmcache_magagent").programs:
        prompts: list[Chain] = []
        for call in _calls(program):
            fits = [shared_blocks(p, call.prompt) == block_count(p) > 0 for p in prompts]
            own += any(fits)
            last += bool(fits) and fits[-1]
            calls += 1
            prompts.append(call.prompt)
    assert own / calls > 0.75
    assert last / calls < 0.5


def test_a_fit_of_a_recorded_set_makes_programs_like_it() -> None:
    for name in ("tau_bench", "swe_agent", "azure_conv"):
        told = workloads.summarise(_workload(name))
        made = workloads.summarise(
            workloads.generate(workloads.fitted(_workload(name), programs=1000), seed=1)
        )
        for was, became in (
            (told.turns, made.turns),
            (told.completion_tokens, made.completion_tokens),
            (told.prompt_tokens, made.prompt_tokens),
        ):
            assert became.p50 == pytest.approx(was.p50, rel=0.2)
        assert made.tool_s.p50 == pytest.approx(told.tool_s.p50, rel=0.15, abs=0.01)
        assert made.infinite_hit_ratio == pytest.approx(told.infinite_hit_ratio, abs=0.04)
