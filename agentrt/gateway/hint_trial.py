"""`Trial`: whether advice on caching pays at one replica, found out while it serves. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

PERIOD_TURNS = 48
"""Answers in a period; the first `SETTLING_TURNS` of them tell of the period before and do not count."""
SETTLING_TURNS = 16
LEAST_LOST = 0.02
"""A pair in which less than this share of what was expected was lost in both periods tells nothing:
the cache is not short, and hints have nothing to win."""
LASTING_TURNS = 20_000
"""Answers after which a verdict is open again, since the work may have changed."""

_WINS_IF_IT_PAYS = 0.75
_WINS_BY_CHANCE = 0.5
_WRONGLY_KEPT = 0.05
_WRONGLY_DROPPED = 0.10

_WIN = math.log(_WINS_IF_IT_PAYS / _WINS_BY_CHANCE)
_LOSS = math.log((1 - _WINS_IF_IT_PAYS) / (1 - _WINS_BY_CHANCE))
_PAYS_FROM = math.log((1 - _WRONGLY_DROPPED) / _WRONGLY_KEPT)
_DROPPED_FROM = math.log(_WRONGLY_DROPPED / (1 - _WRONGLY_KEPT))


class Verdict(Enum):
    """What a trial has come to."""

    OPEN = "open"
    PAYS = "pays"
    DOES_NOT_PAY = "does not pay"


@dataclass(slots=True)
class _Period:
    turns: int = 0
    found_tokens: float = 0.0
    expected_tokens: float = 0.0

    @property
    def share(self) -> float:
        return self.found_tokens / self.expected_tokens if self.expected_tokens else 1.0


class Trial:
    """Pairs of periods, one with the advice and one without, compared by the tokens found.

    The whole replica is with or without it: programs that are advised take room from those that are
    not, so that a comparison between them would count the same gain twice. A period is 48 answers,
    of which the first 16 are left out. A pair is won if with the advice a greater share of the
    expected tokens was found cached (all tokens of a period together); a tie is lost. Wald's
    sequential test then weighs 'wins three pairs of four' against 'wins every other pair': each win
    adds ln(0.75 / 0.5), each loss ln(0.25 / 0.5). At ln(0.9 / 0.05) the advice is kept (useless
    advice is, in about 5 of 100 trials), at ln(0.1 / 0.95) it is dropped (good advice is, in about
    10 of 100): after 4 lost pairs in a row at the earliest, or 8 won ones, and about 15 to 20 where
    it is a close thing. A verdict holds for 20,000 answers.
    """

    def __init__(self, *, seed: str) -> None:
        self._seed = seed
        self._pair = 0
        self._is_second = False
        self._periods = {True: _Period(), False: _Period()}
        self._evidence = 0.0
        self._verdict = Verdict.OPEN
        self._turns_since = 0

    @property
    def verdict(self) -> Verdict:
        return self._verdict

    @property
    def is_on(self) -> bool:
        """Whether the advice is to be sent now."""
        if self._verdict is Verdict.OPEN:
            return self._starts_on() != self._is_second
        return self._verdict is Verdict.PAYS

    def observe(self, *, found_tokens: float, expected_tokens: float) -> None:
        """An answer has come, with this many of its expected tokens found cached."""
        if self._verdict is not Verdict.OPEN:
            self._turns_since += 1
            if self._turns_since >= LASTING_TURNS:
                self._reopen()
            return
        period = self._periods[self.is_on]
        period.turns += 1
        if period.turns > SETTLING_TURNS:
            period.found_tokens += found_tokens
            period.expected_tokens += expected_tokens
        if period.turns < PERIOD_TURNS:
            return
        if self._is_second:
            self._end_pair()
        self._is_second = not self._is_second

    def _end_pair(self) -> None:
        with_it, without = self._periods[True].share, self._periods[False].share
        if min(with_it, without) < 1 - LEAST_LOST:
            self._evidence += _WIN if with_it > without else _LOSS
        if self._evidence >= _PAYS_FROM:
            self._verdict = Verdict.PAYS
        elif self._evidence <= _DROPPED_FROM:
            self._verdict = Verdict.DOES_NOT_PAY
        self._pair += 1
        self._periods = {True: _Period(), False: _Period()}

    def _reopen(self) -> None:
        self._verdict = Verdict.OPEN
        self._evidence = 0.0
        self._turns_since = 0

    def _starts_on(self) -> bool:
        """By a coin that everybody with the seed can toss again, so that no rhythm of the work fits."""
        return sha256(f"{self._seed} {self._pair}".encode()).digest()[0] % 2 == 0
