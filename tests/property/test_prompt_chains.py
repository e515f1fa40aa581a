"""Chains of prompts against the texts themselves."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from agentrt.ir.prefix import Chain, Run, block_count, chained, first_blocks, shared_blocks
from agentrt.ir.request import Message, Request, ToolCall
from agentrt.ir.tool import ToolSpec
from agentrt.runtime.conversations import Conversations
from agentrt.runtime.prompt_chains import BLOCK_CHARACTERS, Measured, PromptChains
from agentrt.runtime.text_rate import TextRate

# Few letters and lengths around a block's, so that prompts begin alike and differ late.
contents = st.builds(
    lambda pieces: "".join(letter * count for letter, count in pieces),
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2 * BLOCK_CHARACTERS)), max_size=4),
)
calls = st.builds(ToolCall, st.just("c0"), st.sampled_from(["x", "y"]), st.sampled_from(["{}", ""]))
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    contents,
    st.lists(calls, max_size=2).map(tuple),
)
tools = st.sampled_from([(), (ToolSpec(name="x"),), (ToolSpec(name="x", description="d" * 70),)])
prompts = st.tuples(tools, st.lists(messages, min_size=1, max_size=4).map(tuple))


def text_of(measured: Measured) -> str:
    """What is measured, said in another way."""
    head = "".join(
        f"\x1d{tool.name}\n{tool.description}\n{tool.parameters}" for tool in measured.tools
    )
    return head + "".join(
        f"\x1e{message.role}\n{message.content}"
        + "".join(f"\x1f{call.name}\x1f{call.arguments}" for call in message.tool_calls)
        for message in measured.messages
    )


@given(st.lists(prompts, min_size=2, max_size=8))
def test_two_prompts_share_the_full_blocks_of_their_common_beginning(
    made: list[tuple[tuple[ToolSpec, ...], tuple[Message, ...]]],
) -> None:
    chains = PromptChains()
    all_measured = [chains.measured(*prompt) for prompt in made]
    for measured in all_measured:
        text = text_of(measured)
        assert measured.characters == len(text)
        assert block_count(measured.chain) == len(text) // BLOCK_CHARACTERS
        assert measured.chain == chained(measured.chain)
    blocks = {run.first + at for m in all_measured for run in m.chain for at in range(run.count)}
    assert chains.made == len(chains) == len(blocks)
    for left, right in combinations(all_measured, 2):
        common = len(os.path.commonprefix([text_of(left), text_of(right)]))  # noqa: RUF071  texts
        shared = shared_blocks_of_any(left.chain, right.chain)
        assert shared == common // BLOCK_CHARACTERS


def shared_blocks_of_any(a: Chain, b: Chain) -> int:
    """Block by block; `shared_blocks` must say the same of chains in their one form."""
    left = [run.first + at for run in a for at in range(run.count)]
    right = [run.first + at for run in b for at in range(run.count)]
    shared = len(os.path.commonprefix([left, right]))  # noqa: RUF071  lists of numbers
    assert shared_blocks(a, b) == shared
    return shared


@given(st.data())
def test_a_conversation_is_measured_as_if_it_were_new(data: st.DataObject) -> None:
    chains = PromptChains()
    conversations = [Conversations(chains) for _ in range(2)]
    asked: list[list[Message]] = [[], [], []]
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(0, 2))
        talk = conversations[at % 2]
        asked[at].extend(data.draw(st.lists(messages, min_size=1, max_size=2)))
        request = Request(messages=tuple(asked[at]), tools=data.draw(tools))
        prompt = talk.prompt(request)
        assert prompt == chains.measured(request.tools, request.messages)
        answer = Message("assistant", data.draw(contents))
        context = talk.context(prompt, answer, is_last=data.draw(st.booleans()))
        assert context == chains.measured(request.tools, (*request.messages, answer))
        blocks = block_count(prompt.chain)
        assert first_blocks(context.chain, blocks) == prompt.chain
        if data.draw(st.booleans()):
            asked[at].append(answer)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), max_size=60))
def test_no_more_blocks_are_remembered_than_asked_for_and_no_id_comes_twice(
    uses: list[tuple[int, int]],
) -> None:
    most = 16
    chains = PromptChains(most_blocks=most)
    meaning: dict[int, str] = {}
    for who, blocks in uses:
        content = "".join(f"{who}{at}".ljust(BLOCK_CHARACTERS, ".") for at in range(blocks))
        message = Message("user", content)
        chain = chains.measured((), (message,)).chain
        assert len(chains) <= most
        text = f"\x1euser\n{content}"
        at = BLOCK_CHARACTERS
        for run in chain:
            for block in range(run.first, run.first + run.count):
                assert meaning.setdefault(block, text[:at]) == text[:at]
                at += BLOCK_CHARACTERS


def test_programs_that_take_turns_have_chains_of_few_runs() -> None:
    chains = PromptChains()
    talks = [Conversations(chains) for _ in range(5)]
    histories = [[Message("system", "s" * 1000), Message("user", str(n) * 200)] for n in range(5)]
    contexts: list[Measured] = []
    for _ in range(20):
        contexts = []
        for talk, history in zip(talks, histories, strict=True):
            prompt = talk.prompt(Request(messages=tuple(history)))
            answer = Message("assistant", "a" * 100)
            contexts.append(talk.context(prompt, answer, is_last=False))
            history += [answer, Message("tool", "t" * 300)]
    assert [len(context.chain) for context in contexts] == [1, 2, 2, 2, 2]
    shared = (len("\x1esystem\n") + 1000 + len("\x1euser\n")) // BLOCK_CHARACTERS
    assert contexts[0].chain[0].first == contexts[1].chain[0].first == 0
    assert {context.chain[0] for context in contexts[1:]} == {Run(0, shared)}


class Watched(PromptChains):
    """Counts the prompts that are measured from their start."""

    measurings = 0

    def measured(
        self, tools: tuple[ToolSpec, ...], messages: tuple[Message, ...], *, salt: str = ""
    ) -> Measured:
        self.measurings += 1
        return super().measured(tools, messages, salt=salt)


def test_agents_of_one_program_that_take_turns_are_each_measured_on() -> None:
    chains = Watched()
    talk = Conversations(chains)
    system = Message("system", "s" * 1000)
    histories = [[system, Message("user", str(n) * 200)] for n in range(50)]
    for _ in range(20):
        for history in histories:
            prompt = talk.prompt(Request(messages=tuple(history)))
            answer = Message("assistant", "the same for all")
            talk.context(prompt, answer, is_last=False)
            # As from JSON: equal, and other objects.
            history[:] = [replace(message) for message in history]
            history += [answer, Message("tool", "t" * 300)]
    assert chains.measurings == len(histories)


def test_a_conversation_may_be_taken_up_where_it_was() -> None:
    chains = Watched()
    talk = Conversations(chains)
    first = Message("user", "x" * 400)
    answer = Message("assistant", "y")
    talk.context(talk.prompt(Request(messages=(first,))), answer, is_last=False)
    for n in range(3):
        question = Message("user", f"{n}" * 100)
        prompt = talk.prompt(Request(messages=(first, answer, question)))
        talk.context(prompt, Message("assistant", "z"), is_last=False)
    assert chains.measurings == 1


def test_what_goes_on_from_forgotten_blocks_gets_new_ones() -> None:
    chains = PromptChains(most_blocks=8)
    talk = Conversations(chains)
    first = Message("user", "x" * 400)
    before = talk.context(
        talk.prompt(Request(messages=(first,))), Message("assistant", "y"), is_last=False
    )
    for other in range(20):
        chains.measured((), (Message("user", str(other) * 400),))
    after = chains.measured((), (first,))
    assert shared_blocks(before.chain, after.chain) == 0
    grown = talk.prompt(
        Request(messages=(first, Message("assistant", "y"), Message("user", "z" * 100)))
    )
    assert first_blocks(grown.chain, block_count(before.chain)) == before.chain
    assert len(chains) <= 8


@given(st.integers(1, 8), st.integers(5_000, 50_000))
def test_the_rate_of_characters_is_that_of_the_model(characters: int, tokens: int) -> None:
    rate = TextRate()
    assert rate.characters_per_token == 4.0
    rate.learn(1_000, 0)
    assert rate.characters_per_token == 4.0
    for _ in range(3_000_000 // tokens + 1):
        rate.learn(characters * tokens, tokens)
    assert abs(rate.characters_per_token - characters) < 0.05
    assert rate.tokens(0) == 1
    assert abs(rate.tokens(characters * 1_000) - 1_000) < 20
