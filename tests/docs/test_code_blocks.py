"""Every code block of README and docs/ works: Python runs, commands exist and know their options.

A page's Python blocks run one after the other as one script, in an empty folder, on the embedded
model where they ask for none other. A block that cannot run says why behind its language
(`python no-run: ...`) and must still compile. Console blocks are parsed; `console run` runs too.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from agentrt.cli.app import app
from agentrt.cli.parameters import parse_parameters
from agentrt.cli.target import load_workflow
from tests.docs.markdown_blocks import BLOCKS, PAGES, ROOT, Block

MAX_NOT_RUN = 3
SHELLS = ("console", "sh", "bash")
LANGUAGES = {"python", "mermaid", "json", "sql", "text", "", *SHELLS}
ELSEWHERE = {"git", "cd", "pip", "export", "vllm", "python3", "sqlite3"}
TIMEOUT_S = 240

PYTHON = tuple(block for block in BLOCKS if block.language == "python")
CONSOLE = tuple(block for block in BLOCKS if block.language in SHELLS)
PYTHON_PAGES = tuple(dict.fromkeys(block.page for block in PYTHON))
TO_RUN = tuple(block for block in CONSOLE if block.info == "run")


def place(value: Any) -> str:
    return value.place if isinstance(value, Block) else str(value.relative_to(ROOT))


def script_of(page: Path) -> str:
    """The page's Python, each line where it stands in the page, so that tracebacks point there."""
    lines: list[str] = []
    for block in PYTHON:
        if block.page == page and block.reason_not_to_run is None:
            lines += [""] * (block.line - 1 - len(lines)) + block.code.splitlines()
    return "\n".join(lines) + "\n"


def run_in(folder: Path, words: Sequence[str]) -> None:
    kept = {name: value for name, value in os.environ.items() if "AGENTRT" not in name}
    if "AGENTRT_CACHE" in os.environ:
        kept["AGENTRT_CACHE"] = os.environ["AGENTRT_CACHE"]
    told = {"AGENTRT_BACKEND": "local", "AGENTRT_DATA": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(  # noqa: S603  our own pages
        words,
        cwd=folder,
        env=kept | told,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_block_has_a_language_that_is_checked_or_needs_no_check() -> None:
    assert [block.place for block in BLOCKS if block.language not in LANGUAGES] == []


def test_a_block_runs_or_says_why_not_and_few_do_not() -> None:
    assert [b.place for b in PYTHON if b.info and not b.reason_not_to_run] == []
    assert [b.place for b in CONSOLE if b.info not in ("", "run")] == []
    assert len([b for b in PYTHON if b.reason_not_to_run]) <= MAX_NOT_RUN


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not leads_somewhere(page, link)] == []


@pytest.mark.parametrize("block", PYTHON, ids=place)
def test_python_compiles(block: Block) -> None:
    compile(block.code, block.place, "exec")


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=place)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    script = tmp_path / f"{page.stem.lower()}_blocks.py"
    script.write_text(script_of(page), encoding="utf-8")
    run_in(tmp_path, [sys.executable, "-W", "error", str(script)])


@pytest.mark.parametrize("block", CONSOLE, ids=place)
def test_commands_exist_and_know_their_options(block: Block) -> None:
    for words in block.commands:
        check_command(words)


@pytest.mark.parametrize("block", TO_RUN, ids=place)
def test_commands_run(block: Block, tmp_path: Path) -> None:
    for name in ("docs", "examples", "workflows"):
        (tmp_path / name).symlink_to(ROOT / name)
    for command, *words in block.commands:
        assert command == "agentrt", f"only agentrt is run: {command}"
        run_in(tmp_path, [sys.executable, "-m", "agentrt", *words])


def leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists():
        return False
    if not anchor:
        return True
    headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return anchor in anchors


def check_command(words: Sequence[str]) -> None:
    match words:
        case ["agentrt", *arguments]:
            check_agentrt(arguments)
        case ["make", *goals]:
            known = re.findall(
                r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
            )
            assert {goal for goal in goals if "=" not in goal} <= set(known)
        case ["python", "-m", str(module), *_]:
            assert importlib.util.find_spec(module) is not None
        case ["python", str(path), *_]:
            assert (ROOT / path).is_file()
        case [str(command), *_]:
            assert command in ELSEWHERE
        case _:
            raise AssertionError(words)


def check_agentrt(words: Sequence[str]) -> None:
    """Parse as the command line does, without doing it; every option must be known."""
    context: Any = typer.main.get_command(app).make_context("agentrt", list(words))
    while hasattr(context.command, "resolve_command"):
        rest = remaining(context)
        if not rest:
            return
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    target = context.params.get("target")
    if context.info_name == "run":
        check_target(str(target), remaining(context))


def remaining(context: Any) -> list[str]:
    return [*getattr(context, "_protected_args", ()), *context.args]


def check_target(target: str, words: Sequence[str]) -> None:
    """Words that `run` leaves to the workflow are its parameters, and their values fit."""
    parameters = load_workflow(str(ROOT / target)).workflow.signature.parameters
    parse_parameters(words, {name: each.type for name, each in parameters.items()})
