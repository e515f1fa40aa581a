"""claude_code_weka: sessions of a coding agent, as token counts, block hashes and times.

One session a line. A request's prompt is coded against the one before at its level: `keep` blocks of
it, then `runs` of new ones. Sub-agents are entries among the requests, with requests of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agentrt.errors import InputError
from agentrt.ir.prefix import Chain, Run, block_count, chained, first_blocks, shared_blocks
from agentrt.ir.workload import CallStep, ProgramTrace, Step, StepId, ToolStep, Workload
from agentrt.simulator.workloads.blocks import BlockIds
from agentrt.simulator.workloads.record import MOST, Record, records

MODELLED = (
    "Answers are taken to stand unchanged in the next prompt where it extends the one before:"
    " the source has hashes of prompts only.",
    "Sessions share no blocks with one another: the source's hashes compare only within a session.",
    "Tools have no names in the source: all are called `tool`; a turn's tools are one step, which"
    " takes the whole time between an answer and the next request, prompts for permission included.",
    "All calls go to one model, though some sessions use two.",
)
NO_TIME = "Where the source gives no time between two requests, it is 0."


@dataclass(frozen=True, slots=True)
class _Request:
    """A request with its blocks decoded; times from the start of its level."""

    prompt: Chain
    prompt_tokens: int
    completion_tokens: int
    at_s: float
    call_s: float
    gap_s: float | None
    is_after_tool: bool

    @property
    def ended_s(self) -> float:
        return self.at_s + self.call_s


@dataclass(frozen=True, slots=True)
class _SubAgent:
    """A sub-agent; its times from the start of the session."""

    requests: tuple[_Request, ...]
    started_s: float
    ended_s: float


def read(lines: Iterable[str]) -> Workload:
    """The sessions on `lines`, one program each, in closed loop (the source has no arrivals).

    Raises:
        InputError: a line is not of this format; the message names the line and the field.
    """
    ids = BlockIds()
    programs: list[ProgramTrace] = []
    block_tokens = 0
    has_gaps = True
    for record in records(lines):
        size = record.tokens("block_size", least=1)
        if block_tokens not in (0, size):
            record.refuse("block_size", f"{block_tokens}, as in the sessions before", size)
        block_tokens = size
        reader = _Session(ids.next_id, block_tokens)
        entries = reader.entries(record)
        has_gaps = has_gaps and not reader.lacks_gaps
        ids = BlockIds(reader.next_id)
        programs.append(
            ProgramTrace(
                program_id=record.text("id"),
                workflow="claude_code",
                steps=_steps(entries, ids, block_tokens),
            )
        )
    if not programs:
        raise InputError("line 1: expected a session, got nothing")
    return Workload(
        name="claude_code_weka",
        block_tokens=block_tokens,
        programs=tuple(programs),
        modelled=MODELLED if has_gaps else (*MODELLED, NO_TIME),
    )


class _Session:
    """Decodes the requests of one session; its local block ids are moved up by `base`."""

    def __init__(self, base: int, block_tokens: int) -> None:
        self._base = base
        self._block_tokens = block_tokens
        self.next_id = base
        self.lacks_gaps = False

    def entries(self, session: Record) -> list[_Request | _SubAgent]:
        found: list[_Request | _SubAgent] = []
        before: Chain = ()
        for record in session.records("requests"):
            if record.text("type") == "subagent":
                found.append(self._sub_agent(record))
                continue
            request = self._request(record, before, is_first=not found)
            before = request.prompt
            found.append(request)
        return found

    def _sub_agent(self, record: Record) -> _SubAgent:
        requests: list[_Request] = []
        before: Chain = ()
        for inner in record.records("requests"):
            requests.append(self._request(inner, before, is_first=not requests))
            before = requests[-1].prompt
        ended_s = record.seconds("t")  # the source stamps a sub-agent with its end
        started_s = max(0.0, ended_s - record.seconds("duration_ms", 0.0) / 1000)
        return _SubAgent(tuple(requests), started_s, ended_s)

    def _request(self, record: Record, before: Chain, *, is_first: bool) -> _Request:
        keep = record.count("keep")
        if keep > block_count(before):
            record.refuse("keep", f"at most {block_count(before)} blocks", keep)
        runs = [Run(self._base + first, count) for first, count in record.pairs("runs")]
        self.next_id = max([self.next_id, *(run.first + run.count for run in runs)])
        if self.next_id > MOST:
            record.refuse("runs", f"ids that stay below {MOST} in all sessions", self.next_id)
        prompt = chained((*first_blocks(before, keep), *runs))
        tokens = record.tokens("in")
        if block_count(prompt) != tokens // self._block_tokens:
            record.refuse("runs", f"{tokens // self._block_tokens} blocks", block_count(prompt))
        gap_s = max(0.0, record.number("think_time")) if record.has("think_time") else None
        self.lacks_gaps = self.lacks_gaps or (gap_s is None and not is_first)
        return _Request(
            prompt=prompt,
            prompt_tokens=tokens,
            completion_tokens=record.tokens("out"),
            at_s=record.number("t"),
            call_s=record.seconds("api_time", 0.0),
            gap_s=gap_s,
            is_after_tool="tool_result" in record.items("input_types"),
        )


def _steps(
    entries: Sequence[_Request | _SubAgent], ids: BlockIds, block_tokens: int
) -> tuple[Step, ...]:
    """The parent's requests one after another; sub-agents beside them, waited for when they end."""
    steps: list[Step] = []
    contexts = _contexts([e for e in entries if isinstance(e, _Request)], ids, block_tokens)
    parent: StepId | None = None
    parent_ended_s = 0.0
    pending: list[tuple[_SubAgent, StepId]] = []
    for entry in entries:
        if isinstance(entry, _SubAgent):
            gap_s = max(0.0, entry.started_s - parent_ended_s)
            inner = _contexts(entry.requests, ids, block_tokens)
            last = parent
            for at, request in enumerate(entry.requests):
                last = _add_call(steps, request, next(inner), last, gap_s if at == 0 else None)
            if entry.requests and last is not None:
                pending.append((entry, last))
            continue
        joined = [(agent, last) for agent, last in pending if agent.ended_s <= entry.at_s]
        pending = [item for item in pending if item not in joined]
        context = next(contexts)
        if joined:
            parent = _add_join(steps, entry, context, parent, joined)
        else:
            parent = _add_call(steps, entry, context, parent, None)
        parent_ended_s = entry.ended_s
    return tuple(steps)


