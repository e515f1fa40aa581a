"""`EngineFields`: what an inference server takes beside OpenAI's own fields. Unknown means no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

PriorityOrder: TypeAlias = Literal["lower_first", "higher_first"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFields:
    """As found by asking the server, or by what is known of its kind.

    Attributes:
        dialects: Whose hints it understands; `agentrt.backends.hint_table` has the words of each.
        body: Names of fields of a request's body that it knows, sorted: a server that drops what it
            does not know is not taken to know it.
        priority: Which numbers in `priority` go first; None: it orders by no such number.
        session_header: The header by which a router in front of it keeps a program at one server;
            empty: there is none.
        keeps_holds: It has said that it keeps contexts for as long as it is asked to
            (`agentrt.backends.vllm_holds`).
        has_tokenizer: `/tokenize` counts a prompt's tokens.
        has_kv_events: It publishes what its KV cache holds.
        metrics: Names of the figures on its `/metrics` that tell of its load and its cache, sorted.
    """

    dialects: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    priority: PriorityOrder | None = None
    session_header: str = ""
    keeps_holds: bool = False
    has_tokenizer: bool = False
    has_kv_events: bool = False
    metrics: tuple[str, ...] = ()
