"""A tiny world for the scheduler: programs with random steps, servers that answer after random times.

It holds the scheduler to its promises after every event; it knows nothing of KV caches.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field

from agentrt.ir.prefix import Chain, Run, chained
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import (
    CancelCall,
    Prewarm,
    SchedulerAction,
    SendCall,
    SetTimer,
)
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallFailed,
    CallFinished,
    CallReady,
    FirstToken,
    ProgramArrived,
    ProgramCancelled,
    ProgramFinished,
    ReplicaDown,
    ReplicaUp,
    SchedulerEvent,
    TimerFired,
    ToolFinished,
    ToolStarted,
)
from agentrt.scheduler.policy import Policy

SHARED_PREFIX = Run(0, 8)


@dataclass
class World:
    """Programs of `turns` turns, each with up to `width` calls at once, on `replicas` servers."""

    policy: Policy
    seed: int
    programs: int = 12
    replicas: int = 2
    kv_blocks: int = 200
    max_running: int | None = 4
    turns: int = 4
    width: int = 1
    disturbances: int = 0
    log: list[tuple[float, SchedulerEvent, list[SchedulerAction]]] = field(default_factory=list)

    def run(self) -> World:
        """To the end of all programs. Fails if the scheduler lets anything wait for ever."""
        self._random = random.Random(self.seed)
        self._scheduler = Scheduler(self.policy)
        self._queue: list[tuple[float, int, SchedulerEvent]] = []
        self._pushed = 0
        self._left = {f"p{i}": self.turns for i in range(self.programs)}
        self._context: dict[str, Chain] = {
            name: chained([SHARED_PREFIX, Run((i + 1) << 32, self._random.randint(1, 40))])
            for i, name in enumerate(self._left)
        }
        self._open: Counter[str] = Counter()
        self._calls: dict[str, tuple[str, Chain]] = {}
        self._branches = 1 << 60
        self.running: dict[str, str] = {}
        self.sent_at: dict[str, float] = {}
        self.ready_at: dict[str, float] = {}
        self.arrived: set[str] = set()
        self.ended: set[str] = set()
        for i in range(self.replicas):
            self._push(0.0, self._up(f"r{i}"))
        for name in self._left:
            self._push(self._random.uniform(0.0, 5.0), ProgramArrived(program_id=name))
        self._disturb()
        while self._queue:
            now, _, event = heapq.heappop(self._queue)
            if self._is_moot(event):
                continue
            actions = self._scheduler.handle(event, now)
            self.log.append((now, event, actions))
            self._scheduler.check()
            self._happened(event, now)
            for action in actions:
                self._perform(action, now)
            self._check(now)
        assert self.ended == set(self._left), "some programs wait for ever"
        assert all(not replica.occupied_blocks for replica in self._scheduler.replicas)
        return self

    def _up(self, name: str) -> ReplicaUp:
        return ReplicaUp(replica_id=name, kv_blocks=self.kv_blocks, max_running=self.max_running)

    def _disturb(self) -> None:
        for _ in range(self.disturbances):
            at = self._random.uniform(1.0, 30.0)
            if self._random.random() < 0.5 and self.replicas > 1:
                self._push(at, ReplicaDown("r0"))
                self._push(at + 1.0, self._up("r0"))
                return  # one replica goes down once, so that downs and ups alternate
            self._push(at, ProgramCancelled(f"p{self._random.randrange(self.programs)}"))

    def _push(self, at: float, event: SchedulerEvent) -> None:
        self._pushed += 1
        heapq.heappush(self._queue, (at, self._pushed, event))

    def _is_moot(self, event: SchedulerEvent) -> bool:
        """What was on its way when its call or program went."""
        match event:
            case CallFinished(call_id) | CallFailed(call_id) | FirstToken(call_id):
                return call_id not in self.running
            case ProgramFinished(name) | ProgramCancelled(name):
                return name in self.ended or name not in self.arrived
            case CallReady() | ToolStarted() | ToolFinished():
                return event.program_id in self.ended
            case _:
                return False

    def _happened(self, event: SchedulerEvent, now: float) -> None:
        match event:
            case ProgramArrived():
                self.arrived.add(event.program_id)
                self._turn(event.program_id, now)
            case CallReady():
                self.ready_at[event.call_id] = now
            case CallFinished(call_id, _, context):
                name = self._end_call(call_id)
                self._context[name] = context
                self._advance(name, now)
            case CallFailed(call_id):
                chain = self._calls[call_id][1]
                name = self._end_call(call_id)
                self._ready(name, chain, now + 0.1)  # its client tries again
            case ReplicaDown(replica_id):
                for call_id in [c for c, r in self.running.items() if r == replica_id]:
                    del self.running[call_id]
                    self._take_back_answers(call_id)
            case ProgramFinished(name) | ProgramCancelled(name):
                self.ended.add(name)
            case ToolFinished():
                self._turn(event.program_id, now)
            case _:
                pass

    def _take_back_answers(self, call_id: str) -> None:
        """What was on its way for a call that is to be sent again."""
        answers = (CallFinished, CallFailed, FirstToken)
        self._queue = [
            entry
            for entry in self._queue
            if not (isinstance(entry[2], answers) and entry[2].call_id == call_id)
        ]
        heapq.heapify(self._queue)

    def _end_call(self, call_id: str) -> str:
        del self.running[call_id]
        name, _ = self._calls.pop(call_id)
        self._open[name] -= 1
        return name

    def _advance(self, name: str, now: float) -> None:
        if self._open[name]:
            return
        self._left[name] -= 1
        if self._left[name] == 0:
            self._push(now, ProgramFinished(name))
            return
        tool_id = f"{name}.tool.{self._left[name]}"
        self._push(now, ToolStarted(name, tool_id, "shell"))
        self._push(now + self._random.expovariate(0.2), ToolFinished(name, tool_id))

    def _turn(self, name: str, now: float) -> None:
        for _ in range(self._random.randint(1, self.width)):
            self._branches += 1 << 20
            grown = Run(self._branches, self._random.randint(1, 20))
            self._ready(name, chained([*self._context[name], grown]), now)

    def _ready(self, name: str, chain: Chain, at: float) -> None:
        self._open[name] += 1
        call_id = f"{name}.{self._pushed}"
        self._calls[call_id] = (name, chain)
        self._push(at, CallReady(call_id=call_id, program_id=name, chain=chain, prompt_tokens=100))

    def _perform(self, action: SchedulerAction, now: float) -> None:
        match action:
            case SendCall(call_id, replica_id):
                assert call_id not in self.running, "a call was sent twice"
                self.running[call_id] = replica_id
                self.sent_at.setdefault(call_id, now)
                self._answer(call_id, now)
            case CancelCall(call_id):
                del self.running[call_id]
            case SetTimer(timer_id, at):
                assert at > now, "a timer in the past"
                self._push(at, TimerFired(timer_id))
            case Prewarm(program_id):
                assert program_id not in self.ended, "blocks are kept for a program that has ended"
            case _:
                raise AssertionError(f"nobody asked for {action}")

    def _answer(self, call_id: str, now: float) -> None:
        _, chain = self._calls[call_id]
        takes_s = self._random.uniform(0.2, 3.0)
        self._push(now + takes_s / 2, FirstToken(call_id))
        if self._random.random() < 0.05:
            is_its_replicas = self._random.random() < 0.5
            self._push(now + takes_s, CallFailed(call_id, is_its_replicas))
            return
        last = chain[-1]
        context = chained([*chain, Run(last.first + last.count, self._random.randint(1, 5))])
        self._push(now + takes_s, CallFinished(call_id, Usage(), context))

    def _check(self, now: float) -> None:
        loads = Counter(self.running.values())
        for replica in self._scheduler.replicas:
            load = loads[replica.replica_id]
            assert load == len(replica.running)
            assert self.max_running is None or load <= self.max_running
