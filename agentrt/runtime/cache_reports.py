"""`CacheReports`: what answers say of a server's cache, in the scheduler's terms."""

from __future__ import annotations

from agentrt.ir.request import Capabilities, Usage
from agentrt.runtime.prompt_chains import BLOCK_CHARACTERS
from agentrt.scheduler.events import ReplicaId

BLOCK_TOKENS = 16
"""Tokens that a block of characters stands for, whatever a tokenizer makes of its text."""


class CacheReports:
    """Which replicas of a pool say how much of a prompt they had cached, and what that means.

    Usage has no cached tokens both where nothing was cached and where a server does not say. Of a
    replica that never said so, what was sent before is taken to be cached still: the scheduler is
    not to take silence for a loss.
    """

    def __init__(self) -> None:
        self._reporting: set[ReplicaId] = set()

    def up(self, replica_id: ReplicaId, capabilities: Capabilities) -> None:
        """A replica is there (again), perhaps started with other options."""
        self._reporting.discard(replica_id)
        if capabilities.reports_cached_tokens:
            self._reporting.add(replica_id)

    def told(
        self, replica_id: ReplicaId | None, usage: Usage, *, characters: int, known_blocks: int
    ) -> Usage:
        """The usage of a call as the scheduler is to hear it: in tokens that make up its blocks.

        A tokenizer cuts prose into fewer tokens than a block stands for and code into more, so
        that the whole of a cached prompt would look like a part of it, or a part like the whole.

        Args:
            usage: As the server counted it.
            characters: Of the prompt.
            known_blocks: Of its beginning, that were sent before.
        """
        prompt_tokens = max(1, round(characters * BLOCK_TOKENS / BLOCK_CHARACTERS))
        if usage.cached_tokens and replica_id is not None:
            self._reporting.add(replica_id)
        if usage.prompt_tokens and replica_id in self._reporting:
            # No more is cached than there is, whatever a server says.
            share = min(usage.cached_tokens / usage.prompt_tokens, 1.0)
            cached_tokens = round(share * prompt_tokens)
        else:  # an engine always computes the last token
            cached_tokens = min(known_blocks * BLOCK_TOKENS, prompt_tokens - 1)
        return Usage(prompt_tokens, cached_tokens, usage.completion_tokens)
