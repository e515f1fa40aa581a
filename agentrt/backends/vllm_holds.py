"""Holds in an unmodified vLLM: a scheduler class for `vllm serve --scheduler-cls`.

    vllm serve MODEL --enable-prefix-caching --scheduler-cls agentrt.backends.vllm_holds.HoldingScheduler

(`HoldingAsyncScheduler` where vLLM schedules asynchronously, which it does on GPUs by default.) It is
loaded in vLLM's own environment: `pip install --no-deps agentrt` there is enough. A request says in
`vllm_xargs` which program it is of (`agentrt_program`), for how many seconds after its answer the
context is worth keeping (`agentrt_hold_s`), and whether it is the program's last (`agentrt_last`).

Held blocks keep their place among the free ones, so that vLLM counts them as free, admits what it would
admit, and can run into nothing that it could not run into before. Only the choice of what to evict is
another: blocks that are not held go first, least recently used first as ever; once there are none, the
context goes whose program returns last. Requests without these arguments are served as ever.
"""

# vLLM is not installed where this is checked, and tells little of its types.
# mypy: disable-error-code="import-not-found, misc, attr-defined, no-any-return"
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import time
from typing import Any

from vllm.logger import init_logger
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from agentrt.backends.hold_ledger import HoldLedger, seconds

logger = init_logger("vllm.agentrt")

SHARE = 0.9
"""Of the cache, how much may be held; `--additional-config '{"agentrt_hold_share": 0.5}'`."""
MOST_S = 600.0
"""The longest hold; `agentrt_hold_most_s` likewise."""
_LONGEST_NAME = 256


class _Holds:
    """What both schedulers do beside vLLM's own; it comes first among their bases."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pool = self.kv_cache_manager.block_pool
        given = self.vllm_config.additional_config
        given = given if isinstance(given, dict) else {}
        budget = int(float(given.get("agentrt_hold_share", SHARE)) * self._pool.num_gpu_blocks)
        most_s = float(given.get("agentrt_hold_most_s", MOST_S))
        self._ledger = HoldLedger(budget_blocks=budget, most_s=most_s)
        self._queue = self._pool.free_block_queue
        self._pop_in_order = self._queue.popleft_n
        # The one place where vLLM chooses what it evicts.
        self._queue.popleft_n = self._pop_unheld
        logger.info("holds contexts in up to %d of %d blocks", budget, self._pool.num_gpu_blocks)

    def add_request(self, request: Any) -> None:
        program = _program(request)
        if program and request.request_id not in self.requests:
            self._ledger.arrived(program)
        super().add_request(request)

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        self._ledger.expire(time.monotonic())
        return super().schedule(*args, **kwargs)

    def reset_prefix_cache(self, *args: Any, **kwargs: Any) -> bool:
        self._ledger.clear()
        return super().reset_prefix_cache(*args, **kwargs)

    def _free_request(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        program = _program(request)
        if not program:
            return super()._free_request(request, *args, **kwargs)
        said = _said(request)
        blocks = self._context(request)
        needless = self._ledger.ended(
            program, blocks, now=time.monotonic(), hold_s=seconds(said.get("agentrt_hold_s"))
        )
        if said.get("agentrt_last"):
            needless = tuple(dict.fromkeys((*needless, *self._ledger.finish(program))))
        given, *others = super()._free_request(request, *args, **kwargs)
        self._evict_first(needless)
        if said.get("agentrt_hello") and given is None:
            given = {"agentrt_holds": self._ledger.held_blocks}
        return (given, *others)

    def _context(self, request: Any) -> list[int]:
        """The blocks that the request has and that can be found again, in their order."""
        groups = self.kv_cache_manager.get_block_ids(request.request_id)
        ids = dict.fromkeys(number for group in groups for number in group)
        blocks = self._pool.blocks
        return [n for n in ids if blocks[n].block_hash is not None and not blocks[n].is_null]

    def _pop_unheld(self, n: int) -> list[Any]:
        """In place of the queue's own `popleft_n`: held blocks that are met go to its end."""
        ledger, queue = self._ledger, self._queue
        assert queue.num_free_blocks >= n  # noqa: S101  as in the method that this replaces
        taken: list[Any] = []
        passed: list[Any] = []
        if not ledger.held_blocks:
            taken += self._pop_in_order(n)
        while len(taken) < n and queue.num_free_blocks:
            (block,) = self._pop_in_order(1)
            (passed if ledger.is_held(block.block_id) else taken).append(block)
        queue.append_n(passed)
        while len(taken) < n:
            # Everything that is free is held: what is given back comes to the front of the queue.
            self._evict_first(ledger.give_back())
            while len(taken) < n and queue.num_free_blocks:
                block = queue.fake_free_list_head.next_free_block
                if ledger.is_held(block.block_id):
                    break
                taken += self._pop_in_order(1)
        ledger.taken(block.block_id for block in taken)
        return taken

    def _evict_first(self, numbers: tuple[int, ...]) -> None:
        """Move those that are free to the front of the queue, the end of the context foremost."""
        free = [
            block
            for block in (self._pool.blocks[number] for number in reversed(numbers))
            if block.ref_cnt == 0 and block.next_free_block is not None
        ]
        for block in free:
            self._queue.remove(block)
        self._queue.prepend_n(free)


class HoldingScheduler(_Holds, Scheduler):
    """vLLM's scheduler, with holds."""


class HoldingAsyncScheduler(_Holds, AsyncScheduler):
    """vLLM's scheduler for asynchronous scheduling, with holds."""


def _said(request: Any) -> dict[str, Any]:
    parameters = request.sampling_params
    return (parameters.extra_args if parameters is not None else None) or {}


def _program(request: Any) -> str:
    name = _said(request).get("agentrt_program")
    return name if isinstance(name, str) and len(name) <= _LONGEST_NAME else ""
