"""The sequences of an engine: each by itself, and those that decode, all together."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from agentrt.ir.prefix import Chain, first_blocks
from agentrt.scheduler.radix import Reference
from agentrt.simulator.engine_request import EngineRequest


@dataclass(slots=True, eq=False)
class Sequence:
    """A request at an engine.

    Attributes:
        arrival: Its place among all requests, in the order they came.
        generated: Tokens of the answer that are there, as of the last step booked on it.
        target: Tokens to have in the cache before it decodes; `computed`: those that are.
        reference: Its blocks in the prefix cache, while it runs.
        joined_step: The step from which on it decodes; None while it does not.
        to_swap_in: Blocks to be read from host memory in its next step.
    """

    request: EngineRequest
    arrival: int
    generated: int = 0
    target: int = 0
    computed: int = 0
    cached_tokens: int | None = None
    reference: Reference | None = None
    joined_step: int | None = None
    to_swap_in: int = 0
    is_cancelled: bool = False

    def chain_of(self, tokens: int, block_tokens: int) -> Chain:
        """The full blocks of its first `tokens` tokens, as far as they are known."""
        blocks = tokens // block_tokens
        request = self.request
        if tokens <= request.prompt_tokens or not request.context:
            return first_blocks(request.prompt, blocks)
        return first_blocks(request.context, blocks)

    def tokens_at(self, step: int) -> int:
        """Tokens it has in the cache before the step of that number."""
        if self.joined_step is None:
            return self.computed
        return self.target + step - self.joined_step

    def generated_at(self, step: int) -> int:
        """Tokens of its answer before the step of that number."""
        if self.joined_step is None:
            return self.generated
        return self.generated + step - self.joined_step


class DecodeBatch:
    """The sequences that decode. All gain a token in every step, so sums move in closed form.

    A sequence needs a block more in every `block_tokens`-th step. Which ones is one number for
    each, its phase; how many of each phase there are is all that counting blocks takes.
    """

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._phases = [0] * block_tokens
        self._ends: list[tuple[int, int, int, Sequence]] = []
        self._joins = 0
        self.step = 0
        self.sequences = 0
        self.context_tokens = 0

    def join(self, sequence: Sequence) -> None:
        """Have a sequence, whose `target` tokens are computed, decode what is left of its answer."""
        sequence.joined_step = self.step
        left = sequence.request.completion_tokens - sequence.generated
        self._joins += 1
        heapq.heappush(self._ends, (self.step + left, sequence.arrival, self._joins, sequence))
        self._phases[self._phase(sequence)] += 1
        self.sequences += 1
        self.context_tokens += sequence.target

    def leave(self, sequence: Sequence) -> None:
        """Take a sequence out, and book on it what it decoded."""
        tokens, generated = sequence.tokens_at(self.step), sequence.generated_at(self.step)
        self._phases[self._phase(sequence)] -= 1
        self.sequences -= 1
        self.context_tokens -= tokens
        sequence.computed, sequence.generated, sequence.joined_step = tokens, generated, None

    def advance(self, steps: int) -> None:
        """Have every sequence decode `steps` tokens, none more than it has left."""
        self.step += steps
        self.context_tokens += self.sequences * steps

    def steps_to_next_end(self) -> int:
        """Steps until a sequence has all of its answer; there must be one."""
        self._skip_who_left()
        return self._ends[0][0] - self.step

    def take_ended(self) -> list[Sequence]:
        """Those who have all of their answer now, in the order they came; they leave."""
        ended: list[Sequence] = []
        self._skip_who_left()
        while self._ends and self._ends[0][0] == self.step:
            sequence = heapq.heappop(self._ends)[3]
            self.leave(sequence)
            ended.append(sequence)
            self._skip_who_left()
        return ended

    def blocks_for(self, steps: int) -> int:
        """Blocks that all of them together need more in the next `steps` steps."""
        rounds, rest = divmod(steps, self._block_tokens)
        begin = self.step % self._block_tokens
        end = begin + rest
        blocks = rounds * self.sequences + sum(self._phases[begin:end])
        if end > self._block_tokens:
            blocks += sum(self._phases[: end - self._block_tokens])
        return blocks

    def steps_within(self, blocks: int, most: int) -> int:
        """The most steps, up to `most`, that need no more than `blocks` blocks."""
        if self.blocks_for(most) <= blocks:
            return most
        low, high = 0, most
        while high - low > 1:
            middle = (low + high) // 2
            if self.blocks_for(middle) <= blocks:
                low = middle
            else:
                high = middle
        return low

    def _phase(self, sequence: Sequence) -> int:
        return ((sequence.joined_step or 0) - sequence.target) % self._block_tokens

    def _skip_who_left(self) -> None:
        while self._ends and not self._is_current(self._ends[0]):
            heapq.heappop(self._ends)

    @staticmethod
    def _is_current(entry: tuple[int, int, int, Sequence]) -> bool:
        """Whether an entry is of this stay of its sequence, not of one before a preemption."""
        end, _, _, sequence = entry
        if sequence.joined_step is None:
            return False
        left = sequence.request.completion_tokens - sequence.generated
        return sequence.joined_step + left == end


def blocks_of(tokens: int, block_tokens: int) -> int:
    """Blocks that `tokens` tokens take."""
    return -(-tokens // block_tokens)


def private_blocks(sequence: Sequence, tokens: int, block_tokens: int) -> int:
    """Blocks a running sequence has beside those it references in the prefix cache."""
    shared = sequence.reference.blocks if sequence.reference is not None else 0
    return blocks_of(tokens, block_tokens) - shared
