"""Programs from the text of their messages: prompts that grow by answers and what tools return."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentrt.ir.prefix import Chain, block_count, shared_blocks
from agentrt.ir.workload import CallStep, Step, StepId, ToolStep
from agentrt.simulator.workloads.text_blocks import TextBlocks

_BETWEEN = "\n\n"


def rendered(role: str, content: str) -> str:
    """One message as it stands in a prompt."""
    return f"{role}: {content}"


@dataclass(slots=True)
class Transcript:
    """One agent's conversation, turned into steps as it goes on.

    Tools that were called at once run beside one another; the next call waits for all of them.
    """

    blocks: TextBlocks
    steps: list[Step] = field(default_factory=list[Step])
    _text: str = ""
    _last: StepId | None = None
    _tools: list[StepId] = field(default_factory=list[StepId])
    _gap_s: float = 0.0

    def add(self, role: str, content: str) -> None:
        """A message that no call of this program made."""
        message = rendered(role, content)
        self._text = f"{self._text}{_BETWEEN}{message}" if self._text else message

    def pause(self, gap_s: float) -> None:
        """Time that passes before the next call, tools aside."""
        if self._last is not None:
            self._gap_s += gap_s

    def call(self, answer: str) -> None:
        """A call with everything so far, and its answer."""
        prompt = self._text
        self.add("assistant", answer)
        before = () if self._last is None else (self._last,)
        self._last = add_call(
            self.steps, self.blocks, (prompt, self._text), tuple(self._tools) or before, self._gap_s
        )
        self._tools = []
        self._gap_s = 0.0

    def tool(self, tool: str, duration_s: float, argument_class: str = "") -> None:
        """A tool that the last call asked for."""
        self.steps.append(
            ToolStep(
                after=() if self._last is None else (self._last,),
                tool=tool,
                duration_s=duration_s,
                argument_class=argument_class,
            )
        )
        self._tools.append(len(self.steps) - 1)


def add_call(
    steps: list[Step],
    blocks: TextBlocks,
    texts: tuple[str, str],
    after: tuple[StepId, ...],
    gap_s: float,
) -> StepId:
    """Add a call whose prompt, and prompt with answer, are `texts`."""
    prompt, prompt_tokens = blocks.measured(texts[0])
    context, tokens = blocks.measured(texts[1])
    steps.append(
        CallStep(
            after=after,
            prompt=prompt,
            prompt_tokens=prompt_tokens,
            completion_tokens=max(0, tokens - prompt_tokens),
            # The last piece of a prompt may go on in the answer: the engine has it as two.
            context=context if is_begun_by(context, prompt) else prompt,
            gap_s=gap_s,
        )
    )
    return len(steps) - 1


def is_begun_by(chain: Chain, start: Chain) -> bool:
    """Whether `chain` begins with all of `start`."""
    return shared_blocks(start, chain) == block_count(start)
