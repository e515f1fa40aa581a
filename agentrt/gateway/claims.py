"""What a request says of its program: the names in use, in one table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from agentrt.backends.json_shape import is_object
from agentrt.gateway.asked import Claim

_LONGEST_NAME = 256
_LONGEST_SEARCHED = 2_048
_YES = {"1", "true", "yes", "on"}
# user_<hash>_account_<id>_session_<id>, and since then {"device_id": ..., "session_id": "<id>"}.
_CLAUDE_CODE_USER = re.compile(r'(?:_session_|"session_id"\s*:\s*")([0-9a-fA-F-]{8,64})')


@dataclass(frozen=True, slots=True)
class NamingHeader:
    """A header that names a program.

    Sub-agents with ids of their own (Claude Code's `x-claude-code-agent-id`, Codex's `thread-id`)
    do not make programs of their own: a program is all requests of one workflow, and the session is
    that. Where a sub-agent has a session of its own, `parent` is the header that names what it is
    part of.

    Attributes:
        unless: With this header there too, `parent` names no program.
    """

    name: str
    shown: str
    parent: str = ""
    unless: str = ""


@dataclass(frozen=True, slots=True)
class NamingField:
    """A field of the body, by its path, that names a program.

    Attributes:
        parent: The field that names what it is part of.
        is_shared: Several programs may have the same.
        pattern: The name is what its group finds, where it finds anything.
    """

    path: str
    parent: str = ""
    is_shared: bool = False
    pattern: re.Pattern[str] | None = None


HEADERS = (
    NamingHeader("x-session-id", "X-Session-ID", parent="x-parent-session-id"),  # OpenCode, others
    NamingHeader("x-dynamo-session-id", "X-Dynamo-Session-ID", parent="x-dynamo-parent-session-id"),
    NamingHeader("x-claude-code-session-id", "X-Claude-Code-Session-Id"),
    # Codex: the session is shared by all its threads. Before it had threads, each had a session.
    NamingHeader("session-id", "session-id", parent="x-codex-parent-thread-id", unless="thread-id"),
    NamingHeader("session_id", "session_id", parent="x-codex-parent-thread-id", unless="thread_id"),
    NamingHeader("conversation_id", "conversation_id", parent="x-codex-parent-thread-id"),
    NamingHeader("conversation-id", "conversation-id", parent="x-codex-parent-thread-id"),
    NamingHeader("x-opencode-session", "x-opencode-session", parent="x-parent-session-id"),
    NamingHeader("x-litellm-session-id", "x-litellm-session-id"),
    NamingHeader("x-deepseek-harness-session-id", "x-deepseek-harness-session-id"),
    NamingHeader("x-qwen-code-session-id", "X-Qwen-Code-Session-Id"),
    NamingHeader("helicone-session-id", "Helicone-Session-Id"),
    # Where to be served, rather than who one is; but whoever sends it means a session.
    NamingHeader("x-session-affinity", "x-session-affinity", parent="x-parent-session-id"),
)

FIELDS = (
    NamingField("session_id", parent="parent_session_id"),
    NamingField("program_id"),  # ThunderAgent
    NamingField("extra_body.session_id"),
    NamingField("extra_body.program_id"),
    NamingField("nvext.agent_context.session_id", parent="nvext.agent_context.parent_session_id"),
    NamingField("nvext.session_control.session_id"),
    NamingField("litellm_session_id"),
    NamingField("metadata.session_id"),  # LiteLLM, OpenHands, Langfuse
    NamingField("metadata.litellm_session_id"),
    NamingField("metadata.user_id", pattern=_CLAUDE_CODE_USER),
    NamingField("vllm_xargs.job_id"),  # Continuum
    NamingField("job_id"),
    NamingField("session_params.id"),  # SGLang
    NamingField("conversation"),
    NamingField("conversation.id"),
    NamingField("prompt_cache_key", is_shared=True),
    NamingField("user", is_shared=True),
    NamingField("safety_identifier", is_shared=True),
)

RETRY_HEADER = "x-stainless-retry-count"
"""Sent by OpenAI's and Anthropic's clients, those of many others among them: 0 the first time."""

FINAL_HEADERS = ("x-session-final", "x-dynamo-session-final")

FINAL_FIELDS = (
    ("nvext.agent_context.session_final", True),
    ("nvext.agent_context.trajectory_final", True),
    ("nvext.session_control.action", "close"),
    ("vllm_xargs.is_last_step", 1),
    ("is_last_step", True),
)

# Most requests have none of them, and that is seen at once.
_HEADER_NAMES = frozenset(header.name for header in HEADERS)
_FIELD_NAMES = frozenset(field.path.split(".")[0] for field in FIELDS)
_FINAL_NAMES = frozenset(path.split(".")[0] for path, _ in FINAL_FIELDS)


def read_claim(headers: Mapping[str, str], body: Mapping[str, Any]) -> Claim:
    """The first that the tables have of what the request says; headers before the body.

    Names that are long, or hold what cannot be shown, are hashed: they are names all the same.

    Args:
        headers: Names in lower case.
        body: The request's, parsed.
    """
    is_final = _is_final(headers, body)
    is_retry = RETRY_HEADER in headers and _is_positive(headers[RETRY_HEADER])
    for header in () if _HEADER_NAMES.isdisjoint(headers) else HEADERS:
        program = _name(headers.get(header.name))
        if program:
            has_parent = header.parent and not (header.unless and header.unless in headers)
            parent = _name(headers.get(header.parent)) if has_parent else ""
            return Claim(
                program=program,
                parent="" if parent == program else parent,
                is_final=is_final,
                source=header.shown,
                is_retry=is_retry,
            )
    for field in () if _FIELD_NAMES.isdisjoint(body) else FIELDS:
        program = _name(_found(_at(body, field.path), field.pattern))
        if program:
            parent = _name(_at(body, field.parent)) if field.parent else ""
            return Claim(
                program=program,
                parent="" if parent == program else parent,
                is_final=is_final,
                is_shared=field.is_shared,
                source=f"body.{field.path}",
                is_retry=is_retry,
            )
    return Claim(is_final=is_final, is_retry=is_retry)


def _is_positive(count: str) -> bool:
    return count.isascii() and count.isdigit() and bool(count.strip("0"))


def _is_final(headers: Mapping[str, str], body: Mapping[str, Any]) -> bool:
    for name in FINAL_HEADERS:
        if headers.get(name, "").strip().lower() in _YES:
            return True
    if _FINAL_NAMES.isdisjoint(body):
        return False
    return any(_at(body, path) == value for path, value in FINAL_FIELDS)


def _at(body: Mapping[str, Any], path: str) -> Any:
    """What is in the body at a dotted path; None: nothing."""
    value: Any = body
    for name in path.split("."):
        if not is_object(value):
            return None
        value = value.get(name)
    return value


def _found(value: Any, pattern: re.Pattern[str] | None) -> Any:
    if pattern is None or not isinstance(value, str):
        return None if pattern else value
    found = pattern.search(value[:_LONGEST_SEARCHED])
    return found[1] if found else None


def _name(value: Any) -> str:
    """A name that can be kept and shown; "" for what is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return ""
    name = value.strip()
    if len(name) <= _LONGEST_NAME and name.isprintable():
        return name
    return "sha256:" + sha256(name.encode(errors="surrogatepass")).hexdigest()[:32]
