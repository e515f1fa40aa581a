"""`agentrt doctor`: is a backend there, and what can it do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from agentrt.cli.connection import environment_settings
from agentrt.cli.failure import FAILED
from agentrt.cli.output import Answers, as_json

if TYPE_CHECKING:
    from agentrt.backends.probe import Check, Report


def check_backend(answers: Answers, url: str | None, model: str | None, *, is_json: bool) -> int:
    """Print one line for each check; 1 if the backend cannot be used."""
    from agentrt.backends.probe import probe  # noqa: PLC0415  only this command's

    settings = environment_settings()
    report = asyncio.run(probe(url or settings.backend, model=model or settings.model))
    del as_json
    return FAILED
