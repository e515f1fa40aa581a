"""Instances of a map start so that those whose prompts begin alike are neighbours."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.decorators import llm, workflow
from agentrt.ir.prompt import Prompt
from agentrt.runtime import Runtime
from agentrt.runtime.map_order import PIECE, alike_together

A, B = "a" * PIECE, "b" * PIECE


def test_those_that_begin_alike_are_neighbours_and_groups_are_where_their_first_was() -> None:
    texts = [A + "1", B + "1", A + "2", B + "2", A + "3"]
    assert alike_together(texts) == [0, 2, 4, 1, 3]


def test_the_longer_they_are_the_same_the_nearer_they_are() -> None:
    texts = [A + A + "1", A + B + "1", A + A + "2", B, A + B + "2"]
    assert alike_together(texts) == [0, 2, 1, 4, 3]


def test_what_has_no_block_in_common_stays_in_order() -> None:
    assert alike_together(["same" + each for each in "cabcab"]) == [0, 1, 2, 3, 4, 5]
    assert alike_together([A + each for each in "cab"]) == [0, 1, 2]


@settings(max_examples=200)
@given(
    st.lists(
        st.lists(st.sampled_from("xyz"), max_size=4).map(lambda t: "".join(c * PIECE for c in t)),
        max_size=8,
    )
)
def test_every_beginning_has_its_texts_in_one_stretch(texts: list[str]) -> None:
    order = alike_together(texts)
    assert sorted(order) == list(range(len(texts)))
    for length in range(PIECE, 4 * PIECE + 1, PIECE):
        heads = [texts[place][:length] for place in order if len(texts[place]) >= length]
        runs = [head for at, head in enumerate(heads) if at == 0 or heads[at - 1] != head]
        assert len(runs) == len(set(runs))


def test_an_endless_row_of_equal_prompts_is_ordered_at_once() -> None:
    assert alike_together([A * 2000] * 500) == list(range(500))


@llm
def ask(document: str, question: str) -> Prompt[str]:
    return Prompt(f"{document}\n{question}")


@workflow
def asked(documents: list[str], questions: list[str]) -> list[str]:
    return ask.map(documents, questions)


def test_a_map_asks_about_one_document_after_the_other() -> None:
    documents, questions = [A, B, A, B], ["one?", "two?", "three?", "four?"]

    def sent(*without: str) -> tuple[list[str], list[str]]:
        clock = VirtualClock()
        backend = ScriptedBackend(
            lambda request: request.messages[-1].content.split("\n")[-1],
            latency_s=1.0,
            max_concurrency=1,
        )

        async def main() -> list[str]:
            async with Runtime(backend, clock=clock, without=without) as runtime:
                return await runtime.run(asked, documents, questions)

        values = clock.run(main())
        return [request.messages[-1].content[0] for request in backend.requests], values

    together, values = sent()
    apart, same_values = sent("batch")
    assert (together, apart) == (["a", "a", "b", "b"], ["a", "b", "a", "b"])
    assert values == same_values == questions
