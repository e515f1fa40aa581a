"""What a stored run's calls could have found cached, what they did, and what broke the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentrt.ir.prompt_break import Break, Piece, common_length, first_break, text_of
from agentrt.ir.request import Usage
from agentrt.runtime.stored_prompt import StoredPrompt
from agentrt.runtime.stored_prompts import prompts_of
from agentrt.store.base import AttemptRecord, StoredRun

_LOOKED_BACK = 64
"""Earlier calls that each is compared with."""


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
        """Of the calls whose prompts are known."""
        return sum(call.possible_tokens or 0 for call in self.calls)


def prefix_report(stored: StoredRun, earlier: StoredRun | None = None) -> PrefixReport:
    """Compare the calls of `stored` with those before them, and with the calls of `earlier`."""
    known = _sent(earlier, prompts_of(earlier)) if earlier is not None else []
    texts: list[_Known] = [
        _Known(f"{earlier.run.run_id}:{prompt.node_id}", prompt.pieces, text_of(prompt.pieces))
        for prompt, _ in known
        if earlier is not None and prompt is not None
    ]
    calls: list[CallPrefix] = []
    for prompt, attempt in _sent(stored, prompts_of(stored)):
        calls.append(_call(prompt, attempt, texts))
        if prompt is not None:
            texts.append(_Known(prompt.node_id, prompt.pieces, text_of(prompt.pieces)))
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
    text: str


def _sent(
    stored: StoredRun, prompts: Mapping[str, StoredPrompt]
) -> list[tuple[StoredPrompt | None, AttemptRecord]]:
    answered = [attempt for attempt in stored.attempts if attempt.status == "finished"]
    answered.sort(key=lambda attempt: attempt.started_s)
    return [(prompts.get(attempt.node_id), attempt) for attempt in answered]


def _call(
    prompt: StoredPrompt | None, attempt: AttemptRecord, before: Sequence[_Known]
) -> CallPrefix:
    usage = attempt.usage
    if prompt is None:
        return CallPrefix(
            node_id=attempt.node_id,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            possible_tokens=None,
        )
    text = text_of(prompt.pieces)
    best, shared = None, 0
    for known in reversed(before[-_LOOKED_BACK:]):
        length = common_length(known.text, text)
        if length > shared:
            best, shared = known, length
    rate = usage.prompt_tokens / len(text) if text else 0.0
    return CallPrefix(
        node_id=attempt.node_id,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        possible_tokens=min(int(shared * rate), max(usage.prompt_tokens - 1, 0)),
        before="" if best is None else best.name,
        broken=None if best is None else first_break(best.pieces, prompt.pieces),
    )
