"""Record what a backend answers; replay it with no model."""

from __future__ import annotations

import os
from collections import defaultdict, deque
from dataclasses import replace
from pathlib import Path
from typing import IO

from agentrt.backends.base import Backend, OnChunk
from agentrt.backends.recorded_entry import (
    CapabilitiesEntry,
    Entry,
    content_of,
    dump,
    dump_line,
    first_difference,
    key_of,
    load,
)
from agentrt.errors import BackendError, ReplayMismatch, StoreError
from agentrt.ir.request import Capabilities, Chunk, Completion, Request


class RecordingBackend:
    """Passes everything on to `inner` and keeps it in `path`, one line of JSON per answer.

    Prompts and answers are in the file as they are; API keys never are. Each line is with the
    operating system before the answer is given out, so a crash of this process loses none. An
    existing recording is continued (a last line that a crash cut off is dropped first).
    """

    def __init__(self, inner: Backend, path: Path | str) -> None:
        """Opens the file.

        Raises:
            StoreError: it cannot be written.
        """
        self._inner = inner
        self._path = Path(path)
        self._file: IO[bytes] | None = _opened(self._path)
        self._last_capabilities: Capabilities | None = None

    @property
    def name(self) -> str:
        return self._inner.name

    async def capabilities(self) -> Capabilities:
        # A prefix is used once more when the moment asks for it: no replay would ask for the same.
        capabilities = replace(await self._inner.capabilities(), shares_prefixes=False)
        if capabilities != self._last_capabilities:
            self._last_capabilities = capabilities
            self._write(CapabilitiesEntry(capabilities))
        return capabilities

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        """What `inner` answers. A `BackendError` is recorded too; a cancelled request is not.

        Raises:
            BackendError: as `inner` does.
            StoreError: the answer could not be recorded.
        """
        chunks: list[str] = []

        def keep(chunk: Chunk) -> None:
            chunks.append(chunk.text)
            if on_chunk is not None:
                on_chunk(chunk)

        outcome: Completion | BackendError
        try:
            outcome = await self._inner.complete(request, on_chunk=on_chunk and keep)
        except BackendError as error:
            outcome = error
        self._write(
            Entry(
                node_id=request.node_id,
                content=content_of(request),
                outcome=outcome,
                chunks=None if on_chunk is None else tuple(chunks),
            )
        )
        if isinstance(outcome, BackendError):
            raise outcome
        return outcome

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, entry: Entry | CapabilitiesEntry) -> None:
        if self._file is None:
            raise StoreError(f"the recording {self._path} is closed")
        try:
            # Unbuffered, and whole lines: only a full disk or a crash leaves half of one.
            rest = memoryview(dump(entry).encode() + b"\n")
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise StoreError(
                f"cannot write the recording {self._path}: {error.strerror}; make room there or "
                "record to another file"
            ) from error


class ReplayBackend:
    """Answers from a recording, byte for byte, chunks and errors included.

    The same request (messages, tools, schema and options; not ids) gets its recorded answers in
    the order they were recorded, each once.
    """

    def __init__(self, path: Path | str) -> None:
        """Reads the whole file.

        Raises:
            StoreError: it cannot be read, or a line of it is damaged.
        """
        self._path = Path(path)
        self._entries: list[Entry] = []
        self._capabilities: list[tuple[int, Capabilities]] = []
        self._waiting: defaultdict[str, deque[Entry]] = defaultdict(deque)
        self._served = 0
        for entry in _entries(self._path):
            if isinstance(entry, CapabilitiesEntry):
                self._capabilities.append((len(self._entries), entry.capabilities))
            else:
                self._entries.append(entry)
                self._waiting[key_of(entry.content)].append(entry)

    @property
    def name(self) -> str:
        return f"replay:{self._path}"

    async def capabilities(self) -> Capabilities:
        """As recorded at this point of the replay; everything, where nobody asked then."""
        found = Capabilities(
            json_schema=True, tools=True, streaming=True, reports_cached_tokens=True
        )
        for at, capabilities in self._capabilities:
            if at <= self._served or at == self._capabilities[0][0]:
                found = capabilities
        return found

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        """The next recorded answer to `request`.

        Raises:
            ReplayMismatch: there is none (left).
            BackendError: that is what was recorded.
        """
        content = content_of(request)
        key = key_of(content)
        entry = self._waiting[key].popleft() if self._waiting.get(key) else None
        if entry is None:
            raise self._mismatch(request, key)
        self._served += 1
        if on_chunk is not None:
            for piece in _pieces(entry):
                on_chunk(Chunk(piece))
        if isinstance(entry.outcome, BackendError):
            raise entry.outcome
        return entry.outcome

    async def aclose(self) -> None:
        """Nothing to give up."""

    def _mismatch(self, request: Request, key: str) -> ReplayMismatch:
        who = f"node {request.node_id!r}" if request.node_id else "a request without a node"
        if key in self._waiting:
            count = sum(key_of(entry.content) == key for entry in self._entries)
            why = f"makes a request that was recorded {count} times once more"
        elif not self._entries:
            why = "asks, and nothing is recorded"
        else:
            nearest = self._nearest(request)
            difference = first_difference(nearest.content, content_of(request))
            why = (
                f"asks for what was not recorded; against the nearest recorded request (of "
                f"{nearest.node_id or 'no node'!r}), {difference}"
            )
        return ReplayMismatch(f"{who} {why} ({self._path})", url=self.name)

    def _nearest(self, request: Request) -> Entry:
        """Of the same node if there is one; then the one that is the same the longest."""
        asked = dump_line(content_of(request)["messages"])

        def likeness(entry: Entry) -> tuple[bool, int]:
            recorded = dump_line(entry.content["messages"])
            common = len(os.path.commonprefix([asked, recorded]))  # noqa: RUF071  texts, no paths
            return entry.node_id == request.node_id, common

        return max(self._entries, key=likeness)


def _opened(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Prompts are the user's: nobody else's to read.
        path.touch(mode=0o600)
        file = path.open("r+b", buffering=0)
        try:
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
            file.seek(whole)
        except OSError:
            file.close()
            raise
    except OSError as error:
        raise StoreError(f"cannot write a recording to {path}: {error.strerror}") from error
    return file


def _entries(path: Path) -> list[Entry | CapabilitiesEntry]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read the recording {path}: {error.strerror}") from error
    *lines, rest = content.split(b"\n")
    if rest:
        raise StoreError(
            f"line {len(lines) + 1} of {path} is cut off: the recording ended in the middle of it. "
            "Remove the line, or record again"
        )
    entries: list[Entry | CapabilitiesEntry] = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(load(line.decode()))
        except ValueError as error:
            raise StoreError(f"line {number} of {path} is damaged: {error}") from error
    return entries


def _pieces(entry: Entry) -> tuple[str, ...]:
    if entry.chunks is not None:
        return entry.chunks
    is_text = isinstance(entry.outcome, Completion) and entry.outcome.text
    return (entry.outcome.text,) if isinstance(entry.outcome, Completion) and is_text else ()
