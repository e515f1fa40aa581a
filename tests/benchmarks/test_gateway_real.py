"""The benchmark on a real vLLM, on a stub: it measures what it says, goes on where it was, and judges fairly."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agentrt.runtime.workload_figures import Figures
from tests.benchmarks import gateway_real
from tests.benchmarks.gateway_real_contenders import ALONE, GATEWAY, Contender, standing
from tests.benchmarks.gateway_real_replays import load_of
from tests.benchmarks.gateway_real_report import (
    Row,
    read_rows,
    row_line,
    table,
    target_lines,
    targets,
)
from tests.e2e.stub_engine import KV_TOKENS, StubEngine, serving

FIGURES = Figures(
    programs=3,
    unfinished=0,
    calls=18,
    mean_completion_s=10.0,
    p50_s=10.0,
    p95_s=20.0,
    p99_s=20.0,
    makespan_s=20.0,
    mean_ttft_s=1.0,
    p95_ttft_s=2.0,
    prompt_tokens=5_000,
    cached_tokens=4_000,
    completion_tokens=288,
    hit_ratio=0.8,
    computed_tokens=1_000,
    least_tokens=1_000,
    retried_calls=0,
    failed_calls=0,
    is_cut=False,
)


def row(
    name: str, *, mean_s: float, p95_s: float = 20.0, load: float = 4.0, unfinished: int = 0
) -> Row:
    return Row(
        made="tiny-agents",
        load=load,
        words="w",
        contender=name,
        repetition=0,
        figures=replace(FIGURES, mean_completion_s=mean_s, p95_s=p95_s, unfinished=unfinished),
        server_tokens=1_100.0,
    )


def found(*rows: Row) -> dict[str, tuple[float | None, bool | None]]:
    return {target["what"]: (target["value"], target["is_met"]) for target in targets(rows)}


def test_what_it_is_to_show_is_judged_by_means() -> None:
    rows = [row(ALONE, mean_s=40.0), row("cap 3", mean_s=12.0), row("cap 4", mean_s=10.5)]
    rows += [row("ThunderAgent", mean_s=19.0), row(GATEWAY, mean_s=10.0, p95_s=21.0)]
    assert found(*rows) == {
        "mean completion time against vLLM alone": (4.0, True),
        "mean completion time against the best cap (cap 4)": (1.05, False),
        "p95 against the best cap (cap 4)": (20.0 / 21.0, False),
        "mean completion time against ThunderAgent": (1.9, False),
        "p95 against ThunderAgent": (20.0 / 21.0, False),
        "computed prefill tokens over every token once": (1.1, True),
    }
    assert len(list(target_lines(targets(rows)))) == 6


def test_programs_that_did_not_finish_meet_no_target() -> None:
    rows = [row(ALONE, mean_s=40.0), row("cap 3", mean_s=12.0, unfinished=1)]
    rows += [row(GATEWAY, mean_s=1.0, unfinished=1)]
    assert {is_met for _, is_met in found(*rows).values()} == {None}


def test_where_nothing_is_short_the_gateway_may_cost_little() -> None:
    what = "mean completion time more than vLLM alone"
    alone = row(ALONE, mean_s=10.0, load=0.5)
    assert found(alone, row(GATEWAY, mean_s=10.2, load=0.5))[what][1] is True
    assert found(alone, row(GATEWAY, mean_s=10.5, load=0.5))[what][1] is False


def test_rows_are_read_as_they_were_written_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    rows = [row(ALONE, mean_s=40.0), replace(row(GATEWAY, mean_s=1.0), figures=None, error="e")]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join([*map(row_line, rows), row_line(rows[0])[:50]]))
    assert read_rows(file) == rows
    assert read_rows(tmp_path / "none.jsonl") == []


def test_only_repetitions_that_both_finished_are_compared() -> None:
    slow = [replace(row(ALONE, mean_s=mean), repetition=at) for at, mean in enumerate((40.0, 80.0))]
    ours = [replace(row(GATEWAY, mean_s=mean), repetition=at) for at, mean in ((1, 20.0), (2, 1.0))]
    what = "mean completion time against vLLM alone"
    assert found(*slow, *ours)[what] == (4.0, True)
    third = replace(row(ALONE, mean_s=10.0), repetition=2)
    assert found(*slow, third, *ours)[what] == (45.0 / 10.5, True)


def test_workloads_are_judged_each_by_itself() -> None:
    alike = [row(ALONE, mean_s=40.0), row(GATEWAY, mean_s=10.0)]
    others = [
        replace(each, made="small-browser", words="v")
        for each in (row(ALONE, mean_s=40.0), row(GATEWAY, mean_s=20.0))
    ]
    what = "mean completion time against vLLM alone"
    judged = [
        (target["made"], target["value"], target["is_met"])
        for target in targets([*alike, *others])
        if target["what"] == what
    ]
    assert judged == [("tiny-agents", 4.0, True), ("small-browser", 2.0, False)]
    assert [line for line in table([*alike, *others]) if "times" in line] == [
        "tiny-agents, 4 times the KV cache",
        "small-browser, 4 times the KV cache",
    ]


@pytest.mark.parametrize(("made", "common"), [("tiny-agents", 128), ("small-browser", 240)])
def test_a_load_fills_the_caches_as_often_as_it_says(made: str, common: int) -> None:
    pressed = load_of(made, 4.0, kv_tokens=10_240, seed=1)
    contexts = [
        max(
            step.prompt_tokens + step.completion_tokens
            for step in program.steps
            if step.kind == "call"
        )
        for program in pressed.workload.programs
    ]
    # What all share is there once.
    tokens = sum(contexts) - common * (len(contexts) - 1)
    assert tokens == pytest.approx(4.0 * 10_240, rel=0.1)  # the last one may be a large one
    assert pressed.at_once is None
    idle = load_of(made, 0.5, kv_tokens=10_240, seed=1)
    assert idle.at_once is not None
    assert idle.at_once * sum(contexts) / len(contexts) == pytest.approx(0.5 * 10_240, rel=0.2)


async def test_what_does_not_start_is_told_with_the_end_of_its_output(tmp_path: Path) -> None:
    broken = Contender(name="broken", command=(sys.executable, "-c", "raise SystemExit('why')"))
    with pytest.raises(RuntimeError, match=r"broken ended; the end of its output:\nwhy"):
        async with standing(broken, tmp_path / "log"):
            pytest.fail("it stands")


def test_contenders_are_measured_in_turn_and_those_that_were_are_not_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.jsonl"
    engine = StubEngine()
    with serving(engine) as server:
        front = (
            f"{sys.executable} -m tests.benchmarks.pass_through {{port}} 127.0.0.1:{server.port}"
        )
        words = ["--vllm", server.url, "--programs", "2", "--caps", "1", "--oversubscription", "4"]
        words += ["--gateway", front, "--only", f"{ALONE},cap 1,{GATEWAY}", "--keep", str(kept)]
        monkeypatch.setattr(
            sys,
            "argv",
            [
                "gateway_real",
                *words,
                "--made",
                "tiny-agents",
                "--repeats",
                "1",
                "--longest-tool",
                "0",
            ],
        )
        gateway_real.main()
        asked = len(engine.prompts)
        first = json.loads(capsys.readouterr().out)
        gateway_real.main()
        again = json.loads(capsys.readouterr().out)
    assert first["is_whole"]
    assert [each["contender"] for each in first["rows"]] == [ALONE, "cap 1", GATEWAY]
    for each in first["rows"]:
        assert each["error"] == ""
        assert (each["figures"]["programs"], each["figures"]["unfinished"]) == (2, 0)
        assert each["server_tokens"] == each["figures"]["computed_tokens"] > 0
        # Whole answers are cached here, and what is around messages.
        assert each["figures"]["computed_tokens"] == pytest.approx(
            each["figures"]["least_tokens"], rel=0.1
        )
    assert again["rows"] == first["rows"]
    # Sizes and the warm-up alone.
    assert len(engine.prompts) - asked == 4 + 2 * 6
    assert any(line.startswith(GATEWAY) for line in table([*read_rows(kept)]))


def test_the_stub_says_what_its_cache_holds_as_vllm_does() -> None:
    assert f'num_gpu_blocks="{KV_TOKENS // 16}"' in StubEngine()._metrics().decode()
