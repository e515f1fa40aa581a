import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentrt.cli.target import load_workflow
from agentrt.runtime.results import RunResult
from agentrt.testing import ScriptedBackend
from tests.e2e.conftest import Shell

DIGEST = Path(__file__).parent.parent.parent / "workflows" / "digest.py"

Digest = Callable[[Path], Any]


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend({"summarise": " It says things. ", "answer": " Read it all. "})


@pytest.fixture
async def digest(backend: ScriptedBackend) -> Digest:
    from agentrt import Runtime  # noqa: PLC0415

    workflow = load_workflow(str(DIGEST)).workflow

    async def run(folder: Path) -> RunResult[str]:
        async with Runtime(backend) as runtime:
            return await runtime.start(workflow.bind(folder=str(folder), question="Why?")).wait()

    return run


def asked(backend: ScriptedBackend, node: str) -> list[str]:
    return [r.messages[-1].content for r in backend.requests if node in r.node_id]


async def test_every_document_is_summarised_and_the_answer_rests_on_all_of_them(
    tmp_path: Path, digest: Digest, backend: ScriptedBackend
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.md").write_text("Two.", encoding="utf-8")
    (tmp_path / "a.txt").write_text("One.", encoding="utf-8")
    result = await digest(tmp_path)
    assert result.output == f"Read it all.\n\nRead 2 documents of {tmp_path}."
    assert sorted(asked(backend, "summarise")) == [
        "Document a.txt:\nOne.\n\nSummarise this document in two sentences.",
        "Document b/two.md:\nTwo.\n\nSummarise this document in two sentences.",
    ]
    assert asked(backend, "answer") == [
        "Here are summaries of some documents.\n\na.txt: It says things.\n\n"
        "b/two.md: It says things.\n\nWhy? Answer in two sentences."
    ]


async def test_an_empty_folder_is_answered_without_a_model(
    tmp_path: Path, digest: Digest, backend: ScriptedBackend
) -> None:
    result = await digest(tmp_path)
    assert (result.status, result.output) == ("finished", f"There are no documents in {tmp_path}.")
    assert backend.requests == []


async def test_a_missing_folder_fails_the_run_by_name(tmp_path: Path, digest: Digest) -> None:
    result = await digest(tmp_path / "nowhere")
    assert result.status == "failed"
    assert f"there is no folder '{tmp_path / 'nowhere'}'" in str(result.error)


async def test_two_hundred_files_are_capped_and_the_answer_says_so(
    tmp_path: Path, digest: Digest, backend: ScriptedBackend
) -> None:
    for number in range(200):
        (tmp_path / f"{number:03}.txt").write_text("word " * 2000, encoding="utf-8")
    result = await digest(tmp_path)
    assert len(asked(backend, "summarise")) == 24
    assert sum(map(len, asked(backend, "summarise"))) < 25_000
    assert "  176 of 200 documents have no room" in result.output
    assert "  000.txt: read 916 of 10,000 bytes" in result.output


async def test_what_is_not_text_is_left_out_and_counted(
    tmp_path: Path, digest: Digest, backend: ScriptedBackend
) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / ".hidden").write_text("secret", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    result = await digest(tmp_path)
    assert len(asked(backend, "summarise")) == 1
    assert "Document latin.txt:\ncaf" in asked(backend, "summarise")[0]
    assert "  2 files are not text, or cannot be read" in result.output


async def test_a_huge_file_in_any_script_costs_no_more_than_its_share(
    tmp_path: Path, digest: Digest, backend: ScriptedBackend
) -> None:
    (tmp_path / "huge.txt").write_text("語" * 2_000_000, encoding="utf-8")
    result = await digest(tmp_path)
    (prompt,) = asked(backend, "summarise")
    assert prompt.count("語") == 1000
    assert "\N{REPLACEMENT CHARACTER}" not in prompt
    assert "  huge.txt: read 3,000 of 6,000,000 bytes" in result.output


async def test_random_bytes_under_any_name_never_break_the_run(
    tmp_path: Path, digest: Digest
) -> None:
    dice = random.Random(7)
    for name in ("a b.txt", "quote'\".md", "line\nbreak", "ünïcode"):
        (tmp_path / name).write_bytes(bytes(dice.randrange(1, 256) for _ in range(5000)))
    assert (await digest(tmp_path)).status == "finished"


def test_a_missing_folder_on_the_command_line_exits_with_one(agentrt: Shell) -> None:
    done = agentrt("run", str(DIGEST), "--folder", "nowhere", "--store", "none", "--quiet")
    assert (done.code, done.stdout) == (1, "")
    assert "there is no folder 'nowhere'" in done.stderr
