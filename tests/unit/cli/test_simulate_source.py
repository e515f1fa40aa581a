"""Workloads from files and folders as they are found on disks: plain, packed, damaged, none."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from agentrt.cli.failure import UsageError
from agentrt.cli.workload_source import workload_source
from agentrt.errors import AgentRTError, InputError
from agentrt.ir.workload import Workload
from agentrt.simulator.workloads import generate, preset, write

MADE = generate(preset("browser", programs=5), seed=1)
LINES = "".join(write(MADE))


def read(path: Path, format_name: str | None = None, programs: int | None = None) -> Workload:
    return workload_source(str(path), format_name=format_name, programs=programs)(0)


def test_a_file_is_read_as_what_it_begins_like(tmp_path: Path) -> None:
    file = tmp_path / "recorded.txt"
    file.write_text(LINES, encoding="utf-8")
    assert read(file) == MADE
    assert read(file, "agentrt") == MADE


def test_a_packed_file_is_told_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "recorded"
    file.write_bytes(gzip.compress(LINES.encode()))
    assert read(file) == MADE


def test_a_folder_is_read_as_what_its_names_say(tmp_path: Path) -> None:
    folder = tmp_path / "agentrt_workloads"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "part.jsonl.gz").write_bytes(gzip.compress(LINES.encode()))
    (folder / "README.md").write_text("not data", encoding="utf-8")
    assert read(folder) == MADE


def test_a_forced_format_takes_the_files_of_that_name_alone(tmp_path: Path) -> None:
    (tmp_path / "agentrt.jsonl").write_text(LINES, encoding="utf-8")
    (tmp_path / "weka.jsonl").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="names of 2 formats"):
        read(tmp_path)
    assert read(tmp_path, "agentrt") == MADE


def test_the_tables_of_a_folder_are_one_table(tmp_path: Path) -> None:
    heading = "TIMESTAMP,ContextTokens,GeneratedTokens"
    for name, second in (("azure_b.csv", 5), ("azure_a.csv", 3)):
        row = f"2023-11-16 18:15:0{second}.0000000,100,10"
        (tmp_path / name).write_text(f"{heading}\n{row}\n", encoding="utf-8")
    assert [program.arrival_s for program in read(tmp_path).programs] == [0.0, 2.0]


def test_the_first_programs_of_a_file_can_be_taken(tmp_path: Path) -> None:
    file = tmp_path / "w.jsonl"
    file.write_text(LINES, encoding="utf-8")
    assert read(file, programs=2).programs == MADE.programs[:2]
    assert read(file, programs=9).programs == MADE.programs


def test_a_made_up_workload_is_made_from_the_seed() -> None:
    source = workload_source("made:browser", format_name=None, programs=5)
    assert source(1) == MADE
    assert source(2) != MADE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (gzip.compress(b"", mtime=0), "it is empty"),
        (b"hello\n", "not a workload that is known"),
        (b"\xff\xfe\x00", "not text"),
        (gzip.compress(LINES.encode(), mtime=0)[:300], "damaged or cut short"),
        (gzip.compress(LINES.encode(), mtime=0)[:12], "damaged or cut short"),
        (b"\x1f\x8b", "damaged or cut short"),
        (b"\x1f\x8bnot gzip at all", "damaged or cut short"),
        (LINES.encode()[: len(LINES) // 2], "line"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_what_is_wrong(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "w.jsonl"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        read(file)
    assert str(raised.value).startswith(f"{file}: ")


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing here", encoding="utf-8")
    with pytest.raises(InputError, match=r"no \.jsonl or \.csv file"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [("gone.jsonl", None), ("", None), ("made:swe", "weka"), (".", "unheard-of")],
)
def test_names_of_nothing_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, format_name: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, AgentRTError)):
        workload_source(name, format_name=format_name, programs=None)(0)


@pytest.mark.parametrize("kind", ["", "sweet", "swe:4"])
def test_a_made_up_workload_that_is_not_there_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match="there are: swe, browser"):
        workload_source(f"made:{kind}", format_name=None, programs=None)(0)
