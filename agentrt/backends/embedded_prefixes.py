"""Sharing what prompts begin with between the slots of the embedded engine.

llama.cpp's slots do not share: four requests with one system prompt, sent at once, compute it four
times. So the first of them computes the prefix alone and saves the slot's state; the others wait for
that, and have it copied into their slots, which takes milliseconds. So it goes with whole prompts that
begin alike, too: one is computed, before anything is decoded, and copied to those that wait for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from agentrt.backends.embedded_saves import SaveArea
from agentrt.backends.embedded_slot_calls import SlotCalls
from agentrt.backends.embedded_states import (
    MIN_SHARED_CHARS,
    Computing,
    Found,
    Saved,
    SavedStates,
    Underway,
)
from agentrt.backends.http_connection import HttpConnection
from agentrt.backends.slots import (
    Lease,
    SlotTable,
    prompt_text,
    shared_text,
)
from agentrt.errors import BackendError
from agentrt.ir.request import Request

# So much is computed in a step of its own, even where nobody says that others begin alike: should one
# come meanwhile, it is there to be copied. The step costs a token computed twice.
_MIN_LED_CHARS = 4000
# Of conversations that the engine was made to put into its own memory: more than these may have been
# dropped there, and to look for one in vain costs computing what could have been copied.
_MAX_ASIDE_CHARS = 150_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a request goes.

    Attributes:
        computed_tokens: Computed for this request before it was sent; the engine will call them
            cached.
    """

    slot_id: int
    computed_tokens: int = 0


ENGINES_CHOICE = Place(slot_id=-1)


