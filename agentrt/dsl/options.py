"""What authors may say about functions besides their code: typed, and checked when they say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from agentrt.errors import DefinitionError
from agentrt.ir.node import LAYOUTS, Layout, Tier
from agentrt.ir.tool import Effects


class ToolOptions(TypedDict, total=False):
    """See `ToolSpec` for what each means."""

    name: str
    effects: Effects
    is_idempotent: bool
    timeout_s: float | None
    retries: int
    concurrency: int | None
    max_output_bytes: int
    is_deterministic: bool
    single_flight: bool


class CallOptions(TypedDict, total=False):
    """See `LLMOptions` for what each means; `layout` is how far the prompt may be rewritten."""

    name: str
    tier: Tier | None
    model: str | None
    max_tokens: int | None
    temperature: float | None
    stop: Sequence[str]
    seed: int | None
    output_retries: int
    retries: int
    layout: Layout


class LLMCallOptions(CallOptions, total=False):
    """`timeout_s`: seconds one attempt may take."""

    timeout_s: float | None


class AgentOptions(CallOptions, total=False):
    """See `AgentNode` for what each means.

    `timeout_s` is for the whole loop; `call_timeout_s` for one attempt at one turn's LLM call.
    """

    max_turns: int
    timeout_s: float | None
    max_total_tokens: int | None
    call_timeout_s: float | None


class PlanOptions(CallOptions, total=False):
    """See `PlanNode` for what each means.

    `timeout_s` is for all of it; `call_timeout_s` for one attempt at one LLM call. `system` is about
    the answer: what the model is told when it has the results.
    """

    system: str
    max_replans: int
    max_repairs: int
    max_tasks: int
    timeout_s: float | None
    max_total_tokens: int | None
    call_timeout_s: float | None
    reuses_plans: bool


Bound = Literal["positive", "natural", "count"]

_BOUNDS: Mapping[str, Bound] = {
    "timeout_s": "positive",
    "call_timeout_s": "positive",
    "retries": "natural",
    "output_retries": "natural",
    "concurrency": "count",
    "max_output_bytes": "count",
    "max_tokens": "count",
    "max_turns": "count",
    "max_replans": "natural",
    "max_repairs": "natural",
    "max_tasks": "count",
    "max_total_tokens": "count",
}
_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "effects": ("none", "read", "write"),
    "tier": ("small", "large", None),
    "layout": LAYOUTS,
    "is_idempotent": (True, False),
    "reuses_plans": (True, False),
    "is_deterministic": (True, False),
    "single_flight": (True, False),
}
_MAY_BE_NONE = frozenset(
    {"timeout_s", "call_timeout_s", "concurrency", "max_tokens", "max_total_tokens"}
)


def checked_options(options: Mapping[str, Any], known: type[Any], name: str) -> dict[str, Any]:
    """`options`, if each is known and in its range.

    Raises:
        DefinitionError: naming the one that is not.
    """
    for option, value in options.items():
        if option not in known.__annotations__:
            listed = ", ".join(sorted(known.__annotations__))
            raise DefinitionError(f"{name}: unknown option {option!r}; there are: {listed}")
        if option in _CHOICES and value not in _CHOICES[option]:
            listed = ", ".join(map(repr, _CHOICES[option]))
            raise DefinitionError(f"{name}: {option} must be one of {listed}, got {value!r}")
        if option in _BOUNDS and not (value is None and option in _MAY_BE_NONE):
            _check_bound(name, option, value)
    stop: str | Sequence[str] = options.get("stop", ())
    given = {"stop": (stop,) if isinstance(stop, str) else tuple(stop)} if stop else {}
    return {**options, **given}


def _check_bound(name: str, option: str, value: Any) -> None:
    bound = _BOUNDS[option]
    is_number = isinstance(value, (int, float) if bound == "positive" else int)
    least = {"positive": 0, "natural": 0, "count": 1}[bound]
    if (
        not is_number
        or isinstance(value, bool)
        or not value >= least
        or (bound == "positive" and value == 0)
    ):
        wanted = {"positive": "a number above 0", "natural": "0 or more", "count": "1 or more"}
        raise DefinitionError(f"{name}: {option} must be {wanted[bound]}, got {value!r}")
