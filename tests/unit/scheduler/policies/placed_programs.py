"""Replicas with programs that have places, for asking a policy by itself."""

from __future__ import annotations

from agentrt.ir.prefix import Run
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, CallPhase, Program


def make_program(name: str, sequence: int = 1, arrived_at: float = 0.0) -> Program:
    return Program(name, sequence=sequence, arrived_at=arrived_at, workflow="swe")


def make_replica(kv_blocks: int = 100) -> Replica:
    return Replica("r0", kv_blocks, None)


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
