"""Slots of the embedded engine that share what their prompts begin with."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from agentrt.backends import embedded_saves
from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.errors import ContextOverflow
from agentrt.ir.hints import Hints
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Completion, Message, Request

SYSTEM = "Answer in one word. " + " ".join(
    f"Rule {i}: mind point {i * 7 % 13} of the book." for i in range(30)
)
SHARED_TOKENS = 380  # of SYSTEM, at least
PLAIN = EmbeddedSettings(slots=3, context_tokens=1024, share_prefixes=False)
SHARING = EmbeddedSettings(slots=3, context_tokens=1024)
QUESTIONS = ("What barks?", "What is the capital of France?", "Which colour has snow?")


def _ask(question: str, *, system: str = SYSTEM) -> Request:
    return Request(
        messages=(Message("system", system), Message("user", question)),
        options=LLMOptions(max_tokens=4),
    )


async def _at_once(backend: EmbeddedBackend, requests: list[Request]) -> list[Completion]:
    async with asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(backend.complete(request)) for request in requests]
    return [answer.result() for answer in answers]


def _computed(answers: list[Completion]) -> int:
    return sum(answer.usage.prompt_tokens - answer.usage.cached_tokens for answer in answers)


async def test_requests_sent_at_once_compute_their_common_prefix_once() -> None:
    backend = EmbeddedBackend(settings=SHARING)
    answers = await _at_once(backend, [_ask(question) for question in QUESTIONS])
    hits = sorted(answer.usage.cached_tokens for answer in answers)
    await backend.aclose()
    assert hits[0] == 0  # the one that computed it
    assert hits[1] > SHARED_TOKENS


async def test_without_sharing_each_computes_it() -> None:
    backend = EmbeddedBackend(settings=PLAIN)
    answers = await _at_once(backend, [_ask(question) for question in QUESTIONS])
    await backend.aclose()
    assert _computed(answers) > 2 * SHARED_TOKENS


async def test_two_prefixes_at_once_are_each_computed_once() -> None:
    backend = EmbeddedBackend(settings=SHARING)
    systems = ("First. " + SYSTEM, "Second. " + SYSTEM)
    requests = [_ask(q, system=system) for q in QUESTIONS for system in systems]
    answers = await _at_once(backend, requests)
    await backend.aclose()
    assert sum(answer.usage.cached_tokens < SHARED_TOKENS for answer in answers) == 2


async def test_answers_are_the_same_with_and_without() -> None:
    # One after another: requests decoded together round differently, whoever shares what.
    texts: list[list[str]] = []
    for settings in (SHARING, PLAIN):
        backend = EmbeddedBackend(settings=settings)
        texts.append([(await backend.complete(_ask(question))).text for question in QUESTIONS])
        await backend.aclose()
    assert texts[0] == texts[1]


async def test_when_the_first_is_cancelled_another_computes_the_prefix() -> None:
    backend = EmbeddedBackend(settings=SHARING)
    await backend.capabilities()
    first, *others = [asyncio.create_task(backend.complete(_ask(q))) for q in QUESTIONS]
    await asyncio.sleep(0.05)
    first.cancel()
    answers = [await other for other in others]
    await backend.aclose()
    assert first.cancelled()
    assert max(answer.usage.cached_tokens for answer in answers) > SHARED_TOKENS


async def test_a_conversation_goes_on_in_its_slot() -> None:
    backend = EmbeddedBackend(settings=SHARING)
    asked = _ask(QUESTIONS[0])
    answer = await backend.complete(asked)
    await backend.complete(_ask("Something else, in between."))
    later = Request(
        messages=(*asked.messages, Message("assistant", answer.text), Message("user", "Why?")),
        options=asked.options,
    )
    usage = (await backend.complete(later)).usage
    await backend.aclose()
    assert usage.cached_tokens >= answer.usage.prompt_tokens - 1


@pytest.mark.parametrize(("cache_ram_mib", "comes_back"), [(1024, True), (0, False)])
async def test_a_conversation_that_lost_its_slot_to_one_with_its_prefix_comes_back(
    cache_ram_mib: int, *, comes_back: bool
) -> None:
    settings = EmbeddedSettings(slots=1, context_tokens=1024, cache_ram_mib=cache_ram_mib)
    backend = EmbeddedBackend(settings=settings)
    first, second = (
        _ask(" ".join(f"{name} number {i} of {i * 7 % 13}." for i in range(20)))
        for name in ("Apple", "Pear")
    )
    begun, _ = [await backend.complete(request) for request in (first, second)]
    asked = [_went_on(request, "Why?") for request in (first, second)]
    once, _ = [await backend.complete(request) for request in asked]
    usage = (await backend.complete(_went_on(asked[0], "And then?"))).usage
    await backend.aclose()
    assert begun.usage.prompt_tokens > SHARED_TOKENS + 100
    assert (usage.cached_tokens >= once.usage.prompt_tokens - 1) == comes_back
    assert usage.cached_tokens > SHARED_TOKENS  # what both begin with, in any case


def _went_on(request: Request, question: str) -> Request:
    messages = (*request.messages, Message("assistant", "So."), Message("user", question))
    return Request(messages=messages, options=request.options)


async def test_prefixes_that_find_no_room_are_computed_and_nothing_else_changes() -> None:
    settings = EmbeddedSettings(slots=2, context_tokens=1024, saved_prefixes_mib=1)
    backend = EmbeddedBackend(settings=settings)
    answers = await _at_once(backend, [_ask(question) for question in QUESTIONS])
    await backend.aclose()
    assert [answer.usage.completion_tokens > 0 for answer in answers] == [True] * 3


def test_saved_prefixes_lie_in_a_private_folder_where_memory_has_no_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(embedded_saves, "_DESCRIPTORS", str(tmp_path / "absent"))

    async def share() -> tuple[list[Completion], list[int], list[str]]:
        backend = EmbeddedBackend(settings=SHARING)
        answers = await _at_once(backend, [_ask(question) for question in QUESTIONS])
        modes, names = _below(tmp_path)
        await backend.aclose()
        return answers, modes, names

    answers, modes, names = asyncio.run(share())
    assert modes == [0o700]
    assert names == ["1.bin"]
    assert list(tmp_path.iterdir()) == []
    assert sum(answer.usage.cached_tokens > SHARED_TOKENS for answer in answers) == 2


async def test_what_finds_no_room_on_the_disk_was_computed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Full(embedded_saves.FolderFiles):
        def create(self) -> str:
            name = super().create()
            Path(self.folder, name).symlink_to("/dev/full")
            return name

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("agentrt.backends.embedded_loading.open_save_area", Full)
    backend = EmbeddedBackend(settings=SHARING)
    answers = await _at_once(backend, [_ask(question) for question in QUESTIONS])
    _, names = _below(tmp_path)
    await backend.aclose()
    assert [answer.usage.completion_tokens > 0 for answer in answers] == [True] * 3
    assert [answer.usage.cached_tokens for answer in answers] == [0] * 3
    assert names == []


def _below(path: Path) -> tuple[list[int], list[str]]:
    """The modes of the folders below `path`, and the names of what is in them."""
    folders = list(path.iterdir())
    modes = [folder.stat().st_mode & 0o777 for folder in folders]
    return modes, [file.name for folder in folders for file in folder.iterdir()]


DOCUMENT = " ".join(f"Remember everything important, number {i}." for i in range(100))
DOCUMENT_TOKENS = 600  # of it, at least
CHAPTER = DOCUMENT[:1200]
CHAPTER_TOKENS = 200


def _about(document: str, question: str, *, has_followers: bool = False) -> Request:
    return Request(
        messages=(Message("user", f"{document} {question}"),),
        options=LLMOptions(max_tokens=4),
        hints=Hints(has_followers=has_followers),
    )


async def test_a_document_in_the_users_message_is_computed_once_for_all_who_ask_at_once() -> None:
    backend = EmbeddedBackend(settings=SHARING)
    answers = await _at_once(backend, [_about(DOCUMENT, question) for question in QUESTIONS])
    await backend.aclose()
    hits = sorted(answer.usage.cached_tokens for answer in answers)
    assert hits[0] == 0
    assert hits[1] > DOCUMENT_TOKENS
    assert _computed(answers) < min(a.usage.prompt_tokens for a in answers) + 40


@pytest.mark.parametrize("has_followers", [True, False])
async def test_who_follows_at_a_leaders_first_token_finds_what_it_computed(
    *, has_followers: bool
) -> None:
    backend = EmbeddedBackend(settings=SHARING)
    begun = asyncio.Event()
    leader, *others = (_about(CHAPTER, q, has_followers=has_followers) for q in QUESTIONS)
    leading = asyncio.create_task(
        backend.complete(
            replace(leader, options=LLMOptions(max_tokens=32)), on_chunk=lambda _: begun.set()
        )
    )
    await begun.wait()
    answers = [*await _at_once(backend, others), await leading]
    await backend.aclose()
    found = [answer.usage.cached_tokens > CHAPTER_TOKENS for answer in answers]
    assert found == [has_followers, has_followers, False]


async def test_what_was_copied_last_is_given_up_last() -> None:
    room_for_two = EmbeddedSettings(
        slots=1, context_tokens=1024, cache_ram_mib=0, saved_prefixes_mib=14
    )
    backend = EmbeddedBackend(settings=room_for_two)

    async def cached(name: str, question: str) -> int:
        request = _about(name + CHAPTER, question, has_followers=True)
        return (await backend.complete(request)).usage.cached_tokens

    for name in ("First. ", "Second. "):
        assert await cached(name, QUESTIONS[0]) < CHAPTER_TOKENS
    assert await cached("First. ", QUESTIONS[1]) > CHAPTER_TOKENS
    assert await cached("Third. ", QUESTIONS[0]) < CHAPTER_TOKENS
    assert await cached("First. ", QUESTIONS[2]) > CHAPTER_TOKENS
    assert await cached("Second. ", QUESTIONS[2]) < CHAPTER_TOKENS
    await backend.aclose()


async def test_what_is_computed_in_two_steps_is_answered_as_in_one() -> None:
    texts: list[list[str]] = []
    for settings in (SHARING, PLAIN):
        backend = EmbeddedBackend(settings=settings)
        requests = [_about(CHAPTER, question, has_followers=True) for question in QUESTIONS]
        texts.append([(await backend.complete(request)).text for request in requests])
        await backend.aclose()
    assert texts[0] == texts[1]


async def test_when_who_computes_a_document_is_cancelled_another_does() -> None:
    backend = EmbeddedBackend(settings=SHARING)
    await backend.capabilities()
    first, *others = [
        asyncio.create_task(backend.complete(_about(CHAPTER, q, has_followers=True)))
        for q in QUESTIONS
    ]
    await asyncio.sleep(0.05)
    first.cancel()
    answers = [await other for other in others]
    await backend.aclose()
    assert first.cancelled()
    assert max(answer.usage.cached_tokens for answer in answers) > CHAPTER_TOKENS


async def test_a_prompt_longer_than_the_context_is_refused_to_all_who_wait_for_it() -> None:
    backend = EmbeddedBackend(settings=EmbeddedSettings(slots=2, context_tokens=256))
    requests = [_about(DOCUMENT, question) for question in QUESTIONS]
    refused = 0

    async def ask(request: Request) -> None:
        nonlocal refused
        with pytest.raises(ContextOverflow):
            await backend.complete(request)
        refused += 1

    async with asyncio.TaskGroup() as tasks:
        for request in requests:
            tasks.create_task(ask(request))
    short = await backend.complete(_about("", QUESTIONS[0]))
    await backend.aclose()
    assert refused == len(QUESTIONS)
    assert short.usage.completion_tokens > 0
