from __future__ import annotations

from typing import Any

import pytest

from agentrt.runtime.argument_class import argument_class


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"command": "cd repo && python -m pytest -q tests"}, "pytest"),
        ({"cmd": ["/usr/bin/git", "status"]}, "git"),
        ({"script": ""}, ""),
        ({"command": []}, ""),
        ({"command": [7, None]}, ""),
        ({"command": 7, "script": "make test"}, "make"),
        ({"query": "make test"}, ""),
        ({}, ""),
        ({"command": "x" * 100_000}, "x" * 32),
    ],
)
def test_arguments_are_told_apart_by_the_program_that_a_command_line_runs(
    arguments: dict[str, Any], expected: str
) -> None:
    assert argument_class(arguments) == expected
