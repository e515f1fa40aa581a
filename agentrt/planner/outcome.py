"""`Outcome`: how a task ended. A failure is an outcome too: the joiner hears of it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from agentrt.ir.schema import Json


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result, or what went wrong.

    Attributes:
        value: The result as JSON; what references stand for.
        error: What went wrong; None: nothing.
        is_final: The same call is not to be made again: it succeeded, or it may have taken effect.
    """

    value: Json = None
    error: str | None = None
    is_final: bool = True

    @property
    def is_ok(self) -> bool:
        return self.error is None

    def shown(self, max_characters: int) -> str:
        """As the joiner reads it: text as it is, anything else as JSON; cut, and then it says so."""
        if self.error is not None:
            text = f"error: {self.error}"
        elif isinstance(self.value, str):
            text = self.value
        else:
            text = json.dumps(self.value, ensure_ascii=False)
        if len(text) <= max_characters:
            return text
        return f"{text[:max_characters]}\n[cut: {len(text):,} characters in all]"


def failed(error: str, *, is_final: bool = False) -> Outcome:
    """An outcome without a result."""
    return Outcome(error=error, is_final=is_final)
