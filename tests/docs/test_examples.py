"""Every example runs as a script, says what its documentation promises, and stays short."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MAX_LINES = 40
REAL_MODEL = "research"
"""Needs a model, and gets the embedded one: what it says is not ours to promise."""

OUTPUT = {
    "agent_with_tools": """\
Three apples; we do not sell plums.
['3', "error: tool 'in_stock' raised KeyError: 'plums'"]
""",
    "branch_on_answer": """\
Four.
['branch.otherwise.quick_answer']
""",
    "collect_errors": """\
partial [21.5, None, 21.5]
fetch[1] ToolError tool 'fetch' raised LookupError: no such city
fetch RunError 1 of 3 items failed
""",
    "free_python": """\
Light bends in water.
[('look_up[0]', 'finished'), ('llm[0]', 'finished')]
12 prompt tokens
""",
    "loop_until_good": """\
Air scatters blue
['draft', 'loop[0].step.shorten', 'loop[1].step.shorten']
""",
    "many_inputs": """\
finished Paris None
failed None cannot answer 'Capital of Nowhere?'
finished Lima None
""",
    "nested_workflow": """\
all in all
['digest_one[0].summarise', 'digest_one[1].summarise', 'combine']
""",
    "parallel_map": """\
['example.org/about in en', 'example.org/news in en', 'example.org/jobs in en']
""",
    "plan_and_run": """\
By 234 metres.
['$1: 330.0', '$2: 96.0', '$3: 234.0']
""",
    "record_and_replay": """\
recorded: old pond, a frog jumps
replayed: old pond, a frog jumps
""",
    "resume_after_crash": """\
downloading data.csv
failed tool 'upload' raised ConnectionError: the network is down
uploaded contents of data.csv
""",
    "test_your_agent": "passed\n",
    "typed_output": """\
We are on it.
We look into: login fails. Tell the teams, politely:

auth

web
""",
}


def run_script(path: Path, folder: Path, **environment: str) -> str:
    """What it prints; its folder is empty, and any warning fails it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(  # noqa: S603  our own scripts
        [sys.executable, "-W", "error", str(path)],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "AGENTRT_DATA": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def test_every_example_has_an_expected_output() -> None:
    assert [path.stem for path in EXAMPLES] == sorted([*OUTPUT, REAL_MODEL])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_at_most_40_lines_and_says_what_it_teaches(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith('"""')
    assert len(lines) <= MAX_LINES


@pytest.mark.parametrize(
    "path", [each for each in EXAMPLES if each.stem != REAL_MODEL], ids=lambda path: path.stem
)
def test_an_example_prints_what_it_promises(path: Path, tmp_path: Path) -> None:
    assert run_script(path, tmp_path) == OUTPUT[path.stem]


def test_the_first_program_runs_on_the_embedded_model(tmp_path: Path) -> None:
    said = run_script(ROOT / "examples" / f"{REAL_MODEL}.py", tmp_path, AGENTRT_BACKEND="local")
    assert said.strip()
