"""What every command has around it: a clean stdout, readable errors, an exit code."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable

from agentrt.cli.failure import Failure, describe
from agentrt.cli.output import Answers, only_answers_on_stdout, tell


def perform(action: Callable[[Answers], int], *, is_json: bool = False) -> int:
    """Run a command's body and return its exit code; what it raises is told, never thrown."""
    with only_answers_on_stdout() as answers:
        try:
            return action(answers)
        # The one place where anything at all may arrive: a user's code ran in there.
        except (Exception, KeyboardInterrupt, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001
            return report(error, answers, is_json=is_json)


def report(error: BaseException, answers: Answers, *, is_json: bool) -> int:
    """Tell `error` on stderr (and with `is_json` as the one object on stdout)."""
    if os.environ.get("AGENTRT_DEBUG", "0") not in {"", "0"}:
        tell("".join(traceback.format_exception(error)).rstrip("\n"))
    failure = describe(error)
    tell(*failure.lines())
    if is_json and not answers.has_written:
        answers.json(failure_json(failure))
    return failure.exit_code


def failure_json(failure: Failure) -> dict[str, object]:
    """What `--json` prints when there is no run to print."""
    return {"status": "failed", "error": failure.to_json()}
