"""The agent loop on a real repository with a real model that calls tools (1.5B weights)."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = "qwen2.5-coder-1.5b"

SOURCE = '''\
"""Sums."""


def add(a, b):
    """The sum of `a` and `b`."""
    return a - b
'''
TESTS = """\
from sums import add


def test_add_gives_the_sum():
    assert add(2, 3) == 5
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one bug and the test that shows it."""
    (tmp_path / "sums.py").write_text(SOURCE)
    (tmp_path / "test_sums.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\nasyncio_default_fixture_loop_scope = "function"\n'
    )
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)  # noqa: S603, S607
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_agent_fixes_a_bug_by_calling_tools_over_several_turns(repository: Path) -> None:
    agentrt = [sys.executable, "-m", "agentrt"]
    subprocess.run([*agentrt, "models", "pull", MODEL], cwd=ROOT, check=True)  # noqa: S603
    done = subprocess.run(  # noqa: S603  our own words
        [
            *agentrt,
            "run",
            str(ROOT / "workflows" / "fix.py"),
            "--issue=add(2, 3) gives -1, it must give 5",
            "--backend=local",
            f"--model={MODEL}",
            "--store=none",
            "--json",
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["status"] == "finished", done.stderr
    assert report["output"]["passed"], report["output"]
    assert "return a + b" in (repository / "sums.py").read_text()

    agent = "loop[0].step.repair"
    nodes = {node["node_id"]: node for node in report["nodes"]}
    turns = [nodes[name] for name in nodes if name.startswith(agent) and name.endswith("].llm")]
    assert len(turns) >= 2, nodes
    assert f"{agent}[0].replace_in_file[0]" in nodes
    # Each turn extends the one before: all of the earlier prompt comes from the cache.
    for earlier, later in pairwise(turns):
        cached = later["usage"]["cached_tokens"]
        assert cached >= earlier["usage"]["prompt_tokens"] - 1
