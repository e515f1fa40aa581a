"""`SingleFlight`: equal calls at one time are made once, and all who asked are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from agentrt.dsl.functions import ToolFunction
from agentrt.errors import ToolError
from agentrt.runtime.attempts import Attempts, OnAttempt, OnRetry


@dataclass(slots=True)
class _Flight:
    task: asyncio.Task[Any]
    attempts: Attempts
    number: int
    waiting: int = 0


class SingleFlight:
    """Calls under way, by what makes two of them the same.

    A call belongs to all who wait for it: one who does not want it any more takes it from nobody, and
    the last one to leave ends it. What fails fails for all. Nothing is kept once a call has ended.

    Attributes:
        shared: Calls that were not made, because an equal one was under way.
        begun: Calls that were made.
    """

    def __init__(self) -> None:
        self.shared = 0
        self.begun = 0
        self._flights: dict[Hashable, _Flight] = {}

    def __len__(self) -> int:
        """How many calls are under way."""
        return len(self._flights)

    async def call(
        self,
        key: Hashable,
        perform: Callable[[Attempts], Awaitable[Any]],
        *,
        copied: Callable[[Any], Any],
        told: tuple[OnAttempt, OnRetry],
        since: int = 0,
    ) -> Any:
        """What `perform` gives, or the equal call that is under way; each gets a copy of its own.

        Args:
            key: What equal calls have in common.
            perform: Tells what it is given how it goes: it may outlive whoever asked first.
            copied: Of a value, one that shares nothing with it.
            told: Of the attempts of the call, also of those that were made before.
            since: Share no call that was begun before so many (`begun`) were: it may not have seen
                what whoever asks has done since.

        Raises:
            Exception: what `perform` raised, to each its own.
        """
        flight = self._flights.get(key)
        if flight is None or flight.number < since:
            attempts = Attempts()
            task = asyncio.create_task(_performed(perform, attempts))
            flight = self._flights[key] = _Flight(task, attempts, self.begun)
            self.begun += 1
            flight.task.add_done_callback(partial(self._landed, key))
        else:
            self.shared += 1
        flight.waiting += 1
        is_first = flight.waiting == 1
        try:
            with flight.attempts.told_to(*told):
                value = await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            await self._left(key, flight)
            raise
        except ToolError as error:
            # Whoever gets it writes on it whose it is.
            raise ToolError(
                str(error), retryable=error.retryable, is_effect_unknown=error.is_effect_unknown
            ) from error.__cause__
        return value if is_first else copied(value)

    def _landed(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # it was told, or there is nobody left to tell

    async def _left(self, key: Hashable, flight: _Flight) -> None:
        """One who waited does not any more."""
        flight.waiting -= 1
        if flight.waiting or flight.task.done():
            return
        if self._flights.get(key) is flight:
            del self._flights[key]  # who comes now begins anew
        flight.task.cancel()
        await asyncio.wait([flight.task])


async def _performed(perform: Callable[[Attempts], Awaitable[Any]], attempts: Attempts) -> Any:
    return await perform(attempts)


def flight_key(
    tenant: str, tool: ToolFunction[..., Any], arguments: Mapping[str, Any], *, is_cut: bool
) -> Hashable | None:
    """What two equal calls of a tenant have in common; None: these arguments cannot be compared."""
    try:
        written = {name: tool.parameters[name].to_json(value) for name, value in arguments.items()}
        # Arguments by name; but keys of what they hold stay in order, as a tool may show them.
        text = json.dumps(sorted(written.items()))
    except Exception:  # noqa: BLE001  values that no JSON can hold
        return None
    # Of tools with one name, in several workflows, each has its own.
    return tenant, tool.name, id(tool.function), is_cut, text


def copied_result(tool: ToolFunction[..., Any], value: Any) -> Any:
    """`value` as a resumed run would have it; itself, where no JSON can hold it."""
    try:
        return tool.result.from_json(tool.result.to_json(value))
    except Exception:  # noqa: BLE001  then it could not be stored either
        return value
