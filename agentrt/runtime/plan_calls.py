"""The calls of a plan: its lines as they stream in, its tasks, its joiner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from agentrt.errors import BackendError, InvariantError, SchemaError, ToolError
from agentrt.ir.request import Chunk, Completion, Request, ToolCall
from agentrt.ir.schema import Json, canonical_json
from agentrt.planner.outcome import Outcome, failed
from agentrt.runtime.instance import Instance, PlanJoin, PlanTask, PlanWriting
from agentrt.runtime.perform import Performer
from agentrt.runtime.plan import CUT, PLAN_CACHE, PlanRegion

_BABBLE = 400
"""Characters after the end of a plan that are put up with: reading on is how tokens are counted."""


async def write_plan(
    performer: Performer, instance: Instance, on_text: Callable[[str], None]
) -> Completion:
    """The text of a plan; `on_text` is handed it piece by piece, on the event loop.

    A stream that breaks off leaves what there is of it, with `finish_reason` "cut".

    Raises:
        BackendError: there is no text at all.
    """
    work, region = instance.work, _region(instance)
    if not isinstance(work, PlanWriting):
        raise InvariantError(f"{instance.id!r} writes no plan")
    cached = region.cached_plan(work.ask)
    if cached is not None:
        return Completion(text=cached, model=PLAN_CACHE)
    guesses = [_as_called(each.tool, each.arguments) for each in region.guesses(work.ask)]
    if guesses:
        region.count_guesses(started=performer.start_early(instance, work.step.tools, guesses))
    pieces: list[str] = []
    babble = 0

    def on_chunk(chunk: Chunk) -> None:
        nonlocal babble
        pieces.append(chunk.text)
        on_text(chunk.text)
        babble += 0 if region.planning.is_read(work.ask) else len(chunk.text)
        if babble > _BABBLE:
            enough.reschedule(0.0)

    request = Request(
        messages=work.ask.messages,
        grammar=work.ask.grammar,
        options=work.step.node.options,
        program_id=performer.run_id,
        node_id=instance.id,
    )
    try:
        async with asyncio.timeout(None) as enough:
            return await performer.free_request(
                instance, request, performer.watching(instance, on_chunk)
            )
    except TimeoutError:
        if babble <= _BABBLE:
            raise
        return Completion(text="".join(pieces))
    except BackendError:
        if not any(pieces):
            performer.early.end_turn(instance.id)
            raise
        return Completion(text="".join(pieces), finish_reason=CUT)


async def run_task(performer: Performer, instance: Instance) -> Outcome:
    """How a task of a plan ended; a tool's failure is an outcome."""
    work = instance.work
    if not isinstance(work, PlanTask):
        raise InvariantError(f"{instance.id!r} is no task of a plan")
    tool = next(tool for tool in work.step.tools if tool.name == work.run.task.tool)
    try:
        arguments = {
            name: tool.parameters[name].from_json(value)
            for name, value in work.run.arguments.items()
        }
    except SchemaError as error:
        return failed(f"not run: {error}")
    region = _region(instance)
    early = None
    if region.may_take(work.run):
        guessed = _as_called(tool.name, work.run.arguments)
        early = performer.early.take(region.first_writing, guessed)
        region.count_guesses(taken=int(early is not None))
    try:
        result = await performer.free_tool(instance, tool, arguments, early=early)
        return Outcome(tool.result.to_json(result))
    except ToolError as error:
        # What returned something that cannot be used has done what it does all the same.
        has_returned = tool.spec.effects == "write" and not error.retryable
        return failed(str(error), is_final=error.is_effect_unknown or has_returned)
    except SchemaError as error:
        return failed(f"the result of {tool.name!r} has no JSON form: {error}", is_final=True)


async def join(performer: Performer, instance: Instance) -> Completion:
    """What the joiner wrote."""
    work = instance.work
    if not isinstance(work, PlanJoin):
        raise InvariantError(f"{instance.id!r} joins no plan")
    performer.early.end_turn(_region(instance).first_writing)  # nobody asks for guesses any more
    request = Request(
        messages=work.ask.messages,
        output_schema=work.ask.schema,
        options=work.step.node.options,
        program_id=performer.run_id,
        node_id=instance.id,
    )
    return await performer.free_request(instance, request, performer.watching(instance))


def _as_called(tool: str, arguments: Mapping[str, Json]) -> ToolCall:
    return ToolCall("", tool, canonical_json(arguments))


def _region(instance: Instance) -> PlanRegion:
    region = None if instance.parent is None else instance.parent.region
    if not isinstance(region, PlanRegion):
        raise InvariantError(f"{instance.id!r} belongs to no plan")
    return region
