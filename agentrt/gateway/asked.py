"""`Asked`: what a client asked for, as far as agentrt reads it. What a server gets is its body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from agentrt.ir.request import Request

Endpoint: TypeAlias = Literal["chat/completions", "completions", "responses", "embeddings"]
"""A path after `/v1/`."""

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a request says of the program it belongs to.

    Attributes:
        program: The program's name among its tenant's; empty: it says nothing, and the conversation
            has to tell.
        parent: The program that this one is a part of, such as the session of a sub-agent; empty:
            none is known of.
        is_final: Nothing of the program follows.
        is_shared: Several programs may well give the same name (`user`, `prompt_cache_key`): it
            tells programs apart, and does not make one of two conversations.
        source: Where the name stands, for people: `X-Session-ID`, `body.session_id`.
        is_retry: The client has asked the same before, and has no answer.
    """

    program: str = ""
    parent: str = ""
    is_final: bool = False
    is_shared: bool = False
    source: str = ""
    is_retry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request of a client.

    Attributes:
        body: As the client wrote it, parsed. It is sent on with no field lost and none made up,
            beside those that `agentrt.gateway` adds for the engine.
        model: The name that the client asks for.
        request: The prompt as text, near to what the engine's chat template makes of it: for
            measuring and recognising, never for sending. Its options have the most tokens asked for.
        is_streamed: The answer is wanted as server-sent events.
        has_usage: A streamed answer is to end with its usage because the client said so; where it
            did not, the gateway asks for it and keeps that chunk to itself.
        raw: The bytes of the body. What is sent is made of these, so that nothing is lost on the way
            that parsing would lose: numbers of any size, the order and the writing of everything.
        previous_response_id: The answer of `/v1/responses` that this goes on from; empty: none, or
            all of the conversation is here.
        has_reasoning: The client sends the reasoning of earlier answers back.
    """

    endpoint: Endpoint
    body: JsonObject
    model: str
    request: Request
    is_streamed: bool = False
    has_usage: bool = True
    claim: Claim = Claim()
    raw: bytes = b""
    previous_response_id: str = ""
    has_reasoning: bool = False
