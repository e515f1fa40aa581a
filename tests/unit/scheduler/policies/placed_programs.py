"""Replicas with programs that have places, for asking a policy by itself."""

from __future__ import annotations

from collections.abc import Sequence

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.estimates.prefill import PRIOR, PrefillCost
from agentrt.ir.prefix import Run, block_count
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policy import Policy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, CallPhase, Pause, Program


def make_program(name: str, sequence: int = 1, arrived_at: float = 0.0) -> Program:
    return Program(name, sequence=sequence, arrived_at=arrived_at, workflow="swe")


def make_replica(kv_blocks: int = 100) -> Replica:
    return Replica("r0", kv_blocks, None)


def make_outlook(
    estimates: Estimates | None = None, *, block_tokens: int = 16, prefill: PrefillCost = PRIOR
) -> Outlook:
    """`prefill`: what one costs on every replica."""
    return Outlook(estimates or Estimates(prefill_prior=prefill), block_tokens=block_tokens)


def make_call(program: Program, blocks: int, *, at: float = 0.0, tokens: int | None = None) -> Call:
    """A call of blocks that no other program has."""
    chain = (Run(program.sequence << 32, blocks),)
    count = blocks * 16 if tokens is None else tokens
    return Call(f"{program.program_id}.{program.turns}", program, chain, count, at)


def place(replica: Replica, program: Program, blocks: int, *, runs: bool = False) -> Program:
    """Give `program` a place of so many blocks; if it `runs`, a call of it is under way."""
    call = make_call(program, blocks)
    replica.place(program, call.chain)
    if runs:
        call.phase = CallPhase.SENT
        program.calls[call.call_id] = replica.running[call.call_id] = call
    return program


def make_pause(
    program: Program,
    *,
    ended_at: float = 0.0,
    is_last: bool = False,
    pending: Sequence[str] = (),
    returned: Sequence[str] = (),
) -> Pause:
    """The call on the newest context of `program` has ended, and tools were called."""
    context = program.contexts[-1]
    pause = Pause(
        program=program,
        context=context.chain,
        prompt_blocks=block_count(context.chain),
        ended_at=ended_at,
        turn=program.turns,
        is_last=is_last,
        changed_at=ended_at,
    )
    pause.placed, context.pause = context, pause
    pause.pending = {f"t{i}": (ToolUse(tool), ended_at) for i, tool in enumerate(pending)}
    pause.returned = [(ToolUse(tool), 0.0) for tool in returned]
    return pause


def hold_s(policy: Policy, replica: Replica, pause: Pause, outlook: Outlook | None = None) -> float:
    """How long `policy` keeps what pauses, asked at its beginning."""
    context = pause.placed
    assert context is not None
    asked_at = pause.ended_at
    until = policy.hold_until(context, pause, replica, outlook or make_outlook(), asked_at)
    return until - asked_at
