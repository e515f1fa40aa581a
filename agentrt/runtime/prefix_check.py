"""Whether prompts that were laid out anew lead to other answers than their author's do."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb

from agentrt.backends.base import Backend
from agentrt.compiler.passes.layout import Layout
from agentrt.compiler.pipeline import compile_graph
from agentrt.compiler.prefix import all_moved
from agentrt.errors import BackendError
from agentrt.ir.graph import Graph
from agentrt.ir.request import Completion, Request
from agentrt.runtime.stored_prompt import StoredPrompt
from agentrt.runtime.stored_prompts import prompts_of
from agentrt.store.base import StoredRun

SIGNIFICANT = 0.05
SIMILAR_CHARACTERS = 2000
"""Of each answer, how much its similarity to another is told by: that takes the square of it."""
_SEEDS = (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One recorded input, asked in both forms.

    Attributes:
        is_noisy: The author's form answered in two ways when it was asked twice, with other seeds.
        is_other: The form laid out anew answered in another way than the author's, with one seed.
        similarity: Of those two answers' first 2,000 characters, from 0 to 1 (Ratcliff and
            Obershelp's).
    """

    node_id: str
    is_noisy: bool
    is_other: bool
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check came to.

    Attributes:
        p_value: How likely at least so many inputs would differ by form alone rather than by seed
            alone, were a change of form no more than a change of seed: McNemar's exact test, one
            sided, on the inputs where only one of the two differed.
        least_inputs: So many would have to differ by form alone, and none by seed alone, to tell.
    """

    inputs: int
    noisy: int
    other: int
    p_value: float
    similarity: float
    least_inputs: int = 5

    @property
    def differs(self) -> bool:
        """Beyond the model's own noise."""
        return self.p_value < SIGNIFICANT

    @property
    def is_decidable(self) -> bool:
        """Whether so few inputs could have told at all."""
        return self.inputs >= self.least_inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPair:
    """One call in both forms."""

    written: StoredPrompt
    moved: StoredPrompt


def form_pairs(stored: StoredRun, graph: Graph) -> list[FormPair]:
    """The calls of `stored` whose prompts the layout pass would change if it were let (S2).

    Args:
        stored: Where inputs and results are taken from.
        graph: The workflow's, as traced.
    """
    plain = compile_graph(graph, without=("layout",)).graph
    written = prompts_of(stored, plain)
    moved = prompts_of(stored, Layout().run(all_moved(plain)))
    return [
        FormPair(written=prompt, moved=moved[node_id])
        for node_id, prompt in written.items()
        if node_id in moved
        and (prompt.messages != moved[node_id].messages or prompt.tools != moved[node_id].tools)
    ]


async def compare(pairs: Sequence[FormPair], backends: Mapping[str, Backend]) -> list[Compared]:
    """Ask each pair three times: the author's form with two seeds, the other with the first.

    Args:
        pairs: What to ask.
        backends: By tier; what has none goes to `large`.

    Raises:
        BackendError: a call came to no answer.
    """
    found: list[Compared] = []
    for pair in pairs:
        backend = backends[pair.written.options.tier or "large"]
        first, again = [await _asked(backend, pair.written, seed) for seed in _SEEDS]
        other = await _asked(backend, pair.moved, _SEEDS[0])
        found.append(
            Compared(
                node_id=pair.written.node_id,
                is_noisy=_said(first) != _said(again),
                is_other=_said(first) != _said(other),
                similarity=_similarity(_said(first), _said(other)),
            )
        )
    return found


def verdict(compared: Sequence[Compared]) -> Verdict:
    """Whether the forms differ beyond the model's own noise."""
    by_form = sum(one.is_other and not one.is_noisy for one in compared)
    by_seed = sum(one.is_noisy and not one.is_other for one in compared)
    trials = by_form + by_seed
    tail = sum(comb(trials, k) for k in range(by_form, trials + 1))
    return Verdict(
        inputs=len(compared),
        noisy=sum(one.is_noisy for one in compared),
        other=sum(one.is_other for one in compared),
        p_value=tail / 2**trials,
        similarity=sum(one.similarity for one in compared) / max(len(compared), 1),
    )


def _similarity(a: str, b: str) -> float:
    if a == b:
        return 1.0
    shown = a[:SIMILAR_CHARACTERS], b[:SIMILAR_CHARACTERS]
    return difflib.SequenceMatcher(None, *shown, autojunk=False).ratio()


async def _asked(backend: Backend, prompt: StoredPrompt, seed: int) -> Completion:
    request = Request(
        messages=prompt.messages,
        tools=prompt.tools,
        output_schema=prompt.output_schema,
        options=replace(prompt.options, seed=seed),
        program_id="prefix-check",
        node_id=prompt.node_id,
    )
    try:
        return await backend.complete(request)
    except BackendError as error:
        error.add_note(f"while checking {prompt.node_id}")
        raise


def _said(completion: Completion) -> str:
    calls = "".join(f"\n{call.name}({call.arguments})" for call in completion.tool_calls)
    return completion.text.strip() + calls
