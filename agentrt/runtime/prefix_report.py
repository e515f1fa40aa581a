"""What a stored run's calls could have found cached, what they did, and what broke the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentrt.ir.prompt_break import Break, Piece, common_length, first_break, text_of
from agentrt.ir.request import Usage
from agentrt.runtime.stored_prompt import StoredPrompt
from agentrt.runtime.stored_prompts import prompts_of
from agentrt.store.base import AttemptRecord, StoredRun

_LOOKED_BACK = 8
"""Earlier calls that each is compared with, beside the one that shares most blocks with it."""
_BLOCK_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPrefix:
    """One call.

    Attributes:
        prompt_tokens: As the server counted them; `cached_tokens` those it found.
        possible_tokens: That an earlier call had computed: by the prompts' text, at this prompt's
            characters a token. None: the prompt cannot be written again.
        before: The earlier call that it shares most with; empty: none shares anything.
        broken: Where it stops sharing that; None: it goes on from there.
    """

    node_id: str
    prompt_tokens: int
    cached_tokens: int
    possible_tokens: int | None
    before: str = ""
    broken: Break | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixReport:
    """One run.

    Attributes:
        earlier_run: The run of the same workflow that came before and counts as cached as well.
        calls: In the order they were sent.
    """

    run_id: str
    workflow: str
    earlier_run: str
    calls: tuple[CallPrefix, ...]

    @property
    def usage(self) -> Usage:
        """Of all calls."""
        return sum((Usage(call.prompt_tokens, call.cached_tokens) for call in self.calls), Usage())

    @property
    def possible_tokens(self) -> int:
        """Of all calls; where the prompt is not known, what was found is all that surely could be."""
        return sum(
            call.cached_tokens if call.possible_tokens is None else call.possible_tokens
            for call in self.calls
        )


def prefix_report(stored: StoredRun, earlier: StoredRun | None = None) -> PrefixReport:
    """Compare the calls of `stored` with those before them, and with the calls of `earlier`."""
    before = _Before()
    if earlier is not None:
        for prompt, _ in _sent(earlier, prompts_of(earlier)):
            if prompt is not None:
                before.add(prompt, f"{earlier.run.run_id}:{prompt.node_id}")
    calls: list[CallPrefix] = []
    for prompt, attempt in _sent(stored, prompts_of(stored)):
        calls.append(_call(prompt, attempt, before))
        if prompt is not None:
            before.add(prompt, prompt.node_id)
    return PrefixReport(
        run_id=stored.run.run_id,
        workflow=stored.run.workflow,
        earlier_run="" if earlier is None else earlier.run.run_id,
        calls=tuple(calls),
    )


@dataclass(frozen=True, slots=True)
class _Known:
    name: str
    pieces: Sequence[Piece]


class _Before:
    """The calls before, of which there may be thousands: the texts of a few are compared.

    Which one shares most is told by hashes of each block with all before it. Of those that share as
    many blocks, the agent's turn before, or the same call in an earlier run, and the latest calls are
    looked at for who shares most of the next block.
    """

    def __init__(self) -> None:
        self._latest: deque[_Known] = deque(maxlen=_LOOKED_BACK)
        self._by_mark: dict[int, _Known] = {}
        self._by_caller: dict[str, _Known] = {}

    def add(self, prompt: StoredPrompt, name: str) -> None:
        known = _Known(name, prompt.pieces)
        self._latest.append(known)
        self._by_caller[_caller(prompt.node_id)] = known
        for mark in _marks(text_of(prompt.pieces)):
            self._by_mark[mark] = known

    def like(self, prompt: StoredPrompt, text: str) -> tuple[_Known | None, int]:
        """The one whose beginning is most of `text`, which is the prompt's, and how much that is."""
        by_blocks = None
        for mark in _marks(text):
            found = self._by_mark.get(mark)
            if found is None:
                break
            by_blocks = found
        best, shared = None, 0
        own = self._by_caller.get(_caller(prompt.node_id))
        for known in (own, *reversed(self._latest), by_blocks):
            length = 0 if known is None else common_length(text_of(known.pieces), text)
            if length > shared:
                best, shared = known, length
        return best, shared


def _caller(node_id: str) -> str:
    """The agent, of its turns; else the node instance itself."""
    return node_id.rpartition("[")[0] if node_id.endswith("].llm") else node_id


def _marks(text: str) -> Iterator[int]:
    mark = 0
    for end in range(_BLOCK_CHARACTERS, len(text) + 1, _BLOCK_CHARACTERS):
        mark = hash((mark, text[end - _BLOCK_CHARACTERS : end]))
        yield mark


def _sent(
    stored: StoredRun, prompts: Mapping[str, StoredPrompt]
) -> list[tuple[StoredPrompt | None, AttemptRecord]]:
    answered = [attempt for attempt in stored.attempts if attempt.status == "finished"]
    answered.sort(key=lambda attempt: attempt.started_s)
    sent: list[tuple[StoredPrompt | None, AttemptRecord]] = []
    asked: set[str] = set()
    for attempt in answered:
        # An answer that did not fit was asked for again, with itself and what was wrong with it in
        # the prompt: neither is stored.
        prompt = None if attempt.node_id in asked else prompts.get(attempt.node_id)
        asked.add(attempt.node_id)
        sent.append((prompt, attempt))
    return sent


def _call(prompt: StoredPrompt | None, attempt: AttemptRecord, before: _Before) -> CallPrefix:
    usage = attempt.usage
    if prompt is None:
        return CallPrefix(
            node_id=attempt.node_id,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            possible_tokens=None,
        )
    text = text_of(prompt.pieces)
    best, shared = before.like(prompt, text)
    rate = usage.prompt_tokens / len(text) if text else 0.0
    return CallPrefix(
        node_id=attempt.node_id,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        possible_tokens=min(int(shared * rate), max(usage.prompt_tokens - 1, 0)),
        before="" if best is None else best.name,
        broken=None if best is None else first_break(best.pieces, prompt.pieces),
    )
