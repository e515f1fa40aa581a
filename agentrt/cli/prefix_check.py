"""`agentrt prefix check`: whether prompts laid out anew lead to other answers."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agentrt.cli.connection import Choices, Connection, Place, settle
from agentrt.cli.failure import UsageError
from agentrt.cli.output import Answers
from agentrt.cli.target import load_workflow

if TYPE_CHECKING:
    from agentrt.runtime.prefix_check import Compared, FormPair, Verdict
    from agentrt.store.base import StoredRun


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """The command line of `agentrt prefix check`."""

    target: str
    run_id: str | None
    limit: int
    choices: Choices
    is_json: bool


def check_prefix(options: CheckOptions, answers: Answers) -> int:
    """Ask what a stored run asked, in both forms; 1 if the answers differ beyond noise."""
    from agentrt.runtime.prefix_check import form_pairs, verdict  # noqa: PLC0415  only here

    connection = settle(options.choices)
    workflow = load_workflow(options.target).workflow
    stored = asyncio.run(_load(connection.store, workflow.name, options.run_id))
    pairs = form_pairs(stored, workflow.trace().graph)[: options.limit]
    compared = asyncio.run(_compared(pairs, connection)) if pairs else []
    result = verdict(compared)
    if options.is_json:
        answers.json(_json(stored, compared, result))
    else:
        answers.text("\n".join(_lines(stored, compared, result)))
    return int(result.differs)


def _json(stored: StoredRun, compared: list[Compared], result: Verdict) -> dict[str, Any]:
    return {
        "run_id": stored.run.run_id,
        "workflow": stored.run.workflow,
        "differs": result.differs,
        "is_decidable": result.is_decidable,
        **asdict(result),
        "calls": [asdict(one) for one in compared],
    }


def _lines(stored: StoredRun, compared: list[Compared], result: Verdict) -> list[str]:
    if not compared:
        return [
            f"run {stored.run.run_id}: no prompt that can be written again would be laid out anew"
        ]
    lines = [
        f"{len(compared)} calls of run {stored.run.run_id}, as written and laid out anew (S2):",
        f"  {result.other} answered in another way; asked twice as written, {result.noisy} did",
        f"  similarity of answers {result.similarity:.2f}; McNemar's exact test: p = {result.p_value:.3g}",
    ]
    if result.differs:
        lines.append("the answers differ beyond the model's own noise")
    elif not result.is_decidable:
        lines.append(f"too few to tell: fewer than {result.least_inputs} never can")
    else:
        lines.append("no difference beyond the model's own noise was found")
    return lines


async def _load(where: Place, workflow: str, run_id: str | None) -> StoredRun:
    store = where.open_to_read()
    try:
        if run_id is None:
            summaries = await store.list_runs(limit=1, workflow=workflow)
            if not summaries:
                raise UsageError(
                    f"no run of {workflow} is stored: there are no inputs to check with",
                    hint="run it once with a store, or name a run with --run",
                )
            run_id = summaries[0].run_id
        stored = await store.load(run_id)
        if stored.run.workflow != workflow:
            raise UsageError(
                f"run {stored.run.run_id} is one of {stored.run.workflow}, not of {workflow}",
                hint="leave out --run, and the latest run of the target's own is taken",
            )
        return stored
    finally:
        await store.aclose()


async def _compared(pairs: list[FormPair], connection: Connection) -> list[Compared]:
    from agentrt.backends.registry import connect  # noqa: PLC0415
    from agentrt.runtime.prefix_check import compare  # noqa: PLC0415

    large = connect(connection.backend, model=connection.model)
    small = large if connection.small is None else connect(connection.small)
    try:
        return await compare(pairs, {"large": large, "small": small})
    finally:
        await large.aclose()
        if small is not large:
            await small.aclose()
