"""Values as text of a prompt: the same value is the same text, in any process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from agentrt.ir.prompt import render_value

PROGRAM = """
from agentrt.ir.prompt import render_value
names = {"ada", "bob", "cay", "dan"}
print(render_value(names), render_value({"of": [frozenset(names), ({1, 20, 3},)]}))
"""


def test_sets_are_written_alike_in_processes_that_hash_otherwise() -> None:
    written = {
        subprocess.run(  # noqa: S603  our own program, by our own interpreter
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert written == {'["ada","bob","cay","dan"] {"of":[["ada","bob","cay","dan"],[[1,20,3]]]}\n'}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({frozenset({"b", "a"}), frozenset({"a"})}, '[["a","b"],["a"]]'),
        ({1, "1", None}, '["1",1,null]'),
        (["a", {"b"}], '["a",["b"]]'),
        ({}, "{}"),
        (set(), "[]"),
    ],
)
def test_sets_of_anything_have_an_order(value: object, text: str) -> None:
    assert render_value(value) == text
