"""`Warming`: contexts that programs will come back to are used once more, so that they stay cached."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agentrt.backends.base import Backend
from agentrt.ir.prefix import Chain, block_count, shared_blocks
from agentrt.ir.request import Capabilities, Completion, Message, Request
from agentrt.runtime.prompt_chains import BLOCK_CHARACTERS
from agentrt.runtime.prompt_text import first_characters
from agentrt.scheduler.actions import Prewarm
from agentrt.scheduler.events import ProgramId, ReplicaId

_log = logging.getLogger("agentrt.runtime")

_CONTEXTS_OF_A_PROGRAM = 8
_AT_ONCE = 2
_TIMEOUT_S = 10.0

# What else a server makes a prompt of, or tells its cached prefixes apart by. All other fields would
# only say more about an answer that nobody reads, such as how long it has to be.
_SHAPING = frozenset(
    {
        "add_special_tokens",
        "cache_salt",
        "chat_template",
        "chat_template_kwargs",
        "documents",
        "extra_key",
        "lora_path",
        "mm_processor_kwargs",
        "reasoning_effort",
        "tool_choice",
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class _Context:
    """A call that has ended, and that another may go on from."""

    program_id: ProgramId
    request: Request
    answer: Message
    chain: Chain


class Warming:
    """Performs `Prewarm` at the replicas of a pool: in the background, and for nobody to notice.

    Only where prefixes are shared (`Capabilities.shares_prefixes`); elsewhere it does nothing and
    remembers nothing. What goes wrong is no matter: the context is computed when it is called for.
    """

    def __init__(self, backends: Mapping[ReplicaId, Backend]) -> None:
        self._backends = backends
        self._contexts: dict[ProgramId, list[_Context]] = {}
        self._replicas: dict[ReplicaId, _WarmReplica] = {}

    def up(self, replica_id: ReplicaId, capabilities: Capabilities) -> None:
        """A replica is there (again)."""
        self.down(replica_id)
        if capabilities.shares_prefixes:
            self._replicas[replica_id] = _WarmReplica(self._backends[replica_id])

    def down(self, replica_id: ReplicaId) -> None:
        """A replica is gone."""
        replica = self._replicas.pop(replica_id, None)
        if replica is not None:
            replica.drop(None)

    def ended(
        self,
        program_id: ProgramId,
        request: Request,
        completion: Completion,
        context: Chain,
        *,
        is_last: bool,
    ) -> None:
        """A call has its answer. What it went on from is not called for any more."""
        if not self._replicas:
            return
        for earlier in tuple(self._contexts.get(program_id, ())):
            if _is_beginning(earlier.chain, context):
                self._forget(earlier)
        if context and not is_last:
            contexts = self._contexts.setdefault(program_id, [])
            if len(contexts) == _CONTEXTS_OF_A_PROGRAM:
                self._forget(contexts[0])
            answer = Message("assistant", completion.text, completion.tool_calls)
            contexts.append(_Context(program_id, request, answer, context))

    def over(self, program_id: ProgramId) -> None:
        """A program has ended: nothing of it is sent any more, and what was sent is broken off."""
        self._contexts.pop(program_id, None)
        for replica in self._replicas.values():
            replica.drop(program_id)

    def warm(self, wanted: Prewarm) -> None:
        """Have a replica use `wanted.chain` soon, if it begins a context that is remembered."""
        replica = self._replicas.get(wanted.replica_id)
        found = [
            context
            for context in self._contexts.get(wanted.program_id, ())
            if wanted.chain and _is_beginning(wanted.chain, context.chain)
        ]
        if replica is not None and found:
            # The shortest: what is sent ends where the scheduler means, if it is the same.
            context = min(found, key=lambda context: block_count(context.chain))
            replica.warm(context, block_count(wanted.chain))

    def close(self) -> None:
        """Break off what is under way; nothing is sent any more."""
        for replica_id in tuple(self._replicas):
            self.down(replica_id)
        self._contexts.clear()

    def _forget(self, context: _Context) -> None:
        self._contexts[context.program_id].remove(context)
        for replica in self._replicas.values():
            replica.waiting.pop(context, None)


class _WarmReplica:
    """What one replica is asked to use again.

    Attributes:
        waiting: Contexts whose turn has not come, with how many of their blocks are meant.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.waiting: dict[_Context, int] = {}
        self._sent: dict[asyncio.Task[None], ProgramId] = {}

    def warm(self, context: _Context, blocks: int) -> None:
        self.waiting[context] = blocks
        self._send_next()

    def drop(self, program_id: ProgramId | None) -> None:
        """Give up what is for a program; None: all."""
        for context in tuple(self.waiting):
            if program_id in {None, context.program_id}:
                del self.waiting[context]
        for task, sent_for in self._sent.items():
            if program_id in {None, sent_for}:
                task.cancel()

    def _send_next(self) -> None:
        while self.waiting and len(self._sent) < _AT_ONCE:
            context = next(iter(self.waiting))
            task = asyncio.create_task(self._send(context, self.waiting.pop(context)))
            self._sent[task] = context.program_id
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._sent[task]
        self._send_next()

    async def _send(self, context: _Context, blocks: int) -> None:
        try:
            request = _request(context, blocks)
            if request.messages:
                async with asyncio.timeout(_TIMEOUT_S):
                    await self._backend.complete(request)
        except Exception as error:  # noqa: BLE001  it was worth a try, and no more
            _log.debug("%s did not use a context once more: %s", self._backend.name, error)


def _request(context: _Context, blocks: int) -> Request:
    """The conversation up to the end of its first `blocks`, and one token of an answer to it."""
    asked = context.request
    messages = (*asked.messages, context.answer)
    if blocks < block_count(context.chain):
        messages = first_characters(asked.tools, messages, blocks * BLOCK_CHARACTERS)
    return Request(
        messages=messages,
        tools=asked.tools,
        options=replace(asked.options, max_tokens=1, timeout_s=_TIMEOUT_S),
        extra={name: value for name, value in asked.extra.items() if name in _SHAPING},
    )


def _is_beginning(chain: Chain, of: Chain) -> bool:
    return shared_blocks(chain, of) == block_count(chain)
