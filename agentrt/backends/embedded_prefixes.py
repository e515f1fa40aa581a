"""Sharing what prompts begin with between the slots of the embedded engine.

llama.cpp's slots do not share: four requests with one system prompt, sent at once, compute it four
times. So the first of them computes the prefix alone and saves the slot's state; the others wait for
that, and have it copied into their slots, which takes milliseconds.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from agentrt.backends.embedded_saves import SaveArea
from agentrt.backends.http_connection import HttpConnection
from agentrt.backends.slots import (
    Lease,
    SlotTable,
    common_prefix_length,
    prompt_text,
    shared_text,
)
from agentrt.backends.wire import message_json, parse_json, tool_json
from agentrt.errors import BackendError
from agentrt.ir.request import Message, Request

# Shorter prefixes are computed in less time than the bookkeeping around them takes.
MIN_SHARED_CHARS = 1000
_MAX_KNOWN = 1024
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """A prefix in the save area; no file: this prefix cannot be shared."""

    file: str = ""
    size_bytes: int = 0
    computed_tokens: int = 0


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
        self._connection = connection
        self._saves = saves
        self._max_bytes = max_bytes
        self._free = free
        self._table = SlotTable(slots)
        self._saved: OrderedDict[str, _Saved] = OrderedDict()
        self._leading: dict[str, asyncio.Event] = {}
        self._remembers = remembers
        self._aside: OrderedDict[str, None] = OrderedDict()

    @asynccontextmanager
    async def place(self, request: Request) -> AsyncGenerator[Place]:
        """A slot for `request`, free for others after the block."""
        prefix = shared_text(request)
        computed = 0
        if len(prefix) >= MIN_SHARED_CHARS:
            computed = await self._ensure_saved(prefix, request)
        text = prompt_text(request)
        async with self._free:
            saved = self._saved.get(prefix)
            can_restore = saved is not None and saved.file != ""
            at_hand = len(prefix) if can_restore else 0
            aside = self._found_aside(text, longer_than=at_hand)
            lease = self._table.take(text, saved_chars=max(at_hand, len(aside)))
            holds = ""
            try:
                if len(aside) > lease.shared_chars:
                    # Given a prompt unlike what the slot holds, the engine looks into its memory.
                    self._aside.pop(aside)
                    await self._set_aside(lease)
                    await self._clear(lease)
                elif saved is not None and can_restore and _is_in_the_way(lease, prefix):
                    await self._restore(prefix, saved, lease)
                yield Place(slot_id=lease.slot_id, computed_tokens=computed)
                holds = text
            finally:
                # A broken-off prefill leaves nobody knows how much.
                self._table.give_back(
                    lease.slot_id, text=holds, is_conversation=_is_conversation(request)
                )

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
                files[slot_id] = (await self._save(slot_id, 0)).file
        return files

    async def move(self, connection: HttpConnection, files: Mapping[int, str]) -> None:
        """Go on with another engine of the same model, whose slots take up what was put by."""
        self._connection = connection
        self._aside.clear()  # the memory it was in has gone with the engine
        for slot_id in self._table.holding():
            try:
                body = {"filename": files[slot_id]}
                await self._post(f"slots/{slot_id}?action=restore", body)
            except (BackendError, KeyError):
                self._table.forget(slot_id)
        for file in files.values():
            self._saves.remove(file)

    async def _ensure_saved(self, prefix: str, request: Request) -> int:
        """See to it that the prefix is saved, if it can be; tokens computed to that end here."""
        while prefix not in self._saved:
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
            self._keep(prefix, saved)
            return saved.computed_tokens
        self._saved.move_to_end(prefix)
        return 0

    async def _compute(self, prefix: str, request: Request) -> _Saved:
        try:
            prompt = await self._rendered_prefix(request)
            if len(prompt) < MIN_SHARED_CHARS // 2:
                return _Saved()  # a chat template that puts something else first
            async with self._free:
                return await self._compute_in_slot(prefix, prompt)
        except (BackendError, OSError, KeyError, TypeError, ValueError):
            # The request itself goes on without it, and will say what is wrong, if anything is.
            return _Saved()

    async def _compute_in_slot(self, prefix: str, prompt: str) -> _Saved:
        lease = self._table.take(prefix)
        holds = ""
        try:
            await self._set_aside(lease)
            answer = await self._post(
                "completion",
                {"prompt": prompt, "n_predict": 0, "id_slot": lease.slot_id, "cache_prompt": True},
            )
            computed = int(answer["timings"]["prompt_n"])
            holds = prefix
            return await self._save(lease.slot_id, computed)
        finally:
            self._table.give_back(lease.slot_id, text=holds)

    async def _save(self, slot_id: int, computed_tokens: int) -> _Saved:
        file = self._saves.create()
        # Broken off here, the engine may still be about to write it, so nobody removes the file
        # before the engine has ended: see `MemoryFiles`.
        answer = await self._post(f"slots/{slot_id}?action=save", {"filename": file})
        return _Saved(
            file=file, size_bytes=int(answer["n_written"]), computed_tokens=computed_tokens
        )

    async def _restore(self, prefix: str, saved: _Saved, lease: Lease) -> None:
        try:
            await self._set_aside(lease)
            await self._post(f"slots/{lease.slot_id}?action=restore", {"filename": saved.file})
        except BackendError:
            self._drop(prefix)

    async def _set_aside(self, lease: Lease) -> None:
        """Have the engine keep in its own memory what somebody may come back for."""
        if not (lease.held.is_conversation and lease.held.text):
            return
        await self._clear(lease)
        if self._remembers:
            self._aside[lease.held.text] = None
            while sum(map(len, self._aside)) > _MAX_ASIDE_CHARS:
                self._aside.popitem(last=False)

    async def _clear(self, lease: Lease) -> None:
        """Have a slot hold nothing that any prompt begins with."""
        # What was in it goes to the engine's memory: so it does whenever a prompt is unlike the last.
        await self._post("completion", {"prompt": "x", "n_predict": 0, "id_slot": lease.slot_id})

    def _found_aside(self, text: str, *, longer_than: int) -> str:
        """The longest conversation set aside that `text` goes on from; empty if there is none."""
        known = (one for one in self._aside if len(one) > longer_than and text.startswith(one))
        return max(known, key=len, default="")

    def _keep(self, prefix: str, saved: _Saved) -> None:
        if saved.size_bytes > self._max_bytes:
            self._saves.remove(saved.file)
            saved = _Saved()
        self._saved[prefix] = saved
        total = sum(entry.size_bytes for entry in self._saved.values())
        while total > self._max_bytes or len(self._saved) > _MAX_KNOWN:
            oldest = next(iter(self._saved))
            total -= self._saved[oldest].size_bytes
            self._drop(oldest)

    def _drop(self, prefix: str) -> None:
        saved = self._saved.pop(prefix, None)
        if saved is not None and saved.file:
            self._saves.remove(saved.file)

    async def _rendered_prefix(self, request: Request) -> str:
        """The tokens that every request with these tools and system messages begins with."""
        system = [message for message in request.messages if message.role == "system"]
        prompts: list[str] = []
        for question in ("a", "b"):
            messages = [*system, Message("user", question)]
            body = {
                "messages": [message_json(message) for message in messages],
                **({"tools": [tool_json(tool) for tool in request.tools]} if request.tools else {}),
            }
            prompts.append(str((await self._post("apply-template", body))["prompt"]))
        return prompts[0][: common_prefix_length(*prompts)]

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"{self._connection.root_url}/{path}"
        async with self._connection.exchange("POST", url, body) as exchange:
            answer: dict[str, Any] = parse_json(await self._connection.read(exchange))
        return answer


def _is_in_the_way(lease: Lease, prefix: str) -> bool:
    """Whether the slot has something else than the prefix, or a conversation that would lose its end.

    Left to itself, the engine keeps what it overwrites only if the new prompt has less than half of it.
    """
    is_lost = lease.held.is_conversation and lease.shared_chars < len(lease.held.text)
    return is_lost or lease.shared_chars < len(prefix)


def _is_conversation(request: Request) -> bool:
    return bool(request.tools) or any(message.role == "assistant" for message in request.messages)
