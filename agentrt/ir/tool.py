"""What a tool promises: the part of it that planning needs and a model is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agentrt.ir.schema import Schema

Effects: TypeAlias = Literal["none", "read", "write"]
"""What a tool may do to the world: decides dedupe, overlap, retry and resume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool, as data.

    Attributes:
        name: Unique within a graph; what the model calls.
        description: The first paragraph of the docstring; what the model reads.
        parameters: The JSON Schema of its keyword arguments (an object).
        output: The JSON Schema of what it returns.
        effects: `none`: a pure function; `read`: looks at the world; `write`: changes it.
        is_idempotent: Whether repeating a call is harmless, though its effects are `write`.
        timeout_s: Seconds one attempt may take; None: no limit.
        retries: Further attempts after the first, where repeating is allowed.
        concurrency: Attempts at once, over all runs of a runtime; None: no limit.
        max_output_bytes: A longer result (as JSON) is an error in a graph; for an agent the
            observation is cut there and says so.
        is_deterministic: Two equal calls at one moment give the same. False for a die, or a ticket
            machine, whose calls are then never made one.
        single_flight: Equal calls at one time, of whichever runs of a tenant, are made once, where the
            effects are `none` or `read`.
    """

    name: str
    description: str = ""
    parameters: Schema = field(default_factory=dict[str, object])
    output: Schema = field(default_factory=dict[str, object])
    effects: Effects = "write"
    is_idempotent: bool = False
    timeout_s: float | None = None
    retries: int = 2
    concurrency: int | None = None
    max_output_bytes: int = 1_000_000
    is_deterministic: bool = True
    single_flight: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether a call that may or may not have happened can simply be made again."""
        return self.effects != "write" or self.is_idempotent