def _contexts(requests: Sequence[_Request], ids: BlockIds, block_tokens: int) -> Iterator[Chain]:
    """Of each request: its prompt and its answer, as the next prompt has them where it goes on."""
    for at, request in enumerate(requests):
        count = (request.prompt_tokens + request.completion_tokens) // block_tokens
        after = requests[at + 1].prompt if at + 1 < len(requests) else ()
        is_extended = shared_blocks(request.prompt, after) == block_count(request.prompt)
        yield ids.grown(first_blocks(after, count) if is_extended else request.prompt, count)


def _add_call(
    steps: list[Step],
    request: _Request,
    context: Chain,
    before: StepId | None,
    gap_s: float | None,
) -> StepId:
    """Add a request that follows `before`, with the tool between them if there was one."""
    waits_s = request.gap_s or 0.0 if gap_s is None else gap_s
    after = () if before is None else (before,)
    if request.is_after_tool and before is not None and gap_s is None:
        steps.append(ToolStep(after=after, tool="tool", duration_s=waits_s))
        after, waits_s = (len(steps) - 1,), 0.0
    steps.append(_call(request, context, after, waits_s if before is not None else 0.0))
    return len(steps) - 1


def _add_join(
    steps: list[Step],
    request: _Request,
    context: Chain,
    parent: StepId | None,
    joined: Sequence[tuple[_SubAgent, StepId]],
) -> StepId:
    """Add the parent's request that comes after sub-agents have ended."""
    last_s = max(agent.started_s + agent.requests[-1].ended_s for agent, _ in joined)
    before = () if parent is None else (parent,)
    after = (*before, *(last for _, last in joined))
    steps.append(_call(request, context, after, max(0.0, request.at_s - last_s)))
    return len(steps) - 1


def _call(request: _Request, context: Chain, after: tuple[StepId, ...], gap_s: float) -> CallStep:
    return CallStep(
        after=after,
        prompt=request.prompt,
        prompt_tokens=request.prompt_tokens,
        completion_tokens=request.completion_tokens,
        context=context,
        gap_s=gap_s,
    )
