import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Shell

Flow = Callable[[str], str]


def on_a_terminal(agentrt: Shell, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout, and what a terminal on stderr was sent."""
    ours, theirs = pty.openpty()
    process = agentrt.start(*words, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed: Linux says so with an error
            break
        shown += piece
    os.close(ours)
    done = agentrt.finish(process)
    return done.code, done.stdout, shown.decode("utf-8", errors="replace")


def test_a_terminal_sees_the_run_live_and_then_the_timeline(agentrt: Shell, flow: Flow) -> None:
    code, stdout, shown = on_a_terminal(agentrt, "run", flow("numbers_flow:main"))
    assert (code, stdout) == (0, "6\n")
    assert re.search(r"\d+ running, \d+ finished", shown)
    assert "\x1b[2K" in shown
    assert "\x1b[?25h" in shown, "the cursor is shown again"
    assert shown.rstrip().splitlines()[-1].startswith("one call at a time:")


def test_quiet_is_quiet_on_a_terminal_too(agentrt: Shell, flow: Flow) -> None:
    code, stdout, shown = on_a_terminal(agentrt, "run", flow("numbers_flow:both"), "--quiet")
    assert (code, shown) == (0, "")
    assert stdout.startswith("{")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("run",),
        ("graph",),
        ("plan",),
        ("runs",),
        ("show",),
        ("resume",),
        ("doctor",),
        ("models",),
        ("models", "pull"),
    ],
)
def test_every_help_has_an_example(agentrt: Shell, words: tuple[str, ...]) -> None:
    done = agentrt(*words, "--help")
    assert (done.code, done.stderr) == (0, "")
    assert "Example:\n    agentrt " in done.stdout


def test_the_version_is_the_packages(agentrt: Shell) -> None:
    done = agentrt("--version")
    assert re.fullmatch(r"agentrt \d+\.\d+\.\d+\n", done.stdout)


def test_help_loads_nothing_heavy(agentrt: Shell) -> None:
    program = (
        "import sys; from agentrt.cli import main; main(['--help']);"
        "heavy = {'rich', 'sqlalchemy', 'openai', 'httpx', 'xllamacpp', 'networkx'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(  # noqa: S603  our own words
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=agentrt.environment,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("form", "beginning"),
    [("mermaid", "flowchart"), ("svg", "<svg"), ("json", "{"), ("text", "")],
)
def test_a_graph_is_drawn_in_every_form(
    agentrt: Shell, flow: Flow, form: str, beginning: str
) -> None:
    target = flow("numbers_flow:main")
    printed = agentrt("graph", target, "--format", form)
    assert printed.code == 0
    assert printed.stdout.lstrip().startswith(beginning)
    assert "double" in printed.stdout
    written = agentrt("graph", target, "--format", form, "-o", "drawing")
    assert (written.code, written.stdout) == (0, "")
    assert (agentrt.folder / "drawing").read_text(encoding="utf-8") == printed.stdout


def test_a_plan_is_printed_and_is_one_object_with_json(agentrt: Shell, flow: Flow) -> None:
    target = flow("numbers_flow:main")
    assert "double" in agentrt("plan", target).stdout
    plan = agentrt("plan", target, "--json").json
    assert plan["workflow"] == "main"
    assert set(plan["nodes"]) >= {"count", "bad", "numbers", "double", "total"}
    assert "prune" in [each["name"] for each in plan["passes"]]
    less = agentrt("plan", target, "--json", "--without", "prune", "--without", "dedupe").json
    assert not {"prune", "dedupe"} & {each["name"] for each in less["passes"]}
    assert agentrt("run", target, "--store", "runs.db", "--quiet").code == 0
    known = agentrt("plan", target, "--json", "--store", "runs.db").json
    assert known["nodes"]["double"]["remaining_s"] is not None
    assert plan["nodes"]["double"]["remaining_s"] is None
    refused = agentrt("plan", target, "--without", "prun")
    assert refused.code == 2
    assert "no such pass: prun; there are: prune, " in refused.stderr
