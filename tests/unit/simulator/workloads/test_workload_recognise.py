"""Which format a file or a folder is taken for."""

from __future__ import annotations

import json

import pytest

from agentrt.errors import InputError
from agentrt.ir.workload import Workload
from agentrt.simulator import workloads
from tests.unit.simulator.workloads.recorded_samples import AZURE, SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
def test_each_format_is_known_by_its_first_record_and_loses_no_line(name: str) -> None:
    lines = ["\n", *(json.dumps(record) + "\n" for record in SAMPLES[name])]

    found, again = workloads.format_of_lines(iter(lines))

    assert (found, list(again)) == (name, lines)


def test_csv_and_our_own_format_are_known_too() -> None:
    ours = workloads.write(Workload(name="none", block_tokens=16, programs=()))

    assert workloads.format_of_lines(AZURE)[0] == "azure"
    assert workloads.format_of_lines(ours)[0] == "agentrt"


@pytest.mark.parametrize(
    "line", ["", "hello", "{", "[1]", "{}", "9" * 5000, '{"session_id": 1}', "[" * 100_000]
)
def test_an_unknown_file_is_refused_with_the_formats_there_are(line: str) -> None:
    with pytest.raises(InputError, match="there are: agentrt, azure, lmcache_magagent"):
        workloads.format_of_lines([line] if line else [])


def test_a_forced_format_must_exist() -> None:
    with pytest.raises(InputError, match="no workload format 'csv'; there are: agentrt, azure"):
        workloads.read_as("csv", [])


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (
            ["claude_code_weka/README.md", "claude_code_weka/traces.jsonl.gz"],
            ("weka", ["claude_code_weka/traces.jsonl.gz"]),
        ),
        (
            ["azure_llm_2023/b_conv.csv.gz", "azure_llm_2023/a_code.csv.gz"],
            ("azure", ["azure_llm_2023/a_code.csv.gz", "azure_llm_2023/b_conv.csv.gz"]),
        ),
        (["runs/miniswe.jsonl"], ("lmcache_miniswe", ["runs/miniswe.jsonl"])),
        (["tau_bench_x/weka.jsonl"], ("weka", ["tau_bench_x/weka.jsonl"])),
        (["tau_bench_x/t.jsonl", "tau_bench_x/t.txt"], ("tau_bench", ["tau_bench_x/t.jsonl"])),
    ],
)
def test_a_folder_is_known_by_its_names(paths: list[str], expected: tuple[str, list[str]]) -> None:
    assert workloads.format_of_name(paths) == expected


def test_a_folder_of_two_formats_or_none_is_refused() -> None:
    with pytest.raises(InputError, match="names of 2 formats among the files"):
        workloads.format_of_name(["lmcache/miniswe.jsonl.gz", "lmcache/magagent.jsonl.gz"])
    with pytest.raises(InputError, match="no name of a format among the files"):
        workloads.format_of_name(["stuff/README.md", "weka/readme.txt"])