class PrefixSharing:
    """Hands out slots, with the shared prefix of a request in them where that is known to pay."""

    def __init__(
        self,
        connection: HttpConnection,
        saves: SaveArea,
        *,
        free: asyncio.Semaphore,
        slots: int,
        max_bytes: int,
        remembers: bool = True,
    ) -> None:
        """`free` counts the free ones of `slots`; the saved prefixes take up to `max_bytes`.

        `remembers`: the engine has a memory of its own for what lost its slot.
        """
        self._saves = saves
        self._slots = SlotCalls(connection, saves)
        self._states = SavedStates(saves, max_bytes=max_bytes)
        self._underway = Underway()
        self._free = free
        self._table = SlotTable(slots)
        self._leading: dict[str, asyncio.Event] = {}
        self._remembers = remembers
        self._aside: OrderedDict[str, None] = OrderedDict()

    @asynccontextmanager
    async def place(self, request: Request) -> AsyncGenerator[Place]:
        """A slot for `request`, free for others after the block."""
        prefix, text = shared_text(request), prompt_text(request)
        computed = 0
        if len(prefix) >= MIN_SHARED_CHARS:
            computed = await self._ensure_saved(prefix, request)
        async with self._turn(text):
            found = self._states.like(text)
            aside = self._found_aside(text, longer_than=found.chars)
            lease = self._table.take(text, saved_chars=max(found.chars, len(aside)))
            at_hand = max(lease.shared_chars, found.chars, len(aside))
            holds = ""
            try:
                if _leads(request, text, found=found, at_hand=at_hand):
                    with self._underway.computing(text, len(text) - at_hand) as one:
                        await self._fill(lease, found, aside)
                        computed += await self._compute_first(one, request, lease)
                else:
                    await self._fill(lease, found, aside)
                yield Place(slot_id=lease.slot_id, computed_tokens=computed)
                holds = text
            finally:
                # A broken-off prefill leaves nobody knows how much.
                self._table.give_back(
                    lease.slot_id, text=holds, is_conversation=_is_conversation(request)
                )

    @asynccontextmanager
    async def _turn(self, text: str) -> AsyncGenerator[None]:
        """One of the slots, at a moment when nobody computes what `text` could begin with."""
        while True:
            leader = self._leader(text)
            if leader is not None:
                await leader.wait()
                continue
            async with self._free:
                if self._leader(text) is None:
                    yield
                    return

    def _leader(self, text: str) -> Computing | None:
        at_hand = max(self._states.like(text).known_chars, self._table.shared_chars(text))
        return self._underway.leader(text, at_hand=at_hand)

    async def _fill(self, lease: Lease, found: Found, aside: str) -> None:
        """Have the slot hold as much of the prompt as there is anywhere."""
        if len(aside) > lease.shared_chars:
            # Given a prompt unlike what the slot holds, the engine looks into its memory.
            self._aside.pop(aside)
            await self._set_aside(lease)
            await self._slots.clear(lease.slot_id)
        elif found.file and _is_in_the_way(lease, found.chars):
            await self._restore(found, lease)

    async def _compute_first(self, one: Computing, request: Request, lease: Lease) -> int:
        """Compute the prompt, and save it for whoever waits for it; the tokens that took.

        A slot can be saved only while nothing is decoded in it, so decoding begins after that.
        """
        try:
            computed = await self._slots.compute(lease.slot_id, request)
        except BackendError:
            return 0  # the request itself will say what is wrong
        if one.followers or request.hints.has_followers:
            self._states.keep(one.text, await self._saved(lease, computed))
        return computed

    async def _saved(self, lease: Lease, computed_tokens: int) -> Saved:
        """What the slot holds, saved; where it finds no place it was computed all the same."""
        try:
            return await self._slots.save(lease.slot_id, computed_tokens=computed_tokens)
        except (BackendError, OSError, KeyError, TypeError, ValueError):
            return Saved(computed_tokens=computed_tokens)

    @asynccontextmanager
    async def spare_slot(self) -> AsyncGenerator[int]:
        """A slot for something that is no request; what it held and may be wanted is set aside."""
        async with self._free:
            lease = self._table.take("")
            try:
                await self._set_aside(lease)
                yield lease.slot_id
            finally:
                self._table.give_back(lease.slot_id, text="")

    async def put_by(self) -> dict[int, str]:
        """Save what the slots hold, for an engine that takes the place of this one: files by slot."""
        files: dict[int, str] = {}
        for slot_id in self._table.holding():
            with suppress(BackendError, OSError):
                files[slot_id] = (await self._slots.save(slot_id)).file
        return files

    async def move(self, connection: HttpConnection, files: Mapping[int, str]) -> None:
        """Go on with another engine of the same model, whose slots take up what was put by."""
        self._slots = SlotCalls(connection, self._saves)
        self._aside.clear()  # the memory it was in has gone with the engine
        for slot_id in self._table.holding():
            try:
                await self._slots.restore(slot_id, files[slot_id])
            except (BackendError, KeyError):
                self._table.forget(slot_id)
        for file in files.values():
            self._saves.remove(file)

    async def _ensure_saved(self, prefix: str, request: Request) -> int:
        """See to it that the prefix is saved, if it can be; tokens computed to that end here."""
        while prefix not in self._states:
            leader = self._leading.get(prefix)
            if leader is not None:
                await leader.wait()  # If it was cancelled, one of us leads next.
                continue
            self._leading[prefix] = done = asyncio.Event()
            try:
                saved = await self._compute(prefix, request)
            finally:
                del self._leading[prefix]
                done.set()
            self._states.keep(prefix, saved)
            return saved.computed_tokens
        self._states.use(prefix)
        return 0

    async def _compute(self, prefix: str, request: Request) -> Saved:
        try:
            prompt = await self._slots.rendered_prefix(request)
            if len(prompt) < MIN_SHARED_CHARS // 2:
                return Saved()  # a chat template that puts something else first
            async with self._free:
                return await self._compute_in_slot(prefix, prompt)
        except (BackendError, OSError, KeyError, TypeError, ValueError):
            # The request itself goes on without it, and will say what is wrong, if anything is.
            return Saved()

    async def _compute_in_slot(self, prefix: str, prompt: str) -> Saved:
        lease = self._table.take(prefix)
        holds = ""
        try:
            await self._set_aside(lease)
            computed = await self._slots.evaluate(lease.slot_id, prompt)
            holds = prefix
            return await self._saved(lease, computed)
        finally:
            self._table.give_back(lease.slot_id, text=holds)

    async def _restore(self, found: Found, lease: Lease) -> None:
        self._states.use(found.text)
        try:
            await self._set_aside(lease)
            await self._slots.restore(lease.slot_id, found.file)
        except BackendError:
            self._states.drop(found.text)

    async def _set_aside(self, lease: Lease) -> None:
        """Have the engine keep in its own memory what somebody may come back for."""
        if not (lease.held.is_conversation and lease.held.text):
            return
        await self._slots.clear(lease.slot_id)
        if self._remembers:
            self._aside[lease.held.text] = None
            while sum(map(len, self._aside)) > _MAX_ASIDE_CHARS:
                self._aside.popitem(last=False)

    def _found_aside(self, text: str, *, longer_than: int) -> str:
        """The longest conversation set aside that `text` goes on from; empty if there is none."""
        known = (one for one in self._aside if len(one) > longer_than and text.startswith(one))
        return max(known, key=len, default="")


def _leads(request: Request, text: str, *, found: Found, at_hand: int) -> bool:
    """Whether enough is computed for it that others might want to have."""
    if request.hints.has_followers:
        return len(text) - found.known_chars >= MIN_SHARED_CHARS
    return len(text) - max(at_hand, found.known_chars) >= _MIN_LED_CHARS


def _is_in_the_way(lease: Lease, saved_chars: int) -> bool:
    """Whether the slot has less than was saved, or a conversation that would lose its end.

    Left to itself, the engine keeps what it overwrites only if the new prompt has less than half of it.
    """
    is_lost = lease.held.is_conversation and lease.shared_chars < len(lease.held.text)
    return is_lost or lease.shared_chars < saved_chars


def _is_conversation(request: Request) -> bool:
    return bool(request.tools) or any(message.role == "assistant" for message in request.messages)
