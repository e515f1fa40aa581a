"""`GET /programs/{id}/prefix`: where a live program's requests stopped sharing what it had sent before."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from agentrt.ir.prefix import Chain, block_count, shared_blocks
from agentrt.ir.prompt_break import LEFT_OUT, volatile_kind
from agentrt.ir.request import Message, Usage
from agentrt.ir.tool import ToolSpec
from agentrt.runtime.fleet import Served
from agentrt.runtime.prompt_chains import BLOCK_CHARACTERS, Measured
from agentrt.runtime.prompt_text import message_text, tool_text

_PROMPTS = 8
_BREAKS = 32
_BEFORE = BLOCK_CHARACTERS // 2
# Messages that less than a block of text, the part that is in none, may have: each has its role.
_IN_A_BLOCK = BLOCK_CHARACTERS // len(message_text(Message("user", ""))) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenBreak:
    """A request that was not what an earlier one of the program had begun with.

    Attributes:
        turn: Which answer of the program, from 0.
        message: The message in which it stops being the same, from 0; None: the tools.
        offset: Characters from that message's start to about there: blocks of 64 are compared.
        shared_characters: About so many are the same.
        lost_characters: Of the earlier prompt, from there on.
        kind: What it looks like: `the order of the tools`, `a timestamp`, `other text`.
        text: What the new prompt has there.
    """

    turn: int
    message: int | None
    role: str
    offset: int
    shared_characters: int
    lost_characters: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class _Earlier:
    """A prompt, as far as it takes to tell where another differs.

    Attributes:
        messages: A hash of each one's text: which of them is another cannot be told from blocks.
    """

    chain: Chain
    tools: tuple[ToolSpec, ...]
    messages: array[int]


class PrefixWatch:
    """Compares each answered request of one program with those before it.

    It keeps blocks of the last eight prompts that no other goes on from, hashes of their messages,
    their tools, and the last 32 breaks with a hundred characters of text each.
    """

    def __init__(self) -> None:
        self.turns = 0
        self.broken = 0
        self.shared_characters = 0
        self.breaks: deque[SeenBreak] = deque(maxlen=_BREAKS)
        self._earlier: deque[_Earlier] = deque(maxlen=_PROMPTS)

    def served(self, served: Served) -> None:
        """A request has its answer."""
        prompt = served.prompt
        best, shared = None, 0
        for earlier in reversed(self._earlier):
            blocks = shared_blocks(earlier.chain, prompt.chain)
            if best is None or blocks > shared:
                best, shared = earlier, blocks
        # All prompts of a program may begin with its salt, which is nothing that they say.
        same = max(shared - prompt.salt_blocks, 0)
        self.shared_characters += same * BLOCK_CHARACTERS
        lost = 0 if best is None else block_count(best.chain) - shared
        now = _Earlier(prompt.chain, prompt.tools, _hashes(prompt, best if lost <= 0 else None))
        if best is not None:
            is_same = _same_tools(best.tools, now.tools)
            # A prompt that begins anew is another conversation, and that is no break; tools say else.
            if lost > 0 and (same > 0 or (not is_same and _names(best) == _names(now))):
                self.broken += 1
                self.breaks.append(_break(self.turns, (same, lost), best, now, prompt))
            elif lost <= 0:
                self._earlier.remove(best)
            if is_same:  # the same objects then, not as many copies of them
                now = _Earlier(now.chain, best.tools, now.messages)
        self._earlier.append(now)
        self.turns += 1


class Watched(Protocol):
    """A program that is watched."""

    @property
    def program_id(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def usage(self) -> Usage: ...
    @property
    def prefix(self) -> PrefixWatch: ...


def prefix_view(
    live: Iterable[Watched], program: str, *, tenant: str, has_text: bool
) -> dict[str, Any] | None:
    """What is known of the tenant's live program of that id or name; None: there is none.

    Args:
        live: All programs there are.
        program: Its id, or what its client calls it.
        tenant: Whose it must be.
        has_text: Whether to show what stands where prompts broke: text of its client.
    """
    for one in live:
        if one.tenant == tenant and program and program in {one.program_id, one.name}:
            watch = one.prefix
            return {
                "program_id": one.program_id,
                "turns": watch.turns,
                "broken": watch.broken,
                "prompt_tokens": one.usage.prompt_tokens,
                "cached_tokens": one.usage.cached_tokens,
                "shared_characters": watch.shared_characters,
                "breaks": [_break_json(each, has_text=has_text) for each in watch.breaks],
            }
    return None


def _break_json(each: SeenBreak, *, has_text: bool) -> dict[str, Any]:
    found = asdict(each)
    if not has_text:
        del found["text"]
    return found


def _break(
    turn: int, blocks: tuple[int, int], before: _Earlier, now: _Earlier, prompt: Measured
) -> SeenBreak:
    shared, lost = blocks
    message, start, what = _place(before, now, prompt)
    offset = max(shared * BLOCK_CHARACTERS - start, 0)
    text = what[max(0, offset - _BEFORE) : offset + BLOCK_CHARACTERS + _BEFORE]
    return SeenBreak(
        turn=turn,
        message=message,
        role="tools" if message is None else prompt.messages[message].role,
        offset=min(offset, len(what)),
        shared_characters=shared * BLOCK_CHARACTERS,
        lost_characters=lost * BLOCK_CHARACTERS,
        kind=_kind(before, now, text),
        text=text,
    )


def _place(before: _Earlier, now: _Earlier, prompt: Measured) -> tuple[int | None, int, str]:
    """The first part that is another: which message (None: the tools), where it starts, its text."""
    tools = "".join(map(tool_text, now.tools))
    if now.tools and not _same_tools(before.tools, now.tools):
        return None, 0, tools
    start = len(tools)
    number, what = 0, ""
    for number, message in enumerate(prompt.messages):
        what = message_text(message)
        if before.messages[number : number + 1] != now.messages[number : number + 1]:
            break
        start += len(what)
    else:  # it ends where the earlier one goes on
        start -= len(what)
    return number, start, what


def _kind(before: _Earlier, now: _Earlier, text: str) -> str:
    old = [tool.name for tool in before.tools]
    new = [tool.name for tool in now.tools]
    if old != new:
        if sorted(old) == sorted(new):
            return "the order of the tools"
        added, gone = len(set(new) - set(old)), len(set(old) - set(new))
        told = [f"{added} added"] * bool(added) + [f"{gone} removed"] * bool(gone)
        return f"the tools: {', '.join(told)}" if told else "the tools"
    if not _same_tools(before.tools, now.tools):
        return "the schema of a tool"
    if before.messages[: len(now.messages)] == now.messages:
        return LEFT_OUT
    return volatile_kind(text) or "other text"


def _names(prompt: _Earlier) -> list[str]:
    return sorted(tool.name for tool in prompt.tools)


def _same_tools(old: tuple[ToolSpec, ...], new: tuple[ToolSpec, ...]) -> bool:
    """Whether a model reads the same of them; those of a conversation that goes on are one object."""
    return old is new or list(map(_shown, old)) == list(map(_shown, new))


def _shown(tool: ToolSpec) -> tuple[str, str, Any]:
    return tool.name, tool.description, tool.parameters


def _hashes(prompt: Measured, before: _Earlier | None) -> array[int]:
    """Of its messages; those that are surely in the blocks of `before`, which it goes on from, are known."""
    known = array("q") if before is None else before.messages[:-_IN_A_BLOCK]
    return known + array("q", map(_hash, prompt.messages[len(known) :]))


def _hash(message: Message) -> int:
    """Of what is its text: ids of calls are not. Texts keep their hashes, so that this is cheap."""
    calls = tuple((call.name, call.arguments) for call in message.tool_calls)
    return hash((message.role, message.content, calls))
