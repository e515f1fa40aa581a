"""When the embedded engine drafts: verifying measured once, drafts counted, the switch turned.

llama.cpp takes what it drafts with when it starts, not with a request: to turn drafting on or off is to
start the engine anew, at a moment when nothing is being decoded.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any

from agentrt.backends.embedded_engine import DRAFT_NGRAM
from agentrt.backends.embedded_settings import DraftingWish
from agentrt.backends.http_connection import HttpConnection
from agentrt.backends.slots import prompt_text
from agentrt.backends.wire import parse_json
from agentrt.errors import BackendError
from agentrt.estimates.drafting import (
    DraftCounts,
    DraftingSwitch,
    KindDrafting,
    VerifyCost,
    can_pay,
    expected_speedup,
)
from agentrt.estimates.lookup import replay_lookup, text_tokens
from agentrt.ir.request import Completion, Request

DRAFT_TOKENS = 8
"""Of a draft, as long as nothing is measured."""

# Within a passage that is copied. At 0.95 drafts of 16 would look better than they are: where they are
# wrong they are wrong for longer.
_LIKELY_ACCEPTANCE = 0.9
# Drafted right, had it been on: so many tokens are worth measuring what verifying costs.
_WORTH_MEASURING = 64
_WITHHELD = 256
_SHORT_ANSWER = 12
_BASE_TOKENS = 16
_MEASURED_TOKENS = (1, 2, DRAFT_TOKENS + 1, 2 * DRAFT_TOKENS + 1)
# On a machine with other work the least of three was up to three times too cheap.
_ROUNDS = 7
# Of a large model each pass takes longer, and is less disturbed: requests wait meanwhile.
_FEWEST_ROUNDS = 3
_ENOUGH_MS = 1_500.0
_FIRST_TOKEN, _TOKEN_SPAN = (
    100,
    800,
)  # every vocabulary has as many, and what they mean is no matter
_INSTANCE = re.compile(r"[\[.].*", re.DOTALL)


class Drafting:
    """Decides for one backend; outlives its engines."""

    def __init__(self, wish: DraftingWish) -> None:
        self.is_on = wish == "on"
        self.length = DRAFT_TOKENS
        self.cost: VerifyCost | None = None
        self._is_open = wish == "measured"
        self._turn_s = 0.0
        self._promised = 0.0
        self._switch: DraftingSwitch | None = None
        self._withheld: deque[tuple[str, DraftCounts]] = deque(maxlen=_WITHHELD)

    @property
    def draft_tokens(self) -> int:
        """What the engine is to be started with."""
        return self.length if self.is_on else 0

    @property
    def wants_measuring(self) -> bool:
        """Whether drafts were promising enough to find out what they would cost."""
        return self._is_open and self._switch is None and self._promised >= _WORTH_MEASURING

    @property
    def wants_turn(self) -> bool:
        """Whether an engine that drafts should stop doing so, or one that does not should."""
        return self._is_open and self._switch is not None and self._switch.wants_turn

    def kinds(self) -> tuple[KindDrafting, ...]:
        """What drafts came to, or would have, by kind of program; nothing before it is measured."""
        return () if self._switch is None else self._switch.kinds()

    def started(self, *, took_s: float) -> None:
        """An engine was started, which took so long: that is what a turn costs."""
        self._turn_s = took_s

    def answered(self, request: Request, completion: Completion) -> None:
        """Count the drafts of an answer, or those that there would have been."""
        tokens = completion.usage.completion_tokens
        if not self._is_open or tokens < _SHORT_ANSWER:
            return
        if self.is_on:
            counts = DraftCounts(tokens, completion.drafted_tokens, completion.accepted_tokens)
        else:
            counts = _would_be(request, completion, length=self.length)
        kind = _INSTANCE.sub("", request.node_id)
        if self._switch is not None:
            self._switch.observe(kind, counts)
            return
        self._promised += counts.accepted
        self._withheld.append((kind, counts))

    async def measure(self, connection: HttpConnection, slot_id: int) -> None:
        """Find out what a pass over several tokens costs on this machine, in a slot that is free."""
        try:
            took_ms = await _passes_ms(connection, slot_id)
            one_ms = took_ms.pop(1)
            cost = VerifyCost([(tokens, took / one_ms) for tokens, took in took_ms.items()])
        except (BackendError, KeyError, TypeError, ValueError, ZeroDivisionError):
            self._is_open = False  # an engine that does not say how long it took cannot be judged
            return
        self.judge_by(cost, token_s=one_ms / 1e3)

    def judge_by(self, cost: VerifyCost, *, token_s: float) -> None:
        """Go by this cost, where a pass over one token takes `token_s`; nothing is measured then."""
        self.cost = cost
        lengths = (DRAFT_TOKENS, 2 * DRAFT_TOKENS)
        self.length = max(
            lengths, key=lambda length: expected_speedup(_LIKELY_ACCEPTANCE, length, cost)
        )
        if not can_pay(cost):
            self._is_open = False
            return
        self._switch = DraftingSwitch(
            cost, length=self.length, token_s=token_s, turn_s=self._turn_s, is_on=self.is_on
        )
        while self._withheld:
            self._switch.observe(*self._withheld.popleft())

    def turn(self) -> None:
        """From the next engine on it is the other way."""
        if self._switch is not None:
            self._switch.turned()
            self.is_on = self._switch.is_on

    def give_up(self) -> None:
        """It is off from now on: an engine that drafts cannot be had, or is not wanted."""
        self.is_on = self._is_open = False


def _would_be(request: Request, completion: Completion, *, length: int) -> DraftCounts:
    calls = "".join(f"{call.name}{call.arguments}" for call in completion.tool_calls)
    answer = text_tokens(completion.text + calls)
    if not answer:
        return DraftCounts(completion.usage.completion_tokens)
    counts = replay_lookup(
        text_tokens(prompt_text(request)), answer, ngram=DRAFT_NGRAM, length=length
    )
    return counts.scaled(completion.usage.completion_tokens / len(answer))


async def _passes_ms(connection: HttpConnection, slot_id: int) -> dict[int, float]:
    """The least time that passes over so many tokens took, behind a few that stay in the slot."""
    least: dict[int, float] = {}
    base = _tokens(0, _BASE_TOKENS)
    await _evaluate(connection, slot_id, base)
    spent_ms = 0.0
    for turn in range(_ROUNDS):
        if turn >= _FEWEST_ROUNDS and spent_ms >= _ENOUGH_MS:
            break
        for count in _MEASURED_TOKENS:
            tokens = [*base, *_tokens(1 + turn * 97 + count * 31, count)]
            timings = await _evaluate(connection, slot_id, tokens)
            if timings["prompt_n"] != count:
                raise ValueError(f"{count} tokens were asked for")
            took_ms = float(timings["prompt_ms"])
            spent_ms += took_ms
            least[count] = min(least.get(count, float("inf")), took_ms)
    return least


def _tokens(seed: int, count: int) -> list[int]:
    return [_FIRST_TOKEN + (seed * 7 + index * 13) % _TOKEN_SPAN for index in range(count)]


async def _evaluate(connection: HttpConnection, slot_id: int, tokens: list[int]) -> dict[str, Any]:
    body = {"prompt": tokens, "n_predict": 0, "id_slot": slot_id, "cache_prompt": True}
    url = f"{connection.root_url}/completion"
    async with connection.exchange("POST", url, body) as exchange:
        answer: dict[str, Any] = parse_json(await connection.read(exchange))
    timings: dict[str, Any] = answer["timings"]
    return timings
