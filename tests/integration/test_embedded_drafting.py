"""Drafting by lookup on the embedded engine itself, with the default model."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from agentrt.backends import models
from agentrt.backends.embedded import EmbeddedBackend
from agentrt.backends.embedded_drafting import Drafting
from agentrt.backends.embedded_engine import Engine, EngineSettings
from agentrt.backends.embedded_settings import DraftingWish, EmbeddedSettings
from agentrt.estimates.drafting import VerifyCost
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Completion, Message, Request, Usage

NAMES = ("bolts", "nuts", "washers", "screws", "nails", "rivets", "hooks", "hinges")
ROWS = "\n".join(f"{n}. {name}: {n * 37 % 101} units" for n, name in enumerate(NAMES, 1))
COPY = f"Repeat this list word for word:\n{ROWS}"
FREE = "Write one sentence about the sea."
SYSTEM = "You copy lists. " + " ".join(f"Rule {n}: leave nothing out." for n in range(50))
ALIKE = 0.1  # of the logarithm of a probability: less is a tie, which rounding decides


def _settings(drafting: DraftingWish) -> EmbeddedSettings:
    return EmbeddedSettings(slots=2, context_tokens=1024, drafting=drafting)


def _request(text: str, *, system: str = "") -> Request:
    before = (Message("system", system),) if system else ()
    messages = (*before, Message("user", text))
    return Request(messages=messages, options=LLMOptions(max_tokens=60), node_id="copy[1].llm")


async def _answers(drafting: DraftingWish, texts: list[str]) -> list[Completion]:
    backend = EmbeddedBackend(settings=_settings(drafting))
    try:
        return [await backend.complete(_request(text)) for text in texts]
    finally:
        await backend.aclose()


async def test_what_is_copied_is_drafted_and_the_answers_are_those_without_drafts() -> None:
    texts = [COPY, FREE]
    plain = await _answers("off", texts)
    drafting = await _answers("on", texts)
    assert [(one.drafted_tokens, one.accepted_tokens) for one in plain] == [(0, 0), (0, 0)]
    copied = drafting[0]
    assert copied.drafted_tokens >= copied.accepted_tokens > 10
    for text, without, with_drafts in zip(texts, plain, drafting, strict=True):
        if with_drafts.text != without.text:
            _assert_a_tie(text, without.text, with_drafts.text)


async def test_it_drafts_once_that_pays_and_the_slots_keep_what_they_hold() -> None:
    backend = EmbeddedBackend(settings=_settings("measured"))
    await backend.capabilities()
    first_engine = (await backend._running()).engine
    backend.drafting.judge_by(VerifyCost([(2, 1.01)]), token_s=100.0)
    before = await backend.complete(_request(COPY, system=SYSTEM))
    after = await backend.complete(_request(COPY, system=SYSTEM))
    second_engine = (await backend._running()).engine
    (kind,) = backend.drafting.kinds()
    await backend.aclose()
    assert before.drafted_tokens == 0
    assert after.drafted_tokens >= after.accepted_tokens > 10
    assert after.usage.cached_tokens >= after.usage.prompt_tokens - 1
    assert first_engine.process_id != second_engine.process_id
    assert (first_engine.is_alive, second_engine.is_alive) == (False, False)
    assert (kind.kind, kind.speedup > 1) == ("copy", True)


async def test_verifying_is_measured_when_drafts_would_have_been_right_often_enough() -> None:
    backend = EmbeddedBackend(settings=_settings("measured"))
    for _ in range(8):
        await backend.complete(_request(COPY))
        if backend.drafting.wants_measuring:
            break
    await backend.complete(_request(FREE))
    cost = backend.drafting.cost
    await backend.aclose()
    assert cost is not None
    assert [tokens for tokens, _ in cost.points] == [1, 2, 9, 17]


async def test_where_no_engine_that_drafts_can_be_had_it_goes_on_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    too_long = property(lambda self: 10**12 if self.is_on else 0)  # for any engine
    monkeypatch.setattr(Drafting, "draft_tokens", too_long)
    backend = EmbeddedBackend(settings=_settings("measured"))
    await backend.capabilities()
    backend.drafting.judge_by(VerifyCost([(2, 1.01)]), token_s=100.0)
    for _ in range(2):
        completion = await backend.complete(_request(COPY))
        assert completion.usage.completion_tokens > 0
        assert completion.drafted_tokens == 0
    await backend.aclose()
    assert not backend.drafting.is_on


async def test_closing_right_before_verifying_is_measured_ends() -> None:
    backend = EmbeddedBackend(settings=_settings("measured"))
    copied = Completion(text=ROWS * 4, usage=Usage(completion_tokens=400))
    backend.drafting.answered(_request(COPY), copied)
    assert backend.drafting.wants_measuring
    await backend.complete(_request(FREE))
    async with asyncio.timeout(30):
        await backend.aclose()


def _assert_a_tie(prompt: str, one: str, other: str) -> None:
    """Where the answers part, the model gave both tokens the same probability, but for rounding."""
    with _engine() as ask:
        chat = {"messages": [{"role": "user", "content": prompt}]}
        begin = ask("apply-template", chat)["prompt"]
        tokens, others = (ask("tokenize", {"content": answer})["tokens"] for answer in (one, other))
        at = next(i for i, (a, b) in enumerate(zip(tokens, others, strict=False)) if a != b)
        before = ask("detokenize", {"tokens": tokens[:at]})["content"]
        asked = {"prompt": begin + before, "n_predict": 1, "n_probs": 5, "temperature": 0}
        likely = ask("completion", asked)["completion_probabilities"][0]["top_logprobs"]
        logprobs = {entry["id"]: entry["logprob"] for entry in likely}
        assert abs(logprobs[tokens[at]] - logprobs[others[at]]) < ALIKE


@contextmanager
def _engine() -> Iterator[Callable[[str, dict[str, Any]], dict[str, Any]]]:
    path = models.pull(models.DEFAULT_MODEL)
    engine = Engine(EngineSettings(model=path, slots=1, context_tokens=1024))
    headers = {"Authorization": f"Bearer {engine.api_key}"}

    def ask(what: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = client.post(f"{engine.url}/{what}", json=body)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    with httpx2.Client(headers=headers, timeout=120) as client:
        try:
            yield ask
        finally:
            engine.close()
