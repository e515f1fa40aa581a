"""What is opened in one paragraph of a prompt and closed in another."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

_FENCES: Final = ("```", "~~~", '"""', "'''")
_TAG: Final = re.compile(r"<(?P<end>/?)(?P<name>[A-Za-z][\w.-]*)\b[^<>]*(?<!/)>")


class Marks:
    """Fences, tags and brackets that were opened so far, and not closed."""

    def __init__(self, texts: Sequence[str]) -> None:
        """`texts`: all there are. A `<b>` that none of them closes is no tag, and so with brackets."""
        found = (match for text in texts for match in _TAG.finditer(text))
        self._ends = {match["name"] for match in found if match["end"]}
        self._has_brackets = not sum(map(_brackets, texts))
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._fences = Counter[str]()
        self._tags = Counter[str]()
        self._brackets = 0

    def read(self, text: str) -> None:
        """Static text that comes next."""
        self._fences.update({fence: text.count(fence) for fence in _FENCES})
        self._brackets += _brackets(text) if self._has_brackets else 0
        for match in _TAG.finditer(text):
            self._tags[match["name"]] += -1 if match["end"] else 1

    @property
    def are_open(self) -> bool:
        return (
            any(count % 2 for count in self._fences.values())
            or self._brackets > 0
            or any(count > 0 and name in self._ends for name, count in self._tags.items())
        )


def _brackets(text: str) -> int:
    """How many are opened more than closed."""
    return sum(map(text.count, "[{")) - sum(map(text.count, "]}"))
