"""A benchmark says what it does: live on a terminal, in lines elsewhere, not at all if asked."""

from __future__ import annotations

import sys

import pytest

from agentrt.cli.bench_progress import watched


def said(capsys: pytest.CaptureFixture[str], *, is_quiet: bool) -> list[str]:
    with watched(is_quiet=is_quiet) as progress:
        progress.say("asking http://a/v1")
        count = progress.counting("a, 1 of 1")
        count(1, 2)
        progress.note("a, 1: completion 1.00 s")
    return capsys.readouterr().err.splitlines()


def test_where_nobody_watches_there_is_a_line_for_each_replay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert said(capsys, is_quiet=False) == [
        "asking http://a/v1",
        "a, 1 of 1: begins",
        "a, 1: completion 1.00 s",
    ]


def test_long_replays_say_how_far_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentrt.cli.bench_progress._EVERY_S", 0.0)
    assert said(capsys, is_quiet=False)[2] == "a, 1 of 1: 1 of 2 programs ended after 0 s"


def test_on_a_terminal_what_is_to_be_kept_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = "\n".join(said(capsys, is_quiet=False))
    assert "1 of 2 programs ended" in shown
    assert "a, 1: completion 1.00 s\n" in shown


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, is_quiet=True) == []
