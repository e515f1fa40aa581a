"""Fix a bug in the repository you stand in: an agent that reads, edits and runs the tests.

cd my-repository
agentrt run path/to/workflows/fix.py --issue "median([1, 2, 3, 4]) gives 3, not 2.5"

Edits are made in the working tree, so commit or stash first; `git diff` shows what was done.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from pydantic import BaseModel

from agentrt import Prompt, agent, llm, loop, tool, workflow

MAX_FILES = 200
MAX_TEST_OUTPUT = 2_000
HIDDEN = {".git", ".venv", "__pycache__", "node_modules", ".pytest_cache"}


class TestRun(BaseModel):
    """What the tests say, and what was done before they were run."""

    passed: bool
    output: str
    summary: str = ""


def _inside(path: str) -> Path:
    """`path` as a file of the repository; an agent has no business elsewhere."""
    root = Path.cwd().resolve()
    found = (root / path).resolve()
    if not found.is_relative_to(root):
        raise ValueError(f"{path} is outside the repository")
    if HIDDEN & set(found.relative_to(root).parts):
        raise ValueError(f"{path} is not part of the source")
    return found


@tool(effects="read", retries=0)
def list_files() -> list[str]:
    """List the files of the repository."""
    root = Path.cwd()
    files = [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if path.is_file() and not HIDDEN & set(path.relative_to(root).parts)
    ]
    more = len(files) - MAX_FILES
    return [*files[:MAX_FILES], f"... and {more} more"] if more > 0 else files


@tool(effects="read", retries=0, max_output_bytes=20_000)
def read_file(path: str) -> str:
    """Read a file of the repository."""
    return _inside(path).read_text(encoding="utf-8", errors="replace")


@tool(effects="write")
def replace_in_file(path: str, old: str, new: str) -> str:
    """Replace a piece of text in a file. `old` must occur in it exactly once, whitespace and all."""
    if not old:
        raise ValueError("old is empty: give the text to replace")
    file = _inside(path)
    text = file.read_text(encoding="utf-8")
    count = text.count(old)
    if count != 1:
        raise ValueError(f"old occurs {count} times in {path}; it must occur once")
    file.write_text(text.replace(old, new), encoding="utf-8")
    return f"changed {path}"


# The tests run the repository's code, which may do anything: hence `write`. Running them again does
# no harm that running them once has not done: hence idempotent.
@tool(effects="write", is_idempotent=True, timeout_s=120, retries=0)
async def run_tests() -> str:
    """Run the tests; the end of their output."""
    return (await _run_tests()).output


@tool(effects="write", is_idempotent=True, timeout_s=120, retries=0)
async def judge(summary: str) -> TestRun:
    """What the tests say after an attempt, whatever the agent says itself."""
    return (await _run_tests()).model_copy(update={"summary": summary})


@tool(effects="none")
def passes(tests: TestRun) -> bool:
    """Whether there is nothing left to fix."""
    return tests.passed


async def _run_tests() -> TestRun:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", "-q", "-x", "--tb=short", "--no-header", "-p", "no:cacheprovider"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:  # out of time, or cancelled: leave nothing behind
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    text = output.decode(errors="replace")[-MAX_TEST_OUTPUT:]
    return TestRun(passed=process.returncode == 0, output=text)


@llm(temperature=0.0, max_tokens=60)
def suspect(issue: str, files: list[str]) -> Prompt[str]:
    return Prompt(
        f"Files:\n{files}\n\nIssue: {issue}\n\nWhich one source file must be changed?",
        system="Answer with the path of one file from the list, and nothing else.",
    )


@tool(effects="read", retries=0)
def read_suspect(path: str, files: list[str], after: str) -> str:
    """The suspected file with its path; or, if the model named none that exists, the sources.

    `after` is what it must be read after: an attempt changes the file.
    """
    del after
    named = [file for file in files if file in path]
    sources = named or [file for file in files if file.endswith(".py")][:3]
    return "\n\n".join(f"{file}:\n{_inside(file).read_text(encoding='utf-8')}" for file in sources)


@agent(
    tools=[replace_in_file, run_tests, read_file],
    max_turns=8,
    timeout_s=900,
    temperature=0.0,
    max_tokens=250,
)
def repair(issue: str, source: str, failure: str) -> Prompt[str]:
    return Prompt(
        f"Issue: {issue}",
        context=[f"The source, {source}", f"What the tests say:\n{failure}"],
        # Worded for small models: told to explain, they explain instead of acting.
        system=(
            "You fix bugs in a Python repository by calling tools. Call replace_in_file with a "
            "whole line of the source as `old` and the corrected lines as `new`, indented as they "
            "were. Then call run_tests. If they fail, change the source again. When they pass, "
            "say DONE."
        ),
    )


@workflow
def fix(issue: str) -> TestRun:
    files = list_files()
    suspected = suspect(issue, files)

    def attempt(tests: TestRun) -> TestRun:
        return judge(repair(issue, read_suspect(suspected, files, tests.output), tests.output))

    return loop(attempt, judge("nothing was done"), until=passes, max_steps=3)
