"""`Program`: free Python as one program. Same queues, same records, a weaker plan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast

from agentrt.backends.base import OnChunk
from agentrt.dsl.functions import ToolFunction
from agentrt.errors import AgentRTError, DefinitionError, InputError, SchemaError
from agentrt.ir.event import RunFinished, RunStarted, RunStatus
from agentrt.ir.report import NodeReport, total_usage
from agentrt.ir.request import Completion, Request, Usage
from agentrt.runtime.instance import FreeRequest, FreeTool, Instance, Work
from agentrt.runtime.journal import Journal
from agentrt.runtime.perform import Performer
from agentrt.store.base import RunRecord

if TYPE_CHECKING:
    from openai import AsyncOpenAI

P = ParamSpec("P")
R = TypeVar("R")


class Program:
    """An agent written as ordinary Python, scheduled and recorded as one program.

        async with runtime.program("triage") as program:
            reply = await program.client.chat.completions.create(model="", messages=[...])
            found = await program.tool(search, "KV cache")

    Its runs are kept like any other but cannot be resumed: nothing says where the Python was.
    """

    def __init__(
        self, name: str, *, journal: Journal, performer: Performer, created_at: float
    ) -> None:
        self.name = name
        self._journal = journal
        self._performer = performer
        self._created_at = created_at
        self._instances: list[Instance] = []
        self._counts: dict[str, int] = {}
        self._client: AsyncOpenAI | None = None
        self._is_open = False

    @property
    def run_id(self) -> str:
        return self._journal.run_id

    @property
    def client(self) -> AsyncOpenAI:
        """An `openai` client whose requests are this program's; nothing leaves the process by it.

        Chat completions, streamed or not, and the list of models.
        """
        if self._client is None:
            from agentrt.backends.loopback import openai_client  # noqa: PLC0415  heavy

            self._client = openai_client(self._complete)
        return self._client

    @property
    def nodes(self) -> tuple[NodeReport, ...]:
        """What it has done so far, in the order it began."""
        return tuple(instance.report() for instance in self._instances)

    @property
    def usage(self) -> Usage:
        return total_usage(self.nodes)

    async def tool(
        self,
        function: Callable[P, Awaitable[R]] | Callable[P, R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a `@tool` with its timeout, retries and limits, and record it.

        Raises:
            ToolError: the last attempt failed.
            InputError: the arguments do not fit.
        """
        if not isinstance(function, ToolFunction):
            raise DefinitionError(f"{function!r} is not a @tool")
        tool = cast("ToolFunction[..., R]", function)
        arguments: dict[str, Any] = {}
        for name, value in tool.signature.bind(args, kwargs, InputError).items():
            try:
                arguments[name] = tool.parameters[name].check(value)
            except SchemaError as error:
                raise InputError(f"{tool.name}: the argument {name!r}: {error}") from error
        instance = self._instance(tool.name, FreeTool(tool))
        return cast(
            "R",
            await self._perform(
                instance, lambda: self._performer.free_tool(instance, tool, arguments)
            ),
        )

    async def complete(self, request: Request, on_chunk: OnChunk | None = None) -> Completion:
        """One request in agentrt's own terms, for those who do not want the `openai` client."""
        return await self._complete(request, on_chunk)

    async def __aenter__(self) -> Self:
        self._is_open = True
        self._performer.program.arrive("large")
        record = self._record("running", None)
        self._journal.run_started(record, RunStarted(self.run_id, self.name, self._performer.now()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        status: RunStatus = "finished"
        if error is not None:
            status = "failed" if isinstance(error, Exception) else "cancelled"
        try:
            if self._client is not None:
                await self._client.close()
        finally:
            self._performer.program.end(is_cancelled=status == "cancelled")
        told = None if error is None else f"{type(error).__name__}: {error}"
        await self._journal.run_finished(
            self._record(status, told),
            RunFinished(self.run_id, status, self._performer.now(), told),
        )

    async def _complete(self, request: Request, on_chunk: OnChunk | None = None) -> Completion:
        instance = self._instance("llm", FreeRequest())
        request = replace(request, program_id=self.run_id, node_id=instance.id)
        watched = self._performer.watching(instance, on_chunk)
        return cast(
            "Completion",
            await self._perform(
                instance, lambda: self._performer.free_request(instance, request, watched)
            ),
        )

    async def _perform(
        self, instance: Instance, perform: Callable[[], Awaitable[object]]
    ) -> object:
        instance.started_s = self._performer.now()
        try:
            value = await perform()
        except AgentRTError as error:
            instance.status = "failed"
            instance.finished_s = self._performer.now()
            instance.error = str(error)
            self._journal.failed(instance, instance.error)
            raise
        except BaseException:
            instance.status = "cancelled"
            instance.finished_s = self._performer.now()
            raise
        instance.status = "finished"
        instance.value = value
        instance.finished_s = self._performer.now()
        self._journal.finished(instance, value, self._performer.to_json)
        return value

    def _instance(self, name: str, work: Work) -> Instance:
        if not self._is_open:
            raise DefinitionError(f"program {self.name!r} is over: use it inside its `async with`")
        index = self._counts[name] = self._counts.get(name, -1) + 1
        instance = Instance(f"{name}[{index}]", work, None, None)
        self._instances.append(instance)
        return instance

    def _record(self, status: RunStatus, error: str | None) -> RunRecord:
        return RunRecord(
            run_id=self.run_id,
            workflow=self.name,
            graph_hash="",
            graph=None,
            input=None,
            status=status,
            error=error,
            created_at=self._created_at,
            duration_s=self._performer.now(),
        )
