"""What the store keeps of an LLM call beside its tokens and times, so that it can be replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentrt.ir.prefix import Chain, Run, block_count, chained, shared_blocks
from agentrt.ir.schema import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDetail:
    """One call's place among all prompts, and in time. There is no text in it.

    Attributes:
        ids: Whose block ids these are: those of other origins mean nothing beside them.
        prompt: The full blocks of the prompt, of 64 characters each.
        context: The same of prompt and answer.
        characters: Of the prompt, and of the answer.
        ready_s: When it could have been sent, in seconds since the run started.
    """

    ids: str
    prompt: Chain
    context: Chain
    characters: tuple[int, int]
    ready_s: float

    def to_json(self) -> Json:
        return {
            "ids": self.ids,
            "prompt": _chain_json(self.prompt),
            "context": _chain_json(self.context),
            "characters": list(self.characters),
            "ready_s": self.ready_s,
        }


def detail_from_json(data: Any) -> CallDetail | None:
    """The inverse of `to_json`; None for anything else, such as what earlier releases kept."""
    try:
        prompt, answer = data["characters"]
        detail = CallDetail(
            ids=str(data["ids"]),
            prompt=_chain(data["prompt"]),
            context=_chain(data["context"]),
            characters=(int(prompt), int(answer)),
            ready_s=float(data["ready_s"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
    goes_on = shared_blocks(detail.prompt, detail.context) == block_count(detail.prompt)
    return detail if goes_on and min(detail.characters) >= 0 else None


def _chain_json(chain: Chain) -> Json:
    return [[run.first, run.count] for run in chain]


def _chain(data: Any) -> Chain:
    runs = [Run(int(first), int(count)) for first, count in data]
    if any(run.first < 0 or run.count < 1 for run in runs):
        raise ValueError("no blocks")
    return chained(runs)
