"""`ThunderAgent`: programs paused and restored at capacity, smallest first (arXiv 2602.13692).

As in its code (`scheduler/router.py`): `capacity = kv_blocks * block_tokens`,
`used = sum of reasoning tokens + w * sum of acting tokens + 100 * programs`, shared prefixes counted
once for each program. Restored first are programs that have made a call, then new ones, each by
ascending tokens, as long as they fit; paused are acting programs, smallest first.
`docs/rivals.md` says where this differs from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentrt.ir.prefix import block_count
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.engine_admission import context_blocks
from agentrt.scheduler.policy import UNGUARDED
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext, ProgramPhase

_FAR = 1e9
"""Beyond any size in blocks and any time: what tells classes of an order apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThunderAgent:
    """Size decides everything; nothing ages.

    Attributes:
        acting_weight: What a token of a program between calls counts (`--acting-token-weight`).
        program_tokens: What each program counts besides its tokens.
        block_tokens: Tokens of a block.
        patience_s: 0: restoring stops at the first that does not fit.
    """

    acting_weight: float = 1.0
    program_tokens: int = 100
    block_tokens: int = 16
    patience_s: float = 0.0
    guarded_places: int = UNGUARDED
    touches: bool = False
    limits_batches: bool = False
    name: str = "thunderagent"

    def __post_init__(self) -> None:
        if not self.acting_weight < math.inf:
            raise ValueError("the weight of a token is finite")

    def rank(self, call: Call, outlook: Outlook, now: float) -> float:
        is_new = call.program.turns == 0
        return block_count(call.chain) + (_FAR if is_new else 0.0)

    def short_to_enter(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        if not replica.placed:
            return 0.0
        newcomer = needed_blocks * self.block_tokens + self.program_tokens
        is_over = self.used_tokens(replica) + newcomer > replica.kv_blocks * self.block_tokens
        return math.inf if is_over else 0.0

    def short_to_grow(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        grown = self.used_tokens(replica) + needed_blocks * self.block_tokens
        if grown <= replica.kv_blocks * self.block_tokens:
            return 0.0
        # What reasons is never stopped: where nothing is left to pause it goes over the capacity.
        has_acting = any(p.phase is ProgramPhase.ACTING for p in replica.placed.values())
        return math.inf if has_acting else 0.0

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        # Places are taken back in the order in which holds end: that of the sizes. Newcomers take
        # none, only growth does.
        return _FAR + context_blocks(context.program)

    def move_at(self, call: Call, home: Replica, outlook: Outlook) -> float:
        return -math.inf  # what is restored goes wherever it fits

    def used_tokens(self, replica: Replica) -> float:
        """What the programs with a place count, each by itself."""
        used = 0.0
        for program in replica.placed.values():
            is_acting = program.phase is ProgramPhase.ACTING
            weight = self.acting_weight if is_acting else 1.0
            used += weight * context_blocks(program) * self.block_tokens + self.program_tokens
        return used
