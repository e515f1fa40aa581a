"""Which slot of an engine a request goes to, and what each slot holds. Pure bookkeeping.

A slot is a sequence with a KV cache of its own; a request that goes to a slot computes only what
its prompt does not share with what the slot holds from its beginning on. What slots hold is known
here as text: where texts begin alike, so do the tokens of the prompts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentrt.ir.prompt_break import common_length
from agentrt.ir.request import Message, Request
from agentrt.ir.schema import canonical_json
from agentrt.ir.tool import ToolSpec

# What a lost character of a slot costs, where computing one costs 1: how likely it is that somebody
# comes back for it.
_LOSS = 0.25
# So short a piece in common beyond the rest is chance ("What is ..."), and worth nothing.
_CHANCE_CHARS = 16
_LOSS_OF_CONVERSATION = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A slot as far as we know it.

    Attributes:
        text: The prompt it was last given; empty: nothing is known to be in it.
        is_conversation: A later request may well continue what it holds.
        used_at: Counts up with every use.
    """

    id: int
    text: str = ""
    is_conversation: bool = False
    used_at: int = 0
    is_free: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A slot that is ours until it is given back.

    Attributes:
        shared_chars: How much of the prompt's text the slot holds already.
        held: What the slot holds.
    """

    slot_id: int
    shared_chars: int
    held: Slot


class SlotTable:
    """Free and taken slots, and what they hold."""

    def __init__(self, slots: int) -> None:
        self._slots = [Slot(id=number) for number in range(slots)]
        self._uses = 0

    def take(self, text: str, *, saved_chars: int = 0) -> Lease:
        """The free slot where least is computed now, or again later for what is overwritten.

        Args:
            text: The prompt, as `prompt_text` writes it.
            saved_chars: So much of its beginning can be put into any slot at no cost.

        Raises:
            LookupError: no slot is free.
        """
        free = [slot for slot in self._slots if slot.is_free]
        if not free:
            raise LookupError("every slot is taken")
        shared = {slot.id: common_length(slot.text, text) for slot in free}

        def cost(slot: Slot) -> tuple[float, int]:
            lost = len(slot.text) - shared[slot.id]
            is_chance = lost > 0 and shared[slot.id] < saved_chars + _CHANCE_CHARS
            here = 0 if is_chance else shared[slot.id]
            computed = len(text) - max(here, saved_chars)
            weight = _LOSS_OF_CONVERSATION if slot.is_conversation else _LOSS
            return computed + weight * lost, slot.used_at

        best = min(free, key=cost)
        self._slots[best.id] = replace(best, is_free=False)
        return Lease(slot_id=best.id, shared_chars=shared[best.id], held=best)

    def give_back(self, slot_id: int, *, text: str, is_conversation: bool = False) -> None:
        """The slot is free again, and holds `text` (empty: who knows)."""
        self._uses += 1
        self._slots[slot_id] = Slot(
            id=slot_id, text=text, is_conversation=is_conversation, used_at=self._uses
        )

    def shared_chars(self, text: str) -> int:
        """How much of `text` a free slot holds, that which has most of it."""
        return max(
            (common_length(slot.text, text) for slot in self._slots if slot.is_free),
            default=0,
        )

    def holding(self) -> list[int]:
        """The slots that are free and hold something known."""
        return [slot.id for slot in self._slots if slot.is_free and slot.text]

    def forget(self, slot_id: int) -> None:
        """A free slot holds nothing that is known any more."""
        self.give_back(slot_id, text="")


def prompt_text(request: Request) -> str:
    """What the prompt is made of, so that requests share text where their prompts share tokens."""
    return shared_text(request) + "".join(
        _message_text(message) for message in request.messages[_system_messages(request) :]
    )


def shared_text(request: Request) -> str:
    """The beginning that requests of one kind have in common: tools and system messages."""
    system = request.messages[: _system_messages(request)]
    tools = "".join(_tool_text(tool) for tool in request.tools)
    return tools + "".join(_message_text(message) for message in system)


def _system_messages(request: Request) -> int:
    """How many messages the request begins with that are the system's."""
    others = (i for i, message in enumerate(request.messages) if message.role != "system")
    return next(others, len(request.messages))


def _message_text(message: Message) -> str:
    calls = "".join(f"\0{call.name}\0{call.arguments}" for call in message.tool_calls)
    return f"\0{message.role[0]}\0{message.content}{calls}"


def _tool_text(tool: ToolSpec) -> str:
    return canonical_json([tool.name, tool.description, dict(tool.parameters)])
