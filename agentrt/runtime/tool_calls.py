"""Calling tools: threads for synchronous ones, timeouts, retries, limits on number and size."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from agentrt.clock import Clock
from agentrt.dsl.functions import ToolFunction
from agentrt.errors import SchemaError, ToolError
from agentrt.runtime.attempts import OnAttempt, OnRetry
from agentrt.runtime.backoff import backoff_s
from agentrt.runtime.single_flight import SingleFlight
from agentrt.runtime.threads import Threads
from agentrt.runtime.turn_taking import TurnTaking


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call stands among those that wait for the same tool.

    Attributes:
        owner: The run: those go in the order they came.
        precedence: Of the calls of one run that with the most goes first.
    """

    owner: str = ""
    precedence: float = 0.0


ANYWHERE = Place()


class ToolCalls:
    """All tool calls of one runtime.

    Attributes:
        flights: Those that equal ones may share.
    """

    def __init__(self, *, clock: Clock, random_source: random.Random, max_threads: int) -> None:
        self._clock = clock
        self._random = random_source
        self.flights = SingleFlight()
        self.threads = Threads(limit=max_threads, clock=clock)
        self._limits: dict[tuple[str, int], tuple[ToolFunction[..., Any], TurnTaking]] = {}

    async def call(
        self,
        tool: ToolFunction[..., Any],
        arguments: Mapping[str, Any],
        *,
        on_attempt: OnAttempt,
        on_retry: OnRetry,
        is_cut: bool = False,
        place: Place = ANYWHERE,
    ) -> Any:
        """The tool's result, checked against its type.

        An attempt is repeated only if the tool is repeatable and attempts are left. With `is_cut`
        the caller cuts long results itself; otherwise one over the tool's limit is an error.

        Raises:
            ToolError: the last attempt failed; the tool's own exception is its cause.
        """
        spec = tool.spec
        attempt = 1
        while True:
            try:
                result = await self._attempt(tool, arguments, partial(on_attempt, attempt), place)
                return self._checked(tool, result, is_cut=is_cut)
            except (ToolError, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:
                if attempt > spec.retries or not spec.is_repeatable:
                    is_unknown = isinstance(error, TimeoutError) and not spec.is_repeatable
                    raise ToolError(
                        _told(tool, error, attempt), is_effect_unknown=is_unknown
                    ) from error
                wait_s = backoff_s(attempt, self._random)
                on_retry(attempt, error, wait_s)
            await self._clock.sleep(wait_s)
            attempt += 1

    async def _attempt(
        self,
        tool: ToolFunction[..., Any],
        arguments: Mapping[str, Any],
        on_attempt: Callable[[], None],
        place: Place,
    ) -> Any:
        spec = tool.spec
        if spec.concurrency is None and spec.timeout_s is None and tool.is_async:
            on_attempt()
            return await tool.function(**arguments)
        async with self._turn(tool, place):
            on_attempt()
            if not tool.is_async:
                result = await self.threads.call(tool.function, arguments, timeout_s=spec.timeout_s)
                # A synchronous wrapper around an async function.
                return await result if inspect.isawaitable(result) else result
            async with asyncio.timeout(spec.timeout_s):
                return await tool.function(**arguments)

    def _turn(self, tool: ToolFunction[..., Any], place: Place) -> AbstractAsyncContextManager[Any]:
        concurrency = tool.spec.concurrency
        if concurrency is None:
            return nullcontext()
        # Workflows may each have a tool of this name; copies of one tool share its limit. The tool is
        # kept too, so that the function's id stays its own.
        key = (tool.name, id(tool.function))
        if key not in self._limits:
            self._limits[key] = (tool, TurnTaking(concurrency))
        return self._limits[key][1].turn(place.owner, place.precedence)

    def _checked(self, tool: ToolFunction[..., Any], result: Any, *, is_cut: bool) -> Any:
        spec = tool.spec
        try:
            value = tool.result.check(result)
        except SchemaError as error:
            message = f"tool {spec.name!r} returned the wrong type: {error}"
            raise ToolError(message, retryable=False) from error
        if is_cut or value is None or isinstance(value, (bool, int, float)):
            return value
        size = result_bytes(tool, value)
        if size > spec.max_output_bytes:
            raise ToolError(
                f"tool {spec.name!r} returned {size:,} bytes, more than its limit of "
                f"{spec.max_output_bytes:,}: return less, or raise max_output_bytes",
                retryable=False,
            )
        return value


def result_bytes(tool: ToolFunction[..., Any], value: Any) -> int:
    """The size of a result: of text in UTF-8, of anything else as JSON."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))
    return len(json.dumps(tool.result.to_json(value)))


def _told(tool: ToolFunction[..., Any], error: BaseException, attempts: int) -> str:
    name = tool.spec.name
    if isinstance(error, TimeoutError) and tool.spec.timeout_s is not None and not str(error):
        what = f"tool {name!r} did not finish within {tool.spec.timeout_s:g} s"
    else:
        what = f"tool {name!r} raised {type(error).__name__}: {error}"
    return what if attempts == 1 else f"{what} (attempt {attempts})"
