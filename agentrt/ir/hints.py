"""`Hints`: what a scheduler knows of a call that an engine could use. Never what an answer rests on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """All of it is advice, in agentrt's terms; `agentrt.backends.hints` puts it into an engine's.

    Attributes:
        program_id: The program, by an id that says nothing of the client.
        parent_id: The program that it is a part of; empty: none.
        priority: Among the calls at one server, 0 and up: higher goes first; None: no wish.
        tenant: Whose it is, for engines with fair queues.
        cache_salt: Only prompts of the same salt share cached prefixes; empty: all may.
        hold_s: Seconds that the context is worth keeping after the answer; 0: it is not needed any
            more; None: not known.
        next_tool: What the answer is likely to call; empty: not known.
        is_last: Nothing goes on from the answer.
        completion_tokens: How long the answer is likely to be; None: not known.
        reused_tokens: Of the prompt, from its start, that a later call of the program begins with too;
            None: not known.
        next_use_s: Seconds until that call, where it is known.
        stable_chars: Of the messages, from their start, that are the same in every run of its node.
        cache_key: What requests that begin as it does are to be cached together by; empty: its program.
        has_followers: Calls that begin as it does are sent at its first token.
        deadline_s: Seconds until the first token is wanted; None: whenever.
    """

    program_id: str = ""
    parent_id: str = ""
    priority: int | None = None
    tenant: str = ""
    cache_salt: str = ""
    hold_s: float | None = None
    next_tool: str = ""
    is_last: bool = False
    completion_tokens: int | None = None
    deadline_s: float | None = None
    reused_tokens: int | None = None
    next_use_s: float | None = None
    stable_chars: int = 0
    cache_key: str = ""
    has_followers: bool = False


NO_HINTS = Hints()
"""Nothing is known of it."""
