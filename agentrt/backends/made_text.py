"""Text of a wanted length that means nothing: for requests whose sizes matter, not their words."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentrt.backends.base import Backend
from agentrt.errors import InvalidAnswer, RequestRejected
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Chunk, Message, Request, Role

_TEXT = (
    "time year people way day man thing woman life child world school state family student group"
    " country problem hand part place case week company system program question work government"
    " number night point home water room mother area money story fact month lot right study book"
    " eye job word business issue side kind head house service friend father power hour game line"
    " end member law car city community name president team minute idea body information back"
    " parent face others level office door health person art war history party result change"
    " morning reason research girl guy moment air teacher force education foot boy age policy"
    " music market sense nation plan college interest death experience effect use class control"
    " field development role effort rate heart drug show leader light voice wife police mind"
    " price report decision son view relationship town road arm difference value building action"
    " season society tax director position player record paper space ground form event official"
    " matter center couple site project activity star table need court oil situation cost industry"
)
_WORDS = _TEXT.split(" ")
"""Each a token of its own, with the space before it, in nearly every vocabulary."""

_FEW, _MANY = 32, 160
# vLLM, SGLang and llama.cpp then go on to the limit of tokens; others may refuse to hear of it.
_GO_ON = {"ignore_eos": True}


def made_words(rng: random.Random, count: int) -> str:
    """`count` words, which are about as many tokens."""
    return " ".join(rng.choices(_WORDS, k=count))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSizes:
    """What text comes to at a server, in tokens.

    Attributes:
        word_tokens: A word of `made_words`.
        frame_tokens: What is around one message of a user, the server's own system prompt included.
        system_frame_tokens: What is around a system message and one of a user.
        turn_tokens: What is around an assistant's and the next user's message.
        extra: Fields of a request that have the answer go on to its limit, where that is known.
    """

    word_tokens: float
    frame_tokens: float
    system_frame_tokens: float
    turn_tokens: float
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def words(self, tokens: float) -> int:
        """How many words make so many tokens; at least one."""
        return max(1, round(tokens / self.word_tokens))


async def measure_sizes(backend: Backend, rng: random.Random) -> TextSizes:
    """Ask the server: four or five requests with a token of answer.

    Raises:
        BackendError: nobody answers, or its answers do not say how many tokens a prompt has.
    """
    extra: dict[str, Any] = dict(_GO_ON)
    try:
        few = await _prompt_tokens(backend, rng, ("user",), extra)
    except RequestRejected:
        extra = {}  # if that was not the reason, it is refused again
        few = await _prompt_tokens(backend, rng, ("user",), extra)
    many = await _prompt_tokens(backend, rng, ("user",), extra, words=_MANY)
    if not 0 < few < many:
        raise InvalidAnswer(
            f"{backend.name} does not say how many tokens a prompt has (`usage` in its answers)",
            url=backend.name,
            retryable=False,
        )
    word_tokens = (many - few) / (_MANY - _FEW)
    told = await _prompt_tokens(backend, rng, ("system", "user"), extra)
    turns = await _prompt_tokens(backend, rng, ("user", "assistant", "user"), extra)
    return TextSizes(
        word_tokens=word_tokens,
        frame_tokens=few - _FEW * word_tokens,
        system_frame_tokens=told - 2 * _FEW * word_tokens,
        turn_tokens=turns - few - 2 * _FEW * word_tokens,
        extra=extra,
    )


async def _prompt_tokens(
    backend: Backend,
    rng: random.Random,
    roles: tuple[Role, ...],
    extra: Mapping[str, Any],
    *,
    words: int = _FEW,
) -> int:
    request = Request(
        messages=tuple(Message(role, made_words(rng, words)) for role in roles),
        options=LLMOptions(max_tokens=1, temperature=0.0, retries=0),
        extra=extra,
    )
    return (await backend.complete(request, on_chunk=_ignore)).usage.prompt_tokens


def _ignore(_chunk: Chunk) -> None:
    """Streamed all the same: some servers count tokens only in streams, or only so for others."""
