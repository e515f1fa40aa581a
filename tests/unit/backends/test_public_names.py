"""The package's names load at first use, so that a part of it runs where its dependencies are not."""

from __future__ import annotations

import subprocess
import sys

import pytest

import agentrt


@pytest.mark.parametrize("name", agentrt.__all__)
def test_every_public_name_is_there_and_listed(name: str) -> None:
    assert getattr(agentrt, name) is getattr(agentrt, name)
    assert name in dir(agentrt)


def test_a_name_that_is_not_public_is_told() -> None:
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        getattr(agentrt, "runn")  # noqa: B009  type checkers know that it is not there


def test_what_runs_inside_an_engine_imports_nothing_but_the_standard_library() -> None:
    script = (
        "import sys; before = set(sys.modules); import agentrt.backends.hold_ledger; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "sys.exit(', '.join(sorted(new - set(sys.stdlib_module_names) - {'agentrt'})) or 0)"
    )
    done = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
