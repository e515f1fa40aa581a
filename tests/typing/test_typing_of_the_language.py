"""Both type checkers see the language as authors should: right uses pass, wrong ones are reported."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentrt.dsl.workflow import Workflow

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
# Kept as .txt, so that the checks of the repository itself do not report the wrong ones.
SAMPLES = ("right_uses", "wrong_uses")


@pytest.fixture
def samples(tmp_path: Path) -> list[Path]:
    return [Path(shutil.copy(HERE / f"{name}.py.txt", tmp_path / f"{name}.py")) for name in SAMPLES]


def marked(path: Path) -> set[tuple[str, int]]:
    lines = path.read_text().splitlines()
    return {(path.name, number) for number, line in enumerate(lines, 1) if line.endswith("# error")}


def expected(samples: list[Path]) -> set[tuple[str, int]]:
    found = marked(samples[0]) | marked(samples[1])
    assert len(found) > 20
    return found


def run(*command: str | Path) -> str:
    done = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", *map(str, command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_mypy_reports_exactly_the_wrong_uses(samples: list[Path]) -> None:
    output = run("mypy", "--strict", "--no-error-summary", "--hide-error-context", *samples)
    found = re.findall(r"(?m)^.*?(\w+\.py):(\d+): error:", output)
    assert {(name, int(line)) for name, line in found} == expected(samples), output


def test_basedpyright_reports_exactly_the_wrong_uses(samples: list[Path], tmp_path: Path) -> None:
    settings = {
        "include": ["."],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        # An expression that is reported for another reason is of no use either.
        "reportUnusedExpression": False,
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    output = run(
        "basedpyright", "--outputjson", "--pythonpath", sys.executable, "--project", tmp_path
    )
    found = {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1)
        for each in json.loads(output)["generalDiagnostics"]
        if each["severity"] == "error"
    }
    assert found == expected(samples), output


def test_the_right_uses_are_right_while_tracing_too(samples: list[Path]) -> None:
    uses = runpy.run_path(str(samples[0]))
    workflows = [each for each in uses.values() if isinstance(each, Workflow)]
    for each in workflows:
        static = {p.name: 2 for p in each.signature.parameters.values() if p.is_static}
        each.trace(static).graph.lint()
    assert [each.name for each in workflows] == ["research", "drafts", "typed", "outer"]
