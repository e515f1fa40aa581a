"""What laying prompts out for the prefix cache saves: the same agent programs as written and rewritten.

    python -m tests.benchmarks.prompt_rewriting [--runs N] [--rounds N] [--vllm URL | --imitated]
        [--block N] [--json FILE]

Each run is four programs, one after another, as one user's are: a summary of retrieved text, an agent
of five turns with four tools, three reviewers of one text, and an agent of five turns of the older sort
(scratchpad), whose transcript is text and whose system prompt says the time anew each turn. All have a
clock in the system prompt or before it, tools are unsorted, and what was retrieved comes before the
instructions. Forms: `S0`, as written; `S1`, the default; `S2`, blocks moved. Each form starts on a cold
cache (an engine of its own, or a salt of its own with --vllm), and the order of the forms is rotated
from round to round. `computed` are prompt tokens that the engine did not find cached, by its own count.
--imitated asks no model: tokens of four characters and a cache of whole blocks of 16 that forgets
nothing; its times mean nothing.

What it does not show: whether answers are as good (`agentrt prefix check` compares them); engines
under load, where caches overflow; models that decode slowly against prefill, where less is won; agents
that choose their own tools: the small model's answers are measured and then replaced.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agentrt import Runtime
from agentrt.backends.base import Backend
from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.backends.registry import connect
from agentrt.clock import SystemClock
from agentrt.ir.node import Layout
from agentrt.testing import ScriptedBackend
from tests.benchmarks.prompt_rewriting_work import KINDS, Asked, Steered, programs, turns_of

FORMS: tuple[Layout, ...] = ("S0", "S1", "S2")
END_TO_END_TARGET = 1.8
APPEND_ONLY_TARGET = 1.05
_QUESTIONS = ("the login is slow", "the queue is full", "a disk is lost", "the page is empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One form in one round.

    Attributes:
        append_only: Prompt tokens that the agents' turns computed, against the least possible: those
            of each last turn, less what its first turn found.
        append_only_blocks: The same against the least possible where only whole blocks are cached.
        kinds_s: What programs of each kind took of `wall_s`.
    """

    form: Layout
    round: int
    wall_s: float
    kinds_s: Mapping[str, float]
    prompt_tokens: int
    computed_tokens: int
    completion_tokens: int
    append_only: float
    append_only_blocks: float
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One form over all rounds: medians. `kinds` are speedups of programs of each kind."""

    form: Layout
    wall_s: float
    completion_tokens: int
    kinds: Mapping[str, float]
    prompt_tokens: int
    computed_tokens: int
    append_only: float
    append_only_blocks: float
    speedup: float
    is_repeatable: bool
    same_answers: float


async def measure(
    form: Layout, number: int, runs: int, backend: Backend, *, salt: str = "", block_tokens: int = 1
) -> Measured:
    """One form on a cold cache."""
    clock = SystemClock()
    steered = Steered(backend, salt=salt)
    await steered.capabilities()  # loading is not what is measured
    names: list[str] = []
    kinds_s = dict.fromkeys(KINDS, 0.0)
    async with Runtime(steered) as runtime:
        for run in range(runs):
            question = _QUESTIONS[run % len(_QUESTIONS)]
            for kind, workflow in programs(form).items():
                begun_s = clock.now()
                result = await runtime.start(workflow.bind(question, str(run))).wait()
                kinds_s[kind] += clock.now() - begun_s
                if result.status != "finished":
                    raise RuntimeError(f"{form}: {result.errors}")
                names.append(result.run_id)
    asked = steered.asked
    return Measured(
        form=form,
        round=number,
        wall_s=sum(kinds_s.values()),
        kinds_s=kinds_s,
        prompt_tokens=sum(one.usage.prompt_tokens for one in asked),
        computed_tokens=sum(_computed(one) for one in asked),
        completion_tokens=sum(one.usage.completion_tokens for one in asked),
        append_only=_append_only(asked, names),
        append_only_blocks=_append_only(asked, names, block_tokens=block_tokens),
        answers=tuple(
            f"{names.index(one.run)}/{one.node_id}: {one.text}"
            for one in sorted(asked, key=lambda each: (names.index(each.run), each.node_id))
        ),
    )


def rows(measured: Sequence[Measured]) -> list[Row]:
    """Medians of each form, against the first form's."""
    of = {form: [one for one in measured if one.form == form] for form in FORMS}
    of = {form: found for form, found in of.items() if found}
    base = of[FORMS[0]]
    base_s = statistics.median(one.wall_s for one in base)
    made: list[Row] = []
    for form, found in of.items():
        wall_s = statistics.median(one.wall_s for one in found)
        pairs = list(zip(base[0].answers, found[0].answers, strict=True))
        made.append(
            Row(
                form=form,
                wall_s=wall_s,
                prompt_tokens=int(statistics.median(one.prompt_tokens for one in found)),
                computed_tokens=int(statistics.median(one.computed_tokens for one in found)),
                completion_tokens=int(statistics.median(one.completion_tokens for one in found)),
                kinds={kind: _kind_s(base, kind) / _kind_s(found, kind) for kind in KINDS},
                append_only=statistics.median(one.append_only for one in found),
                append_only_blocks=statistics.median(one.append_only_blocks for one in found),
                speedup=base_s / wall_s,
                is_repeatable=len({one.answers for one in found}) == 1,
                same_answers=sum(a == b for a, b in pairs) / len(pairs),
            )
        )
    return made


