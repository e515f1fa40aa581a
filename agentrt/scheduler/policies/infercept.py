"""`InferCept`: contexts kept while that wastes less than computing them again (arXiv 2402.01869).

As in its code (`scheduler_v2.py`), for a context of `n` tokens whose tool takes `t` more seconds, with
waste in token seconds of memory:

    preserving wastes   t * n
    discarding wastes   forward_s(chunk) * k (k + 1) / 2 * c  +  extra_s(c) * k * running
                        + extra_s(last) * (running + last)

where `c` tokens of each step's `chunk` are not taken by the running batch, the context takes `k` steps
of `c` tokens and `last = n mod c` more, and `running` are the tokens of the contexts that run.
Its artifact reads `t` from the trace. Here, as in the paper, the best guess of what is left of a tool's
time is the time it has taken so far: so a context is discarded when `elapsed * n` exceeds the waste of
discarding it, which is known when the call ends and asked
again when one of its tools starts or returns. `docs/rivals.md` says what is missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentrt.ir.prefix import block_count
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.engine_admission import EngineAdmission
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Pause, PlacedContext


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardCost:
    """What a step costs: a linear fit.

    Attributes:
        step_s: A step with no tokens.
        token_s: Each token more.
        chunk: Tokens of a step.
    """

    step_s: float
    token_s: float
    chunk: int

    def discard_waste(self, tokens: int, *, batch_tokens: int, running_tokens: int) -> float:
        """Token seconds wasted if a context of so many tokens is computed again.

        `batch_tokens` are those that a step computes for what runs, `running_tokens` their contexts.
        """
        free = max(self.chunk - batch_tokens, 1)
        full_steps = max(math.ceil(tokens / free) - 1, 0)
        last = tokens % free
        forward_s = self.step_s + self.token_s * self.chunk
        return (
            forward_s * full_steps * (full_steps + 1) / 2 * free
            + self.token_s * free * full_steps * running_tokens
            + self.token_s * last * (running_tokens + last)
        )


class InferCept(EngineAdmission):
    """First come, first served by the programs' arrival, with the least wasteful preserved."""

    name = "infercept"

    def __init__(
        self,
        *,
        step_s: float = 15.4e-3,
        token_s: float = 0.0279e-3,
        chunk: int = 384,
        touches: bool = True,
    ) -> None:
        """The engine's cost of a step, as of `ForwardCost`; InferCept's own GPU by default."""
        if not (step_s < math.inf and token_s < math.inf):
            raise ValueError("what a step costs is finite")
        super().__init__(touches=touches)
        self.cost = ForwardCost(step_s=step_s, token_s=token_s, chunk=chunk)

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        if pause.is_last:
            return now
        tokens = max(block_count(context.chain), 1) * outlook.block_tokens
        running_blocks = sum(block_count(call.chain) for call in replica.running.values())
        waste = self.cost.discard_waste(
            tokens,
            batch_tokens=len(replica.running),
            running_tokens=running_blocks * outlook.block_tokens,
        )
        return pause.ended_at + waste / tokens
