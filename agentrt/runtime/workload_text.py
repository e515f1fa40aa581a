"""Messages for the calls of a workload, which has no text: prompts that share blocks share words."""

from __future__ import annotations

import random

from agentrt.backends.made_text import TextSizes, made_words
from agentrt.errors import InvariantError
from agentrt.ir.prefix import (
    BlockId,
    Chain,
    Run,
    block_count,
    chained,
    first_blocks,
    shared_blocks,
)
from agentrt.ir.request import Completion, Message
from agentrt.ir.workload import CallStep, StepId, Workload


class WorkloadText:
    """What each call says: made-up words, as many as its tokens, and the answers there really were.

    A prompt that begins with the whole context of an earlier call of its program goes on with that
    conversation. Any other is written from its blocks, each of which stands for the same words
    wherever it is: what several programs begin with as the system message, the rest as the user's.
    Lengths are made good as the server counts tokens, so errors do not add up.
    """

    def __init__(self, workload: Workload, sizes: TextSizes, *, salt: str = "") -> None:
        """Texts of different salts share no words."""
        self.workload = workload
        self.sizes = sizes
        self._salt = salt
        self._common = _common_starts(workload)
        self._conversations: dict[tuple[int, StepId], tuple[tuple[Message, ...], int]] = {}
        self._asked: dict[tuple[int, StepId], tuple[Message, ...]] = {}

    def messages(self, program: int, step: StepId) -> tuple[Message, ...]:
        """The prompt of a call. Those it goes on from must have been answered."""
        call = self._call(program, step)
        before = self._goes_on_from(program, step, call)
        if before is None:
            messages = self._from_blocks(call)
        else:
            messages = self._going_on(call, *before, seed=f"{program}.{step}")
        self._asked[program, step] = messages
        return messages

    def answered(self, program: int, step: StepId, completion: Completion) -> None:
        """What the server said, so that later prompts can begin with it."""
        asked = self._asked.pop((program, step))
        usage = completion.usage
        conversation = (*asked, Message("assistant", completion.text))
        self._conversations[program, step] = (conversation, usage.total_tokens)

    def ended(self, program: int) -> None:
        """Nothing more is asked of a program: its conversations are not needed any longer."""
        for step in range(len(self.workload.programs[program].steps)):
            self._conversations.pop((program, step), None)
            self._asked.pop((program, step), None)

    def _call(self, program: int, step: StepId) -> CallStep:
        made = self.workload.programs[program].steps[step]
        if not isinstance(made, CallStep):
            raise InvariantError(f"step {step} of program {program} is no call")
        return made

    def _goes_on_from(
        self, program: int, step: StepId, call: CallStep
    ) -> tuple[tuple[Message, ...], int] | None:
        """The longest conversation that the prompt begins with, and its tokens."""
        longest, found = 0, None
        for earlier in range(step):
            known = self._conversations.get((program, earlier))
            if known is None:
                continue
            context = self._call(program, earlier).context
            blocks = block_count(context)
            if blocks > longest and shared_blocks(context, call.prompt) == blocks:
                longest, found = blocks, known
        return found

    def _going_on(
        self, call: CallStep, conversation: tuple[Message, ...], tokens: int, *, seed: str
    ) -> tuple[Message, ...]:
        new_tokens = call.prompt_tokens - tokens - self.sizes.turn_tokens
        words = made_words(random.Random(f"{self._salt} {seed}"), self.sizes.words(new_tokens))
        return (*conversation, Message("user", words))

    def _from_blocks(self, call: CallStep) -> tuple[Message, ...]:
        chain, sizes = call.prompt, self.sizes
        system, common = "", self._common.get(chain[0].first, 0) if chain else 0
        if common:
            system, chain = self._words(first_blocks(chain, common)), _without(chain, common)
        # Its last words are of no block, so of nobody else.
        own = made_words(
            random.Random(f"{self._salt} {call.prompt}"), 2 * self.workload.block_tokens
        )
        text = f"{self._words(chain)} {own}".split()
        frame = sizes.system_frame_tokens if system else sizes.frame_tokens
        count = sizes.words(call.prompt_tokens - frame) - len(system.split())
        user = Message("user", " ".join(text[: max(1, count)]))
        return (Message("system", system), user) if system else (user,)

    def _words(self, chain: Chain) -> str:
        """The words of blocks; a block's are the same wherever it is."""
        each = self.sizes.words(self.workload.block_tokens)
        return " ".join(
            made_words(random.Random(f"{self._salt} {block}"), each)
            for run in chain
            for block in range(run.first, run.first + run.count)
        )


def _common_starts(workload: Workload) -> dict[BlockId, int]:
    """By first block: how many blocks all programs share that begin with it, if several do."""
    shared: dict[BlockId, list[Chain]] = {}
    for program in workload.programs:
        calls = (step for step in program.steps if isinstance(step, CallStep))
        chain = next((call.prompt for call in calls), ())
        if chain:
            shared.setdefault(chain[0].first, []).append(chain)
    return {
        first: min(shared_blocks(chains[0], chain) for chain in chains)
        for first, chains in shared.items()
        if len(chains) > 1
    }


def _without(chain: Chain, count: int) -> Chain:
    """The chain behind its first `count` blocks."""
    rest: list[Run] = []
    for run in chain:
        skipped = min(count, run.count)
        count -= skipped
        rest.append(Run(run.first + skipped, run.count - skipped))
    return chained(rest)
