"""Tenants whose caches are apart at the engine are apart in the scheduler's blocks too."""

from __future__ import annotations

import asyncio

from agentrt.clock import SystemClock
from agentrt.ir.prefix import block_count, shared_blocks
from agentrt.ir.request import Message, Request
from agentrt.runtime.conversations import Conversations
from agentrt.runtime.pool import Pool
from agentrt.runtime.prompt_chains import PromptChains
from agentrt.runtime.scheduled_program import _Membership
from agentrt.runtime.scheduling import Scheduling

_ASKED = Request(messages=(Message("system", "You are a clerk. " * 40), Message("user", "Begin.")))


def test_prompts_of_one_salt_share_their_beginning() -> None:
    chains = PromptChains()
    first = Conversations(chains, salt="a").prompt(_ASKED)
    again = Conversations(chains, salt="a").prompt(_ASKED)
    assert shared_blocks(first.chain, again.chain) == block_count(first.chain)


def test_prompts_of_different_salts_share_nothing() -> None:
    chains = PromptChains()
    prompts = [Conversations(chains, salt=salt).prompt(_ASKED) for salt in ("", "a", "b")]
    shared = [shared_blocks(one.chain, other.chain) for one in prompts for other in prompts]
    whole = [block_count(prompt.chain) for prompt in prompts]
    assert shared == [whole[0], 0, 0, 0, whole[1], 0, 0, 0, whole[2]]


def test_a_salt_is_no_text() -> None:
    prompts = [
        Conversations(PromptChains(), salt=salt).prompt(_ASKED) for salt in ("", "long" * 99)
    ]
    assert prompts[0].characters == prompts[1].characters
    assert block_count(prompts[1].chain) == block_count(prompts[0].chain) + 1


def test_a_salt_may_be_any_text_that_json_can_hold() -> None:
    chains = PromptChains()
    prompts = [Conversations(chains, salt=salt).prompt(_ASKED) for salt in ("\ud800", "\udfff")]
    assert shared_blocks(prompts[0].chain, prompts[1].chain) == 0


def test_a_program_of_ever_new_salts_is_remembered_by_its_latest() -> None:
    async def main() -> int:
        pool = Pool("m", {}, clock=SystemClock(), scheduling=Scheduling())
        of_program = _Membership(pool, "tenant")
        first = of_program.conversations("0")
        for number in range(1, 100):
            of_program.conversations(str(number))
        assert of_program.conversations("99") is of_program.conversations("99")
        assert of_program.conversations("0") is not first
        return len(of_program._by_salt)

    assert asyncio.run(main()) == 16
