"""`Pool`: the replicas of one model, and the scheduler that decides which call goes to which of them.

The driver of the scheduler on real time: it tells it what happens and performs what it answers.
Everything is on one event loop, and nothing the scheduler is told waits for anything.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, assert_never

from agentrt.backends.base import Backend
from agentrt.clock import Clock
from agentrt.errors import BackendError, BackendUnavailable, InvariantError, RateLimited
from agentrt.ir.request import Capabilities, Completion
from agentrt.runtime.cache_reports import BLOCK_TOKENS, CacheReports
from agentrt.runtime.pool_call import PoolCall, over
from agentrt.runtime.pool_replicas import PoolReplicas, Replica
from agentrt.runtime.pool_timers import PoolTimers
from agentrt.runtime.prompt_chains import PromptChains
from agentrt.runtime.scheduling import Scheduled, Scheduling
from agentrt.runtime.text_rate import TextRate
from agentrt.runtime.warming import Warming
from agentrt.scheduler.actions import (
    CancelCall,
    HoldKV,
    Prewarm,
    ReleaseKV,
    SchedulerAction,
    SendCall,
    SetTimer,
    Shed,
)
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallCancelled,
    CallFailed,
    CallFinished,
    CallId,
    CallReady,
    FirstToken,
    ProgramArrived,
    ProgramCancelled,
    ProgramFinished,
    ProgramId,
    ReplicaDown,
    ReplicaId,
    ReplicaUp,
    SchedulerEvent,
    TimerFired,
    TimerId,
)

__all__ = ["Ended", "Pool", "Replica", "Send"]

Send: TypeAlias = Callable[[Replica], Awaitable[Completion]]
Ended: TypeAlias = Callable[[Completion, ReplicaId | None], CallFinished]
"""What the scheduler is to be told of a call, once the answer is there; where from, if that is known."""


class Pool:
    """One scheduler and its replicas.

    Attributes:
        chains: The blocks of the prompts that come here.
        origin: Whose ids those blocks have, for those who compare what several processes kept.
        rate: How the model's tokenizer cuts them.
        reports: What the replicas say of their caches.
        warming: Keeps contexts in them that programs will come back to.
    """

    def __init__(
        self,
        name: str,
        replicas: Mapping[ReplicaId, Backend],
        *,
        clock: Clock,
        scheduling: Scheduling,
        unavailable_s: float | None = None,
    ) -> None:
        """Replicas may also `join` later.

        Args:
            name: What messages and observers call it.
            replicas: By their ids.
            clock: What time it is.
            scheduling: How calls are scheduled.
            unavailable_s: How long a call waits while no replica is up; None: for ever.
        """
        self.name = name
        self.chains = PromptChains()
        self.origin = ""
        self.rate = TextRate()
        self.reports = CacheReports()
        self._replicas = PoolReplicas(replicas, self.rate, kv_tokens=scheduling.kv_tokens)
        self.warming = Warming(self._replicas.backends)
        self._unavailable_s = unavailable_s
        self._asking = asyncio.Lock()
        self._clock = clock
        self._scheduling = scheduling
        self._scheduler = Scheduler(
            scheduling.policy(),
            estimates=scheduling.estimates,
            block_tokens=BLOCK_TOKENS,
            tenant_weights=scheduling.tenant_weights,
            max_waiting=scheduling.max_waiting,
        )
        self._calls: dict[CallId, PoolCall] = {}
        self._timers = PoolTimers(clock, self._fired)
        self._now = -math.inf

    # -- replicas ----------------------------------------------------------------------------

    async def ready(self) -> None:
        """Ask the replicas what they can do, if none is up; those that answer are up from then on.

        Where replicas `join` and `leave` there is nobody to ask: calls wait until one is there.

        Raises:
            BackendError: none of them answers; the first one's.
        """
        if self._replicas.is_up or not self._replicas.backends:
            return
        async with self._asking:
            await self._ask()

    async def _ask(self) -> None:
        if self._replicas.is_up:
            return  # somebody else has asked meanwhile
        failed: list[BackendError] = []
        for replica_id, answer in (await self._replicas.asked()).items():
            if isinstance(answer, Capabilities):
                self.up(replica_id, answer)
            else:
                failed.append(answer)
        if failed and not self._replicas.is_up:
            raise failed[0]

    def join(self, replica_id: ReplicaId, backend: Backend, capabilities: Capabilities) -> None:
        """One more replica is there, or one that has left is there again."""
        self._replicas.backends[replica_id] = backend
        self.up(replica_id, capabilities)

    def leave(self, replica_id: ReplicaId) -> None:
        """As `down`; it is not asked again whether it is there."""
        self.down(replica_id)
        del self._replicas.backends[replica_id]

    @property
    def is_up(self) -> bool:
        """Whether a call could be sent anywhere."""
        return self._replicas.is_up

    @property
    def streams(self) -> bool:
        """Whether a call that is to be streamed is, wherever it goes."""
        return self._replicas.streams

    @property
    def up_ids(self) -> tuple[ReplicaId, ...]:
        """The replicas that calls could be sent to."""
        return self._replicas.up_ids

    def replica(self, replica_id: ReplicaId) -> Replica:
        """One that is up, for what no scheduler decides about: nobody hears of its first tokens.

        Raises:
            KeyError: it is not up.
        """
        return self._replicas.replica(replica_id, lambda: None, is_wanted=False)

    @property
    def scheduler(self) -> Scheduler:
        """What is known of programs and replicas. Look, do not touch."""
        return self._scheduler

    def up(self, replica_id: ReplicaId, capabilities: Capabilities) -> None:
        """A replica is there (again), and empty: calls may go to it."""
        self._replicas.up(replica_id, capabilities)
        for call in self._calls.values():
            call.wait_on()
        self.reports.up(replica_id, capabilities)
        self.warming.up(replica_id, capabilities)
        self.tell(
            ReplicaUp(
                replica_id=replica_id,
                kv_blocks=self._replicas.kv_blocks(capabilities),
                max_running=capabilities.max_concurrency,
            )
        )

    def learn_rate(self, characters: int, tokens: int) -> None:
        """A replica has counted `tokens` in a prompt of `characters`, and so has its cache."""
        self.rate.learn(characters, tokens)
        for resized in self._replicas.resized():
            self.tell(resized)

    def down(self, replica_id: ReplicaId) -> None:
        """A replica is gone: what was sent there is broken off, and waits for another.

        Calls whose answers have begun are let go on, for as long as they do: a server that is being
        stopped may finish them, and what a client has read already cannot be taken back.
        """
        self._replicas.down(replica_id)
        self.warming.down(replica_id)
        for call_id, call in tuple(self._calls.items()):
            if call.replica_id == replica_id and call.has_begun and call.is_scheduled:
                call.is_detached = True
                self.tell(CallCancelled(call_id))
        for call in self._calls.values():
            if call.replica_id == replica_id and call.is_scheduled:
                call.wait_again()
        self.tell(ReplicaDown(replica_id))
        for call_id, call in self._calls.items():
            self._bound_wait(call_id, call)

    # -- programs ----------------------------------------------------------------------------

    def arrive(self, program: ProgramArrived) -> None:
        """A program exists. Whatever becomes of it, `end` it: its place is kept until then."""
        if not self.origin:
            self.origin = f"{self.name}:{program.program_id}@{self._clock.wall_time()}"
        self.tell(program)

    def end(self, program_id: ProgramId, *, is_cancelled: bool) -> None:
        """A program is over. Calls that it has left behind are broken off."""
        self.warming.over(program_id)
        left = [call for call in self._calls.values() if call.program_id == program_id]
        for call in left:
            call.refuse(over(program_id))
        is_cut = is_cancelled or bool(left)
        self.tell(ProgramCancelled(program_id) if is_cut else ProgramFinished(program_id))

    async def complete(self, ready: CallReady, send: Send, ended: Ended) -> Completion:
        """Wait until the scheduler sends the call, and `send` it where it says.

        Once the answer has arrived, or `send` has raised, the call is over and its slot free. If
        its replica goes down meanwhile, it is sent again, to another one.

        Raises:
            BackendUnavailable: for too long no replica was up.
            RateLimited: the scheduler has refused the call for now.
            RunCancelled: its program is over.
        """
        call = self._calls[ready.call_id] = PoolCall(ready.program_id)
        call.tells_first_token = ready.tells_first_token
        try:
            self.tell(ready)
            self._bound_wait(ready.call_id, call)
            completion = await self._sent(ready.call_id, call, send)
            finished = ended(completion, call.replica_id)
        except asyncio.CancelledError:
            self._ended(ready.call_id, call, CallCancelled(ready.call_id))
            raise
        except BaseException as error:
            moves = isinstance(error, BackendError) and error.retryable
            self._ended(ready.call_id, call, CallFailed(ready.call_id, moves))
            raise
        self._ended(ready.call_id, call, finished)
        return completion

    # -- the scheduler -----------------------------------------------------------------------

    def now(self) -> float:
        """The scheduler's time: the clock's, but it never runs backwards."""
        self._now = max(self._now, self._clock.now())
        return self._now

    def tell(self, event: SchedulerEvent) -> None:
        """Tell the scheduler that `event` happened, and do what it answers."""
        now = self.now()
        actions = self._scheduler.handle(event, now)
        if self._scheduling.on_scheduled is not None:
            self._scheduling.on_scheduled(Scheduled(self.name, event, now, actions))
        for action in actions:
            self._perform(action)

    def close(self) -> None:
        """Nothing happens by itself any more."""
        self.warming.close()
        self._timers.close()
        for call in self._calls.values():
            call.wait_on()

    def _perform(self, action: SchedulerAction) -> None:
        match action:
            case SendCall(call_id, replica_id):
                call = self._calls[call_id]
                call.replica_id = replica_id
                if not call.sent.done():  # it is, where whoever waited has just been cancelled
                    call.sent.set_result(None)
            case CancelCall(call_id):
                if call_id in self._calls and self._calls[call_id].is_scheduled:
                    self._calls[call_id].refuse(over(self._calls[call_id].program_id))
            case SetTimer(timer_id, at):
                self._timers.set(timer_id, at)
            case Shed(call_id, retry_after_s):
                message = f"the scheduler has no room for a call to the {self.name} model"
                self._calls[call_id].refuse(RateLimited(message, retry_after_s=retry_after_s))
            case Prewarm():
                self.warming.warm(action)
            case HoldKV() | ReleaseKV():
                pass  # advice, that no backend takes yet
            case _:
                assert_never(action)

    def _fired(self, timer_id: TimerId, at: float) -> None:
        # A loop may be early by its clock's resolution; who asked for a time is told it has come.
        self._now = max(self._now, at)
        self.tell(TimerFired(timer_id))

    async def _sent(self, call_id: CallId, call: PoolCall, send: Send) -> Completion:
        while True:
            while call.replica_id is None:
                await call.sent
            if call.refused is not None:
                raise call.refused
            try:
                async with asyncio.timeout(None) as call.sending:
                    return await send(self._replica(call_id, call))
            except TimeoutError:
                if call.refused is not None:
                    raise call.refused from None
                if call.sending is None or not call.sending.expired():
                    raise  # not ours
                # Its replica went down. It may have been sent on already.
            finally:
                call.sending = None

    def _replica(self, call_id: CallId, call: PoolCall) -> Replica:
        replica_id = call.replica_id
        if replica_id is None:
            raise InvariantError(f"call {call_id!r} goes nowhere")

        def first_token() -> None:
            is_ours = self._calls.get(call_id) is call and call.replica_id == replica_id
            if is_ours and call.is_scheduled and not call.has_begun:
                call.has_begun = True
                self.tell(FirstToken(call_id))

        is_wanted = self._scheduling.streams_all or call.tells_first_token
        return self._replicas.replica(replica_id, first_token, is_wanted=is_wanted)

    def _bound_wait(self, call_id: CallId, call: PoolCall) -> None:
        """While no replica is up a call waits only for so long."""
        if self._unavailable_s is None or self.is_up or not call.waits:
            return

        def give_up() -> None:
            message = f"no replica of {self.name} has been up for {self._unavailable_s:g} s"
            call.refuse(BackendUnavailable(message, retryable=True))
            self.tell(CallCancelled(call_id))

        call.give_up_in(self._unavailable_s, give_up)

    def _ended(
        self, call_id: CallId, call: PoolCall, event: CallFinished | CallFailed | CallCancelled
    ) -> None:
        """A call is over; of one that waits for a replica again, nobody wants the answer any more."""
        del self._calls[call_id]
        call.wait_on()
        if call.is_scheduled:
            self.tell(CallCancelled(call_id) if call.replica_id is None else event)