def _kind_s(measured: Sequence[Measured], kind: str) -> float:
    return statistics.median(one.kinds_s[kind] for one in measured)


def table(found: Sequence[Row], *, is_imitated: bool = False) -> str:
    """The rows, and the targets."""
    lines = [
        f"{'form':6}{'wall s':>9}{'speedup':>9}{'prompt':>9}{'computed':>10}{'written':>9}"
        f"{'append-only':>13}{'by blocks':>11}{'repeatable':>12}{'same as S0':>12}"
    ]
    lines += [
        f"{row.form:6}{row.wall_s:9.2f}{row.speedup:9.2f}{row.prompt_tokens:9,}"
        f"{row.computed_tokens:10,}{row.completion_tokens:9,}{row.append_only:13.3f}"
        f"{row.append_only_blocks:11.3f}{row.is_repeatable!s:>12}{row.same_answers:12.0%}"
        for row in found
    ]
    lines += ["", "speedup by kind of program", "".join(f"{kind:>12}" for kind in ("form", *KINDS))]
    lines += [
        f"{row.form:>12}" + "".join(f"{row.kinds[kind]:12.2f}" for kind in KINDS) for row in found
    ]
    lines.append("")
    last = found[-1]
    lines.append(
        f"targets: {END_TO_END_TARGET}x end to end: "
        + ("not measured" if is_imitated else _met(last.speedup >= END_TO_END_TARGET))
        + ";"
        f" append-only within 5 %: {_met(last.append_only <= APPEND_ONLY_TARGET)}"
    )
    return "\n".join(lines)


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def _computed(one: Asked) -> int:
    return one.usage.prompt_tokens - one.usage.cached_tokens


def _append_only(asked: Sequence[Asked], names: Sequence[str], *, block_tokens: int = 1) -> float:
    """Computed by the agents' turns, over what each adds to the whole blocks of the one before."""
    computed = least = 0
    for name in names:
        cached = None
        for turn in turns_of(asked, name):
            cached = turn.usage.cached_tokens if cached is None else cached
            computed += _computed(turn)
            least += turn.usage.prompt_tokens - cached
            cached = turn.usage.prompt_tokens // block_tokens * block_tokens
    return computed / max(least, 1)


async def _all(options: argparse.Namespace) -> list[Measured]:
    found: list[Measured] = []
    for number in range(options.rounds):
        order = [*FORMS[number % len(FORMS) :], *FORMS[: number % len(FORMS)]]
        for form in order:
            salt = f"rewriting-{options.label}-{number}-{form}" if options.vllm else ""
            backend: Backend = (
                ScriptedBackend("an answer of a few words, as short ones are")
                if options.imitated
                else connect(options.vllm, model=options.model)
                if options.vllm
                else EmbeddedBackend(options.model, settings=EmbeddedSettings(drafting="off"))
            )
            try:
                found.append(
                    await measure(
                        form, number, options.runs, backend, salt=salt, block_tokens=options.block
                    )
                )
            finally:
                await backend.aclose()
            sys.stderr.write(f"round {number}, {form}: {found[-1].wall_s:.2f} s\n")
    return found


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vllm", metavar="URL")
    parser.add_argument("--imitated", action="store_true")
    parser.add_argument("--model", metavar="NAME")
    parser.add_argument(
        "--block", type=int, default=1, help="tokens of a block of the engine's prefix cache"
    )
    parser.add_argument(
        "--label", default="0", help="a salt that was not used at the server before"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    measured = asyncio.run(_all(options))
    found = rows(measured)
    sys.stdout.write(table(found, is_imitated=options.imitated) + "\n")
    sys.stdout.write(
        "It does not show: " + (__doc__ or "").partition("does not show: ")[2].strip() + "\n"
    )
    if options.json is not None:
        options.json.write_text(
            json.dumps(
                {
                    "rows": [asdict(row) for row in found],
                    "measured": [asdict(one) for one in measured],
                },
                indent=1,
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
