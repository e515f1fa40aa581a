"""States of slots that were saved, by what is in them, and prompts that are being computed. No I/O."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agentrt.backends.embedded_saves import SaveArea
from agentrt.ir.prompt_break import common_length

MIN_SHARED_CHARS = 1000
"""Shorter beginnings are computed in less time than the bookkeeping around them takes."""
_MAX_KNOWN = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A state in the save area; no file: what is in it cannot be shared."""

    file: str = ""
    size_bytes: int = 0
    computed_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The saved state that begins most like a prompt.

    Attributes:
        text: Under which it was saved; empty: there is none worth the name.
        known_chars: That both begin with.
        file: Empty: it cannot be shared.
    """

    text: str = ""
    known_chars: int = 0
    file: str = ""

    @property
    def chars(self) -> int:
        """Of the prompt that can be put into any slot."""
        return self.known_chars if self.file else 0


class SavedStates:
    """Up to `max_bytes` of them; the least recently used go first."""

    def __init__(self, saves: SaveArea, *, max_bytes: int) -> None:
        self._saves = saves
        self._max_bytes = max_bytes
        self._saved: OrderedDict[str, Saved] = OrderedDict()

    def __contains__(self, text: str) -> bool:
        return text in self._saved

    def use(self, text: str) -> None:
        """It has just been of use; does nothing where it is not known."""
        if text in self._saved:
            self._saved.move_to_end(text)

    def like(self, text: str) -> Found:
        """What begins most like `text`."""
        start = text[:MIN_SHARED_CHARS]
        found = Found()
        for known, saved in self._saved.items():
            if known.startswith(start) and len(start) == MIN_SHARED_CHARS:
                chars = common_length(known, text)
                if chars > found.known_chars:
                    found = Found(text=known, known_chars=chars, file=saved.file)
        return found

    def keep(self, text: str, saved: Saved) -> None:
        """One that is too large is only remembered as such."""
        if saved.size_bytes > self._max_bytes:
            self._saves.remove(saved.file)
            saved = Saved()
        self.drop(text)
        self._saved[text] = saved
        total = sum(entry.size_bytes for entry in self._saved.values())
        while total > self._max_bytes or len(self._saved) > _MAX_KNOWN:
            oldest = next(iter(self._saved))
            total -= self._saved[oldest].size_bytes
            self.drop(oldest)

    def drop(self, text: str) -> None:
        """Forget it; does nothing where it is not known."""
        saved = self._saved.pop(text, None)
        if saved is not None and saved.file:
            self._saves.remove(saved.file)


@dataclass(slots=True, eq=False)
class Computing:
    """A prompt that is being computed, and who waits for that.

    Attributes:
        chars: Of it that are computed now; the rest was there.
    """

    text: str
    chars: int
    followers: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Until it is computed, or nobody computes it any more."""
        self.followers += 1
        try:
            await self.done.wait()
        finally:
            self.followers -= 1


class Underway:
    """The prompts that are being computed, for those to wait that begin alike."""

    def __init__(self) -> None:
        self._computing: list[Computing] = []

    @contextmanager
    def computing(self, text: str, chars: int) -> Generator[Computing]:
        """A block that computes `chars` of `text`."""
        one = Computing(text, chars)
        self._computing.append(one)
        try:
            yield one
        finally:
            self._computing.remove(one)
            one.done.set()

    def leader(self, text: str, *, at_hand: int) -> Computing | None:
        """One whose end brings more of `text` than is `at_hand`, and enough to wait for it.

        Of what the leader computes half at least has to be of use: computing the rest takes time as
        well, on a processor that both would share.
        """
        best: tuple[int, Computing] | None = None
        for one in self._computing:
            gained = common_length(one.text, text) - at_hand
            is_worth_it = gained >= max(MIN_SHARED_CHARS, one.chars // 2)
            if is_worth_it and (best is None or gained > best[0]):
                best = gained, one
        return None if best is None else best[1]
