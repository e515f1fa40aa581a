"""`EarlyCalls`: tool calls that start while the message that asks for them is still being written."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any, Protocol, TypeAlias

from agentrt.dsl.functions import ToolFunction
from agentrt.errors import SchemaError
from agentrt.ir.request import Chunk, Completion, ToolCall
from agentrt.runtime.attempts import Attempts, OnAttempt, OnRetry
from agentrt.runtime.llm_calls import Attempt, CallObserver

_Key: TypeAlias = tuple[str, str]
"""Name and arguments, as the model wrote them."""


class StartTool(Protocol):
    """Calls a tool, and tells how that goes."""

    def __call__(
        self,
        tool: ToolFunction[..., Any],
        arguments: dict[str, Any],
        *,
        on_attempt: OnAttempt,
        on_retry: OnRetry,
    ) -> Coroutine[Any, Any, Any]: ...


class EarlyCall:
    """A call under way, or its result, that nobody has asked for yet.

    Attributes:
        started_s: Since when, in seconds of the run.
        attempts: Of whoever asks for it.
    """

    def __init__(self, started_s: float) -> None:
        self.started_s = started_s
        self.task: asyncio.Task[Any] | None = None
        self.attempts = Attempts()

    async def result(self, on_attempt: OnAttempt, on_retry: OnRetry) -> Any:
        """Its result, once it is there; whoever asks is told first how it went so far.

        Raises:
            ToolError: as the tool's call does.
        """
        assert self.task is not None  # noqa: S101  it was started before it was kept
        with self.attempts.told_to(on_attempt, on_retry):
            try:
                # Shielded, and then cancelled by hand: the group that it runs in takes its errors amiss.
                outcome = await asyncio.shield(self.task)
            except asyncio.CancelledError:
                self.task.cancel()
                await asyncio.wait([self.task])
                raise
        if isinstance(outcome, _Failure):
            raise outcome.error
        return outcome


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class TurnCalls:
    """What one turn of an agent has asked for so far: give it the chunks of its answer.

    Calls of tools in `names` start when they are complete, but none after a call that may write: that
    one goes first. An attempt that breaks off leaves what it started; the next attempt's answer takes
    it over where it asks for the same.
    """

    def __init__(
        self,
        tools: Mapping[str, ToolFunction[..., Any]],
        names: tuple[str, ...],
        start: Callable[[ToolFunction[..., Any], dict[str, Any]], EarlyCall],
        over: Callable[[], None],
    ) -> None:
        """`over`: told once the answer is whole, and all is taken that was started for it."""
        self._tools = tools
        self._names = frozenset(names)
        self._start = start
        self._over = over
        self._started: dict[_Key, deque[EarlyCall]] = {}
        self._seen: Counter[_Key] = Counter()
        self._is_blocked = False

    def __call__(self, chunk: Chunk) -> None:
        for call in chunk.tool_calls:
            self._asked(call)

    def begin_attempt(self) -> None:
        """The answer begins anew."""
        self._seen.clear()
        self._is_blocked = False

    @property
    def under_way(self) -> int:
        """How many calls were started that nobody has taken."""
        return sum(map(len, self._started.values()))

    def observed(self, observer: CallObserver) -> CallObserver:
        """`observer`, with this told of each attempt."""
        return _Observer(observer, self.begin_attempt)

    def keep_only(self, completion: Completion) -> None:
        """The answer is whole: what it does not ask for is not wanted.

        Nor is what it asks for after a call that may write: what was started is from before that, as
        another attempt had it, or the stream of this one.
        """
        wanted = Counter((call.name, call.arguments) for call in self._before_writes(completion))
        for key, calls in self._started.items():
            while len(calls) > wanted[key]:
                _cancel(calls.pop())
        self._end_if_empty()

    def take(self, call: ToolCall) -> EarlyCall | None:
        """The call that was started for `call`, if one was. Asked in the order of the answer."""
        calls = self._started.get((call.name, call.arguments))
        taken = calls.popleft() if calls else None
        self._end_if_empty()
        return taken

    def drop(self) -> None:
        """Nothing of it is wanted any more."""
        for calls in self._started.values():
            while calls:
                _cancel(calls.pop())

    def _end_if_empty(self) -> None:
        if not any(self._started.values()):
            self._over()

    def _before_writes(self, completion: Completion) -> Iterator[ToolCall]:
        return takewhile(lambda call: not self._writes(call), completion.tool_calls)

    def _writes(self, call: ToolCall) -> bool:
        tool = self._tools.get(call.name)
        return tool is not None and tool.spec.effects == "write"

    def _asked(self, call: ToolCall) -> None:
        tool = self._tools.get(call.name)
        if tool is None:
            return  # an error is all that will come of it
        if self._writes(call):
            self._is_blocked = True
        if self._is_blocked or call.name not in self._names:
            return
        key = (call.name, call.arguments)
        started = self._started.setdefault(key, deque())
        self._seen[key] += 1
        if self._seen[key] <= len(started):
            return  # an earlier attempt has asked for it
        try:
            arguments = tool.parse_arguments(call.arguments)
        except SchemaError:
            return  # the model is told in its turn
        started.append(self._start(tool, arguments))


class EarlyCalls:
    """Those of all turns of one run.

    Attributes:
        tasks: What they run in. Without it nothing starts early.
    """

    def __init__(self, *, now: Callable[[], float]) -> None:
        self.tasks: asyncio.TaskGroup | None = None
        self._now = now
        self._turns: dict[str, TurnCalls] = {}

    def turn(
        self,
        instance_id: str,
        tools: Mapping[str, ToolFunction[..., Any]],
        names: tuple[str, ...],
        start: StartTool,
    ) -> TurnCalls | None:
        """For the turn `instance_id`; None where nothing can start early."""
        tasks = self.tasks
        if tasks is None or not names:
            return None

        def started(tool: ToolFunction[..., Any], arguments: dict[str, Any]) -> EarlyCall:
            early = EarlyCall(self._now())
            told = early.attempts
            perform = partial(
                start, tool, arguments, on_attempt=told.on_attempt, on_retry=told.on_retry
            )
            early.task = tasks.create_task(_outcome(perform))
            return early

        def over() -> None:
            self._turns.pop(instance_id, None)

        turn = self._turns[instance_id] = TurnCalls(tools, names, started, over)
        return turn

    def start(
        self,
        instance_id: str,
        tools: Mapping[str, ToolFunction[..., Any]],
        calls: Sequence[ToolCall],
        start: StartTool,
    ) -> int:
        """Start calls that nobody has asked for yet, as if the turn `instance_id` had.

        Returns:
            How many: those with arguments that do not fit are left out.
        """
        turn = self.turn(instance_id, tools, tuple(tools), start)
        if turn is None:
            return 0
        turn(Chunk(tool_calls=tuple(calls)))
        return turn.under_way

    def __len__(self) -> int:
        """Turns whose answer is not whole, or for which calls were started that nobody has taken."""
        return len(self._turns)

    def take(self, turn_id: str, call: ToolCall) -> EarlyCall | None:
        """What the turn `turn_id` has started for `call`, if it has."""
        turn = self._turns.get(turn_id)
        return None if turn is None else turn.take(call)

    def end_turn(self, instance_id: str) -> None:
        """The turn came to no answer."""
        turn = self._turns.pop(instance_id, None)
        if turn is not None:
            turn.drop()

    def drop(self) -> None:
        """The run is over."""
        for turn in self._turns.values():
            turn.drop()
        self._turns.clear()


class _Observer:
    def __init__(self, inner: CallObserver, sent: Callable[[], None]) -> None:
        self._inner = inner
        self._sent = sent

    def call_sent(self, attempt: int) -> None:
        self._sent()
        self._inner.call_sent(attempt)

    def call_ended(self, attempt: Attempt) -> None:
        self._inner.call_ended(attempt)


async def _outcome(perform: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What comes of it; a failure is kept for whoever asks, and is nobody else's.

    Not called before the task runs: it may be cancelled before that.
    """
    try:
        return await perform()
    except Exception as error:  # noqa: BLE001  it is raised where it is asked for
        return _Failure(error)


def _cancel(call: EarlyCall) -> None:
    if call.task is not None:
        call.task.cancel()
