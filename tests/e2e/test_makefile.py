import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

# What a make around these tests would hand down to the one they start.
OUTER = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "FOLDER", "QUESTION"}

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own words
        ["make", "--no-print-directory", *words],  # noqa: S607  whichever is on PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={name: text for name, text in os.environ.items() if name not in OUTER} | environment,
        check=False,
    )


def fake_python(folder: Path, version: str, code: int) -> str:
    """A program that says it is Python `version`, and answers the version check with `code`."""
    file = folder / "python3"
    file.write_text(
        f'#!/bin/sh\n[ "$1" = "--version" ] && echo "Python {version}" || exit {code}\n'
    )
    file.chmod(0o755)
    return str(file)


def test_help_lists_the_commands_a_user_has() -> None:
    listed = [line.split()[1] for line in make("help").stdout.splitlines()]
    assert listed == [
        *("help", "demo", "test", "test-all", "test-clients", "bench", "format", "clean"),
    ]


def test_an_old_python_is_told_before_anything_is_made(tmp_path: Path) -> None:
    done = make("python-is-new-enough", f"PYTHON={fake_python(tmp_path, '3.9.2', 1)}")
    assert done.returncode != 0
    assert "error: agentrt needs Python 3.11 or newer" in done.stderr
    assert "Python 3.9.2" in done.stderr


def test_no_python_at_all_is_told_too() -> None:
    done = make("python-is-new-enough", "PYTHON=")
    assert done.returncode != 0
    assert "error: agentrt needs Python 3.11 or newer, and none is on PATH" in done.stderr


def test_a_new_python_passes_the_check(tmp_path: Path) -> None:
    assert (
        make("python-is-new-enough", f"PYTHON={fake_python(tmp_path, '3.13.0', 0)}").returncode == 0
    )


def test_the_demo_passes_a_folder_and_a_question_on_word_by_word(tmp_path: Path) -> None:
    """Quotes, dollars and backquotes in either reach the workflow, and no shell reads them."""
    question = """What's "this"? `touch x` $(touch x) $HOME"""
    seen = tmp_path / "seen"
    program = tmp_path / "bin" / "agentrt"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {seen}\n')
    program.chmod(0o755)
    stamps = [f"--old-file={tmp_path / name}" for name in ("model", "local")]
    done = make(
        "demo",
        f"BIN={program.parent}",
        f"STAMPS={tmp_path}",
        "MODEL=none",
        *stamps,
        FOLDER="my notes",
        QUESTION=question,
    )
    assert done.returncode == 0, done.stderr
    assert seen.read_text().splitlines() == [
        "run",
        "workflows/digest.py",
        "--backend",
        "local",
        "--folder=my notes",
        f"--question={question}",
    ]
