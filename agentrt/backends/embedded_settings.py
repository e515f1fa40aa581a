"""How the embedded engine is set up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from agentrt.errors import InputError

DraftingWish: TypeAlias = Literal["measured", "on", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedSettings:
    """How the engine is set up.

    Attributes:
        slots: Requests decoded at once; more wait here.
        context_tokens: Prompt and completion of one request at most. Memory for `slots` times as
            many tokens is taken at the start.
        threads: Threads that compute; None: one for each physical core this process may use.
        cache_ram_mib: Memory for the prompts of sequences that lost their slot, in MiB; 0: none.
        max_tokens: Completion tokens of a request that sets no limit; a small model that loops
            would otherwise go on to the end of its context.
        temperature: Of a request that sets none; 0 takes the likeliest token every time.
        share_prefixes: Compute what prompts begin with in common once for all slots.
        saved_prefixes_mib: Memory for such prefixes, in MiB.
        drafting: Guess tokens by looking up in the text so far what followed the last few, and have
            the model verify them together: always, never, or (`measured`) while it pays.
        pull_if_missing: Download a known model that is not here; otherwise that is an error.
        cache_dir: Where models are kept, instead of the user's cache directory.
    """

    slots: int = 4
    context_tokens: int = 4096
    threads: int | None = None
    cache_ram_mib: int = 1024
    max_tokens: int = 1024
    temperature: float = 0.0
    share_prefixes: bool = True
    saved_prefixes_mib: int = 512
    drafting: DraftingWish = "measured"
    pull_if_missing: bool = True
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what an engine could only hang on.

        Raises:
            InputError: a number is too small.
        """
        least = {"slots": 1, "context_tokens": 1, "max_tokens": 1, "threads": 1}
        least |= {"cache_ram_mib": 0, "saved_prefixes_mib": 0}
        for name, lowest in least.items():
            value: int | None = getattr(self, name)
            if value is not None and value < lowest:
                raise InputError(f"EmbeddedSettings({name}={value}): {lowest} is the least")
