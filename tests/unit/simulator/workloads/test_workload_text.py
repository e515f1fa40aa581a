"""Text as blocks, and shell commands as classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.estimates.command_class import command_class
from agentrt.ir.prefix import block_count, shared_blocks
from agentrt.simulator.workloads.shell import fenced_command
from agentrt.simulator.workloads.text_blocks import TextBlocks

_WORDS = "The quick brown fox jumps over the lazy dog, again and again. " * 20


def test_equal_beginnings_have_equal_blocks_and_nothing_after_them_has() -> None:
    blocks = TextBlocks(16)
    whole, tokens = blocks.measured(_WORDS)
    other, _ = blocks.measured(_WORDS[: len(_WORDS) // 2] + "But " + _WORDS[len(_WORDS) // 2 :])

    assert block_count(whole) == tokens // 16
    assert 5 <= shared_blocks(whole, other) <= block_count(whole) // 2
    assert blocks.measured(_WORDS) == (whole, tokens)


def test_a_message_after_an_empty_line_changes_no_block_before_it() -> None:
    blocks = TextBlocks(1)
    before, _ = blocks.measured("First. Second")
    after, _ = blocks.measured("First. Second\n\nassistant: more")

    assert shared_blocks(before, after) == block_count(before)


def test_equal_text_further_on_is_another_block() -> None:
    chain, _ = TextBlocks(2).measured("one two" + " one two" * 20)
    ids = [run.first + at for run in chain for at in range(run.count)]

    assert len(set(ids)) == len(ids) == 21


def test_an_empty_text_has_a_token_and_no_block() -> None:
    assert TextBlocks(16).measured("") == ((), 1)


@given(st.text(), st.integers(1, 20))
def test_any_text_can_be_measured(text: str, block_tokens: int) -> None:
    chain, tokens = TextBlocks(block_tokens).measured(text)

    assert block_count(chain) == tokens // block_tokens or not text
    assert tokens <= max(1, len(text))


def test_a_page_of_spaces_is_measured_in_no_time() -> None:
    assert TextBlocks(16).measured(" " * 1_000_000)[1] > 1000


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("ls -la", "ls"),
        ("cd /x && python -m pytest -q tests", "pytest"),
        ("python3.11 run.py", "python"),
        ("/usr/bin/git status", "git"),
        ("cd /x\nexport A=1; make all", "make"),
        ("cd /x", ""),
        ("", ""),
        ("&& || ;;", ""),
        ("x" * 5000, "x" * 32),
    ],
)
def test_a_command_line_is_what_it_runs(command: str, expected: str) -> None:
    assert command_class(command) == expected


def test_the_first_code_block_is_the_command() -> None:
    assert fenced_command("I look.\n```bash\nls -l\n```\nor\n```\nrm\n```") == "ls -l\n"
    assert fenced_command("no block") == ""
