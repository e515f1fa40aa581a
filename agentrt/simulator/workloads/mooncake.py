"""mooncake_fast25: requests of a chat service, with the hashes of their 512-token prefix blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentrt.errors import InputError
from agentrt.ir.prefix import BlockId, Chain
from agentrt.ir.workload import CallStep, ProgramTrace, Workload
from agentrt.simulator.workloads.blocks import BlockIds, chain_of
from agentrt.simulator.workloads.record import Record, records

BLOCK_TOKENS = 512

MODELLED = (
    "Conversations are inferred: a request is the next turn of an earlier one if it begins with all"
    " full blocks of that one, the last of them seen there first, and is longer by at least its"
    " answer; all others are programs of one call.",
    "Answers have no hashes: those that no later turn repeats have blocks of their own.",
    "The source has no answering times: a call is taken to have lasted 0.5 s and 0.02 s a token of"
    " its answer, and what is left until the next turn is the gap.",
)


@dataclass(frozen=True, slots=True)
class _Request:
    at_s: float
    prompt_tokens: int
    completion_tokens: int
    ids: tuple[BlockId, ...]

    @property
    def full(self) -> int:
        return self.prompt_tokens // BLOCK_TOKENS

    @property
    def all_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def ended_s(self) -> float:
        return self.at_s + 0.5 + 0.02 * self.completion_tokens


def read(lines: Iterable[str]) -> Workload:
    """The conversations on `lines`, each a program that arrives with its first request.

    Raises:
        InputError: a line is not of this format; the message names the line and the field.
    """
    requests = [_request(record) for record in records(lines)]
    if not requests:
        raise InputError("line 1: expected a request, got nothing")
    requests.sort(key=lambda request: request.at_s)
    ids = BlockIds(1 + max((max(r.ids, default=-1) for r in requests), default=-1))
    return Workload(
        name="mooncake_fast25",
        block_tokens=BLOCK_TOKENS,
        programs=tuple(
            _program(f"conversation-{at}", turns, ids)
            for at, turns in enumerate(_conversations(requests))
        ),
        modelled=MODELLED,
    )


def _request(record: Record) -> _Request:
    request = _Request(
        at_s=record.seconds("timestamp") / 1000,
        prompt_tokens=record.tokens("input_length", least=1),
        completion_tokens=record.tokens("output_length"),
        ids=tuple(record.counts("hash_ids")),
    )
    if not request.full <= len(request.ids) <= request.full + 1:
        record.refuse("hash_ids", f"{request.full} full blocks", len(request.ids))
    return request


def _conversations(requests: Sequence[_Request]) -> list[list[_Request]]:
    """Requests in order of time, as lists of turns, in the order of their first."""
    conversations: list[list[_Request]] = []
    open_at: dict[BlockId, int] = {}
    seen: set[BlockId] = set()
    for request in requests:
        found = _continued(request, open_at, conversations)
        if found is None:
            found = len(conversations)
            conversations.append([])
        conversations[found].append(request)
        # A block that others had before is a common system prompt, and proves nothing.
        if request.full and request.ids[request.full - 1] not in seen:
            open_at[request.ids[request.full - 1]] = found
        seen.update(request.ids)
    return conversations


def _continued(
    request: _Request, open_at: dict[BlockId, int], conversations: Sequence[list[_Request]]
) -> int | None:
    for at in range(request.full - 1, -1, -1):
        found = open_at.get(request.ids[at])
        if found is None:
            continue
        last = conversations[found][-1]
        is_longer = request.prompt_tokens >= last.all_tokens
        if is_longer and request.ids[: last.full] == last.ids[: last.full]:
            return found
    return None


def _program(program_id: str, turns: Sequence[_Request], ids: BlockIds) -> ProgramTrace:
    steps: list[CallStep] = []
    for at, turn in enumerate(turns):
        count = turn.all_tokens // BLOCK_TOKENS
        known: Chain = chain_of(turn.ids[: turn.full])
        if at + 1 < len(turns):
            after = turns[at + 1]
            known = chain_of(after.ids[: min(count, after.full)])
        steps.append(
            CallStep(
                after=(at - 1,) if at else (),
                prompt=chain_of(turn.ids[: turn.full]),
                prompt_tokens=turn.prompt_tokens,
                completion_tokens=turn.completion_tokens,
                context=ids.grown(known, count),
                gap_s=max(0.0, turn.at_s - turns[at - 1].ended_s) if at else 0.0,
            )
        )
    return ProgramTrace(
        program_id=program_id, workflow="chat", arrival_s=turns[0].at_s, steps=tuple(steps)
    )
