"""The least occupied replica, against looking at all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentrt.ir.prefix import Run
from agentrt.scheduler.occupancies import Occupancies
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program

SIZES = (100, 200, 400)


def _emptiest(replicas: list[Replica], besides: Replica | None) -> float | None:
    able = [r for r in replicas if r.has_free_slot and r is not besides]
    return min((r.occupied_blocks / r.kv_blocks for r in able), default=None)


@given(
    moves=st.lists(
        st.tuples(
            st.sampled_from(["send", "end", "remove"]), st.integers(0, 2), st.integers(1, 150)
        ),
        max_size=40,
    ),
    besides=st.integers(-1, 2),
)
def test_it_is_the_one_with_the_least_share_occupied_that_can_take_a_call(
    moves: list[tuple[str, int, int]], besides: int
) -> None:
    replicas = [Replica(f"r{i}", size, max_running=3) for i, size in enumerate(SIZES)]
    there = list(replicas)
    occupancies = Occupancies({replica.replica_id: replica for replica in replicas})
    for replica in replicas:
        occupancies.offer(replica)
    for number, (move, index, blocks) in enumerate(moves):
        replica = replicas[index]
        if move == "send" and replica in there and replica.has_free_slot:
            program = Program(f"p{number}", sequence=number, arrived_at=0.0)
            replica.send(Call(f"c{number}", program, (Run(number << 16, blocks),), 0, 0.0), 0.0)
        elif move == "end" and replica.running:
            call = next(iter(replica.running.values()))
            replica.end(call, 0.0, None)
            replica.unplace(call.program)
        elif move == "remove" and replica in there:
            there.remove(replica)
            occupancies.remove(replica.replica_id)
            continue
        if replica in there:
            occupancies.offer(replica)
        aside = replicas[besides] if besides >= 0 else None
        found = occupancies.emptiest(aside)
        share = None if found is None else found.occupied_blocks / found.kv_blocks
        assert found is None or (found in there and found.has_free_slot and found is not aside)
        assert share == _emptiest(there, aside)
