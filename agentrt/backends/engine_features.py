"""What an engine takes beside OpenAI's fields and tells beside its answers, found out by asking it.

A server is asked with a request that none can run: its messages are no messages, its limit is no
number, and the fields in question hold what they never can. One that knows a field complains of it by
name, and the engine behind it hears nothing of it all.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from agentrt.backends.engine_pages import metric_names, read_sglang_options
from agentrt.backends.http_connection import HttpConnection
from agentrt.backends.json_shape import is_object
from agentrt.backends.server_kind import SGLANG, VLLM, ServerKind
from agentrt.backends.wire import parse_json
from agentrt.errors import BackendError
from agentrt.ir.engine_fields import EngineFields
from agentrt.ir.schema import Json

_QUICK_S = 5.0
_PATIENT_S = 15.0
_MOST_READ = 100_000

# vLLM tells of ten mistakes at most, and two are in every question.
_IMPOSSIBLE: dict[str, Json] = {
    "cache_salt": {"agentrt": 1},
    "extra_key": {"agentrt": 1},
    "kv_transfer_params": "agentrt",
    "nvext": "agentrt",
    "priority": "agentrt",
    "session_id": {"agentrt": 1},
    "session_params": "agentrt",
    "vllm_xargs": "agentrt",
}
# A server may complain of one field alone and stop there: the others have to be asked for again.
_MOST_QUESTIONS = 4
_REFUSALS = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
_UNKNOWN = re.compile(
    r"extra_forbidden|not permitted|unknown|unrecogni[sz]ed|unexpected|additional propert",
    re.IGNORECASE,
)
_ENTRY = re.compile(r"""(?=\{\s*["']?(?:type|loc)\b)""")


async def features_of(connection: HttpConnection, kind: ServerKind, *, model: str) -> EngineFields:
    """What a server of this kind takes and tells; nothing, of what it does not say within seconds.

    It costs the engine nothing: what is asked ends at the server's door.
    """
    found = EngineFields(dialects=kind.dialects, body=kind.known_fields)
    if not kind.tells_fields:
        return found
    # Fields first, and with more patience: a salt that is not sent lets tenants share a cache, and a
    # server that is busy with its prompts is slow to say anything.
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENT_S):
            body = await asked_fields(connection, model=model)
            found = replace(found, body=tuple(sorted({*kind.known_fields, *body})))
    with suppress(TimeoutError):
        async with asyncio.timeout(_QUICK_S):
            page = await _page(connection, "/metrics")
            found = replace(found, metrics=metric_names(page, kind.metrics_prefix))
            found = replace(found, has_tokenizer=await _has_tokenizer(connection))
            found = await _with_options(found, connection, kind)
    return found


async def asked_fields(connection: HttpConnection, *, model: str) -> tuple[str, ...]:
    """Which of the fields that hints are put into the server knows, sorted."""
    known: set[str] = set()
    for _ in range(_MOST_QUESTIONS):
        left = _IMPOSSIBLE.keys() - known
        told = await _asked(connection, model, left)
        known |= told
        if len(told) != 1:
            break
    return tuple(sorted(known))


async def asked_for_holds(connection: HttpConnection, *, model: str) -> bool:
    """Whether the engine keeps contexts for as long as it is asked to: one token of an answer.

    Raises:
        BackendError: it did not answer.
    """
    hello = {"agentrt_program": "agentrt-hello", "agentrt_hello": 1, "agentrt_last": 1}
    question: Json = {
        "model": model,
        "messages": [{"role": "user", "content": "."}],
        "max_tokens": 1,
        "vllm_xargs": hello,
    }
    url = f"{connection.url}/chat/completions"
    async with connection.exchange("POST", url, question, timeout_s=_QUICK_S) as exchange:
        answer = parse_json(await connection.read(exchange))
    said = answer.get("kv_transfer_params") if is_object(answer) else None
    return is_object(said) and "agentrt_holds" in said


def fields_named(refusal: str, asked: Collection[str]) -> set[str]:
    """Which of the fields `asked` for a refusal complains of as of fields that it knows. Pure.

    Only where it says that a field's value is wrong: text that repeats the question, or calls the
    field unknown, says nothing of the kind.
    """
    found: set[str] = set()
    for entry in _ENTRY.split(refusal[:_MOST_READ]):
        if _UNKNOWN.search(entry):
            continue
        found |= {name for name in asked if _is_blamed(name, entry)}
    return found


def _is_blamed(name: str, text: str) -> bool:
    # ('body', 'NAME'), ["body","NAME"] and body.NAME, as pydantic's errors are shown by each server;
    # "Parameter 'NAME' must be" where the server looks for itself.
    place = rf"""\bbody(?:\\?["']\s*,\s*\\?["']|\.){name}\b"""
    blame = rf"""\bparameter[:=]?\s*\\?["'`]{name}\\?["'`] must\b"""
    return re.search(f"{place}|(?i:{blame})", text) is not None


async def _asked(connection: HttpConnection, model: str, names: Collection[str]) -> set[str]:
    question: dict[str, Any] = {"model": model, "messages": "agentrt asks", "max_tokens": "agentrt"}
    question |= {name: _IMPOSSIBLE[name] for name in sorted(names)}
    url = f"{connection.url}/chat/completions"
    try:
        async with connection.exchange(
            "POST", url, question, timeout_s=_PATIENT_S, is_any_status=True
        ) as exchange:
            if exchange.response.status_code not in _REFUSALS:
                return set()
            refusal = (await connection.read(exchange)).decode(errors="replace")
    except BackendError:
        return set()
    return fields_named(refusal, names)


async def _with_options(
    found: EngineFields, connection: HttpConnection, kind: ServerKind
) -> EngineFields:
    """What follows from how it was started."""
    if kind is VLLM and "priority" in found.body:
        # Whether it was started with --scheduling-policy priority it does not tell; without, a
        # priority is taken and changes nothing.
        return replace(found, priority="lower_first")
    if kind is SGLANG:
        options = read_sglang_options(await _page(connection, kind.info_path))
        order = options.priority if "priority" in found.body else None
        return replace(found, priority=order, has_kv_events=options.has_kv_events)
    return found


async def _has_tokenizer(connection: HttpConnection) -> bool:
    """A path that takes only POST is there if GET is not allowed."""
    url = f"{connection.root_url}/tokenize"
    try:
        async with connection.exchange(
            "GET", url, timeout_s=_QUICK_S, is_any_status=True
        ) as exchange:
            return exchange.response.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    except BackendError:
        return False


async def _page(connection: HttpConnection, path: str) -> str:
    try:
        page = await connection.get(f"{connection.root_url}{path}", timeout_s=_QUICK_S)
    except BackendError:
        return ""
    return page.decode(errors="replace")
