"""`agentrt doctor`: is a backend there, and what can it do."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agentrt.cli.connection import environment_settings
from agentrt.cli.failure import FAILED
from agentrt.cli.output import Answers, tell
from agentrt.ir.render_label import printable

if TYPE_CHECKING:
    from agentrt.backends.probe import Report

_WORDS = {True: "ok     ", False: "missing"}


def check_backend(
    answers: Answers,
    url: str | None,
    model: str | None,
    *,
    traffic: str | None = None,
    is_json: bool,
) -> int:
    """Print one line for each check; 1 if the backend cannot be used.

    `traffic`: a stored run, or a file of recorded calls: what drafting would gain on it is told, too.
    """
    from agentrt.backends.probe import probe  # noqa: PLC0415  only this command's
    from agentrt.cli.drafting_advice import (  # noqa: PLC0415
        advice_json,
        advice_lines,
        expected_of,
    )
    from agentrt.cli.traffic import recorded_traffic  # noqa: PLC0415

    settings = environment_settings()
    expected = expected_of(recorded_traffic(traffic)) if traffic else []
    report = asyncio.run(probe(url or settings.backend, model=model or settings.model))
    server = report.capabilities.server if report.capabilities else ""
    # Without traffic, only who drafts by flags hears of it.
    is_asked = bool(expected) or server.lower().startswith(("vllm", "sglang"))
    if is_json:
        advice = {"drafting": advice_json(server, expected)} if is_asked else {}
        answers.json(report_json(report) | advice)
    else:
        advised = advice_lines(server, expected) if is_asked else []
        answers.text("\n".join([*report_lines(report), *advised]))
    if report.capabilities is None:
        tell("hint: start the server there, or use the model in this process: --backend local")
    return 0 if report.is_usable else FAILED


def report_lines(report: Report) -> list[str]:
    """The report for people: the backend, each check with its advice, the verdict."""
    width = max((len(check.name) for check in report.checks), default=0)
    lines = [printable(report.backend)]
    for check in report.checks:
        # What servers say goes to a terminal.
        detail = printable(" ".join(check.detail.split()))
        lines.append(f"  {_WORDS[check.is_ok]}  {check.name.ljust(width)}  {detail}")
    return [*lines, "usable" if report.is_usable else "not usable"]


def report_json(report: Report) -> dict[str, Any]:
    """The report as `--json` prints it."""
    return {
        "backend": report.backend,
        "is_usable": report.is_usable,
        "checks": [asdict(check) for check in report.checks],
        "capabilities": asdict(report.capabilities) if report.capabilities else None,
    }
