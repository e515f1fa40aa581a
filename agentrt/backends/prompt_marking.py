"""`PromptMarking`: where requests to one server are marked for its prompt cache, and under which key. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentrt.backends.cache_markers import Prefix, cache_key, markers, with_markers
from agentrt.ir.request import Message, Request
from agentrt.ir.schema import canonical_json

_CHARACTERS_PER_TOKEN = 4
_LEAST_TOKENS = 1024
_MOST_KNOWN = 1024
# Of a beginning that was never seen: that it is used once more, soon. One write is lost where it is not.
_LIKELY_USES = 2.0
_LIKELY_GAP_S = 60.0
_LATEST_GAP = 0.3
# Anthropic looks for what it has cached at so many blocks before a marker, and no further.
_LOOKED_BACK = 20


@dataclass(slots=True)
class _Seen:
    at: float
    uses: int = 1
    gap_s: float = _LIKELY_GAP_S


class PromptMarking:
    """Marks what all runs have in common, and the conversation where its next turn is expected.

    And where the turn before was marked, if that would not be found again. The first ends where the
    plan says that values begin that change (`Hints.stable_chars`), within a message too; a request
    that no plan made has the others alone. How often and how soon a beginning comes again is counted
    here; `markers` weighs it against the prices.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def marked(self, body: Mapping[str, Any], request: Request, *, now: float) -> dict[str, Any]:
        """The `body` of `request`, which is asked at `now`, with markers."""
        stable = stable_beginning(request)
        prefixes = [] if stable is None else [self._expected(stable, _key(request, stable), now)]
        whole = _whole(request)
        if whole is not None:
            prefixes += [*_turn_before(request, whole), whole]
        return with_markers(body, markers(prefixes, least_tokens=_LEAST_TOKENS))

    def _expected(self, stable: Prefix, key: str, now: float) -> Prefix:
        seen = self._seen.pop(key, None)
        if seen is None:
            self._seen[key] = _Seen(now)
            if len(self._seen) > _MOST_KNOWN:
                self._seen.popitem(last=False)
            return stable
        gap_s = max(now - seen.at, 0.0)
        weight = _LATEST_GAP if seen.uses > 1 else 1.0
        seen.gap_s += weight * (gap_s - seen.gap_s)
        seen.at, seen.uses = now, seen.uses + 1
        self._seen[key] = seen
        return Prefix(
            message=stable.message,
            chars=stable.chars,
            tokens=stable.tokens,
            stability=stable.stability,
            uses=max(_LIKELY_USES, float(seen.uses)),
            gap_s=seen.gap_s,
        )


def shared_key(request: Request) -> str:
    """What requests with the same beginning are cached together by; empty: they share too little."""
    stable = stable_beginning(request)
    return "" if stable is None or stable.tokens < _LEAST_TOKENS else _key(request, stable)


def stable_beginning(request: Request) -> Prefix | None:
    """What a request begins with in every run of its node; None: nothing, or nobody knows.

    What the form of the answer adds to the system message is not counted: it ends sooner then.
    """
    left = request.hints.stable_chars
    last: int | None = None
    chars: int | None = None
    before = _tool_chars(request)
    for index, message in enumerate(request.messages):
        if left <= 0:
            break
        last, taken = index, min(left, len(message.content))
        chars = None if taken == len(message.content) else taken
        left, before = left - taken, before + taken
        if chars is not None:
            break
    if last is None:
        return None
    return Prefix(
        message=last,
        chars=chars,
        tokens=before // _CHARACTERS_PER_TOKEN,
        stability="always",
        uses=_LIKELY_USES,
        gap_s=_LIKELY_GAP_S,
    )


def _whole(request: Request) -> Prefix | None:
    """All of it that says something, where an answer to the next turn is expected to begin with it."""
    if request.hints.is_last or not request.hints.hold_s:
        return None
    return _up_to(request, len(request.messages))


def _turn_before(request: Request, whole: Prefix) -> list[Prefix]:
    """Where the turn before was marked, if too much has been said since for that to be found again."""
    messages = request.messages
    answered = (at for at in reversed(range(len(messages))) if messages[at].role == "assistant")
    answer = next(answered, 0)
    blocks = sum(1 + len(message.tool_calls) for message in messages[answer:])
    before = _up_to(request, answer) if blocks > _LOOKED_BACK else None
    return [] if before is None or before.message == whole.message else [before]


def _up_to(request: Request, end: int) -> Prefix | None:
    """What comes before message `end`, but for messages at its end that say nothing."""
    messages = request.messages
    last = next((at for at in reversed(range(end)) if messages[at].content.strip()), None)
    if last is None:
        return None
    chars = _tool_chars(request) + sum(_chars(message) for message in messages[: last + 1])
    return Prefix(
        message=last,
        tokens=chars // _CHARACTERS_PER_TOKEN,
        stability="turn",
        uses=_LIKELY_USES,
        gap_s=request.hints.hold_s or 0.0,
    )


def _key(request: Request, stable: Prefix) -> str:
    last = stable.message or 0
    texts = [message.content for message in request.messages[: last + 1]]
    texts[-1] = texts[-1][: stable.chars]
    tools = canonical_json(
        [[tool.name, tool.description, dict(tool.parameters)] for tool in request.tools]
    )
    return cache_key([stable], ["\0".join([tools, *texts])], salt=request.hints.cache_salt)


def _chars(message: Message) -> int:
    return len(message.content) + sum(len(call.arguments) for call in message.tool_calls)


def _tool_chars(request: Request) -> int:
    return sum(
        len(tool.name) + len(tool.description) + len(canonical_json(dict(tool.parameters)))
        for tool in request.tools
    )
