"""`Attempts`: how a call goes, told to all whose call it is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeAlias

OnRetry = Callable[[int, BaseException, float], None]
"""Told the attempt (from 1) that failed, why, and in how many seconds the next one starts."""

OnAttempt = Callable[[int], None]

_Tell: TypeAlias = Callable[[OnAttempt, OnRetry], None]


class Attempts:
    """Who comes later is told first what there was before; who leaves is told no more."""

    def __init__(self) -> None:
        self._so_far: list[_Tell] = []
        self._listeners: list[tuple[OnAttempt, OnRetry]] = []

    def on_attempt(self, attempt: int) -> None:
        self._tell(lambda on_attempt, _: on_attempt(attempt))

    def on_retry(self, attempt: int, error: BaseException, wait_s: float) -> None:
        self._tell(lambda _, on_retry: on_retry(attempt, error, wait_s))

    @contextmanager
    def told_to(self, on_attempt: OnAttempt, on_retry: OnRetry) -> Generator[None]:
        """A block in which these are told."""
        listener = (on_attempt, on_retry)
        for tell in self._so_far:
            tell(*listener)
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners = [each for each in self._listeners if each is not listener]

    def _tell(self, tell: _Tell) -> None:
        self._so_far.append(tell)
        for listener in self._listeners:
            tell(*listener)
