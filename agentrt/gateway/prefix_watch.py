"""`GET /programs/{id}/prefix`: where a live program's requests stopped sharing what it had sent before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from agentrt.ir.prefix import Chain, block_count, shared_blocks
from agentrt.ir.prompt_break import volatile_kind
from agentrt.ir.request import Message, Usage
from agentrt.ir.tool import ToolSpec
from agentrt.runtime.fleet import Served
from agentrt.runtime.prompt_chains import BLOCK_CHARACTERS
from agentrt.runtime.prompt_text import message_text, tool_text

_PROMPTS = 8
_BREAKS = 32
_BEFORE = BLOCK_CHARACTERS // 2


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


@dataclass(frozen=True, slots=True)
class _Earlier:
    chain: Chain
    tools: tuple[str, ...]


class PrefixWatch:
    """Compares each answered request of one program with those before it.

    It keeps blocks of the last eight prompts that no other goes on from, the names of their tools,
    and the last 32 breaks with a hundred characters of text each.
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
        self.shared_characters += shared * BLOCK_CHARACTERS
        # A prompt that begins anew is another conversation, and that is no break; tools say else.
        names = tuple(tool.name for tool in prompt.tools)
        if best is not None:
            lost = block_count(best.chain) - shared
            if lost > 0 and (shared > 0 or sorted(names) == sorted(best.tools) != []):
                self.broken += 1
                self.breaks.append(
                    _break(self.turns, shared, lost, best, (prompt.tools, prompt.messages))
                )
            elif lost <= 0:
                self._earlier.remove(best)
        self._earlier.append(_Earlier(prompt.chain, names))
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
    turn: int,
    shared: int,
    lost: int,
    before: _Earlier,
    prompt: tuple[tuple[ToolSpec, ...], tuple[Message, ...]],
) -> SeenBreak:
    tools, messages = prompt
    at = shared * BLOCK_CHARACTERS
    message, role, offset, text = None, "tools", at, ""
    for number, said, what in _parts(tools, messages):
        message, role, offset = number, said, at
        if at < len(what):
            text = what[max(0, at - _BEFORE) : at + BLOCK_CHARACTERS + _BEFORE]
            break
        at -= len(what)
    return SeenBreak(
        turn=turn,
        message=message,
        role=role,
        offset=offset,
        shared_characters=shared * BLOCK_CHARACTERS,
        lost_characters=lost * BLOCK_CHARACTERS,
        kind=_kind(before.tools, tuple(t.name for t in tools), message, text),
        text=text,
    )


def _parts(
    tools: tuple[ToolSpec, ...], messages: tuple[Message, ...]
) -> Iterator[tuple[int | None, str, str]]:
    """Tools together, then each message: its number, role and text, as their blocks are made of."""
    if tools:
        yield None, "tools", "".join(map(tool_text, tools))
    for number, message in enumerate(messages):
        yield number, message.role, message_text(message)


def _kind(old: tuple[str, ...], new: tuple[str, ...], message: int | None, text: str) -> str:
    if old != new:
        if sorted(old) == sorted(new):
            return "the order of the tools"
        added, gone = len(set(new) - set(old)), len(set(old) - set(new))
        told = [f"{added} added"] * bool(added) + [f"{gone} removed"] * bool(gone)
        return f"the tools: {', '.join(told)}" if told else "the tools"
    if message is None:
        return "the schema of a tool"
    return volatile_kind(text) or "other text"
