"""azure_llm_2023: requests of two services, as times and lengths (CSV)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from agentrt.errors import InputError
from agentrt.ir.workload import CallStep, ProgramTrace, Workload
from agentrt.simulator.workloads.blocks import BlockIds
from agentrt.simulator.workloads.record import MOST_TOKENS

HEADER = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")

MODELLED = (
    "Each request is a program of its own that shares no prefix with any other: the source has"
    " lengths only.",
)


@dataclass(frozen=True, slots=True)
class _Request:
    at: datetime
    prompt_tokens: int
    completion_tokens: int


def read(lines: Iterable[str], *, block_tokens: int = 16) -> Workload:
    """The requests on `lines`, one program each; the first arrives at 0.

    Raises:
        InputError: a line is not of this format; the message names the line and the field.
    """
    requests = sorted(_requests(lines), key=lambda request: request.at)
    ids = BlockIds()
    return Workload(
        name="azure_llm_2023",
        block_tokens=block_tokens,
        programs=tuple(
            _program(f"request-{at}", request, requests[0].at, ids, block_tokens)
            for at, request in enumerate(requests)
        ),
        modelled=MODELLED,
    )


def _requests(lines: Iterable[str]) -> Iterator[_Request]:
    rows = csv.reader(lines)
    try:
        header = tuple(next(rows, ()))
        if header != HEADER:
            raise InputError(f"line 1: expected the columns {', '.join(HEADER)}")
        for row in rows:
            if row:
                yield _request(row, f"line {rows.line_num}")
    except csv.Error as error:
        raise InputError(f"line {rows.line_num}: not CSV: {error}") from error


def _request(row: list[str], where: str) -> _Request:
    if len(row) != len(HEADER):
        raise InputError(f"{where}: expected {len(HEADER)} columns, got {len(row)}")
    try:
        at = datetime.fromisoformat(row[0]).replace(tzinfo=None)
    except ValueError as error:
        raise InputError(f"{where}: TIMESTAMP: {str(error)[:80]}") from error
    return _Request(at, _count(row[1], where, HEADER[1], 1), _count(row[2], where, HEADER[2], 0))


def _count(text: str, where: str, column: str, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_TOKENS))):
        raise InputError(f"{where}: {column}: expected a whole number, got {text[:40]!r}")
    if not least <= int(text) <= MOST_TOKENS:
        raise InputError(
            f"{where}: {column}: expected a whole number from {least} to {MOST_TOKENS}, got {text}"
        )
    return int(text)


def _program(
    program_id: str, request: _Request, start: datetime, ids: BlockIds, block_tokens: int
) -> ProgramTrace:
    tokens = request.prompt_tokens + request.completion_tokens
    prompt = ids.grown((), request.prompt_tokens // block_tokens)
    return ProgramTrace(
        program_id=program_id,
        workflow="request",
        arrival_s=(request.at - start).total_seconds(),
        steps=(
            CallStep(
                after=(),
                prompt=prompt,
                prompt_tokens=request.prompt_tokens,
                completion_tokens=request.completion_tokens,
                context=ids.grown(prompt, tokens // block_tokens),
            ),
        ),
    )
