"""Budgets: the tokens a tenant may still use until its budget begins anew. Pure.

What was used is kept by names such as `acme@2026-11`, and by nothing else, so that whoever stores it
needs no other form, and a budget that begins anew is one that nobody has used.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agentrt.backends.json_shape import is_object
from agentrt.gateway.settings import BudgetPeriod
from agentrt.ir.schema import Json

_KEPT_PERIODS = 3
"""Of a tenant: those that were are for people who look; older ones are forgotten."""


class Budgets:
    """What every tenant has used, in the period that is under way."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def restore(self, used: Json) -> None:
        """Go on from what `used()` gave in an earlier process.

        Raises:
            ValueError: it is something else.
        """
        if not is_object(used):
            raise ValueError("these are no used tokens")
        for name, tokens in used.items():
            if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
                raise ValueError(f"{name!r} has used no number of tokens")
        self._used = {str(name): int(tokens) for name, tokens in used.items()}

    def used(self) -> dict[str, Json]:
        """Tokens by tenant and period, for the store."""
        return dict(self._used)

    def used_tokens(self, tenant: str, period: BudgetPeriod, wall_time: float) -> int:
        """What `tenant` has used in the period that `wall_time` is in."""
        return self._used.get(_name(tenant, period, wall_time), 0)

    def add(self, tenant: str, period: BudgetPeriod, tokens: int, wall_time: float) -> None:
        """`tenant` has used `tokens` more."""
        name = _name(tenant, period, wall_time)
        if name not in self._used:
            self._forget(tenant)
        self._used[name] = self._used.get(name, 0) + tokens

    def _forget(self, tenant: str) -> None:
        kept = sorted(name for name in self._used if name.rpartition("@")[0] == tenant)
        for name in kept[: max(len(kept) - _KEPT_PERIODS + 1, 0)]:
            del self._used[name]


def until_anew_s(period: BudgetPeriod, wall_time: float) -> float:
    """Seconds until the next period begins."""
    now = datetime.fromtimestamp(wall_time, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        anew = midnight + timedelta(days=1)
    else:
        anew = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
    return (anew - now).total_seconds()


def _name(tenant: str, period: BudgetPeriod, wall_time: float) -> str:
    now = datetime.fromtimestamp(wall_time, UTC)
    return f"{tenant}@{now:%Y-%m-%d}" if period == "day" else f"{tenant}@{now:%Y-%m}"
