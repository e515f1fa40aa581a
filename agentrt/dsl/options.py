"""What authors may say about functions besides their code: typed, and checked when they say it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, cast

from agentrt.dsl.marks import has_marks
from agentrt.dsl.ref import Ref
from agentrt.errors import DefinitionError, TraceError
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
    guesses_reads: bool


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
}
_BOUND_WORDS: Mapping[Bound, str] = {
    "positive": "a number above 0",
    "natural": "0 or more",
    "count": "1 or more",
}
_FLAGS = frozenset(
    {"is_idempotent", "reuses_plans", "guesses_reads", "is_deterministic", "single_flight"}
)
_TEXTS = frozenset({"name", "model"})
_MAY_BE_NONE = frozenset(
    {
        *("timeout_s", "call_timeout_s", "concurrency", "max_tokens", "max_total_tokens"),
        *("model", "seed", "temperature", "name"),
    }
)


def checked_options(options: Mapping[str, Any], known: type[Any], name: str) -> dict[str, Any]:
    """`options`, if each is known and in its range. One that is None though it cannot be is an error.

    Raises:
        DefinitionError: naming the one that is not.
    """
    for option, value in options.items():
        if option not in known.__annotations__:
            listed = ", ".join(sorted(known.__annotations__))
            raise DefinitionError(f"{name}: unknown option {option!r}; there are: {listed}")
        _refuse_symbolic(name, option, value)
        wanted = None if value is None and option in _MAY_BE_NONE else _wanted(option, value)
        if wanted:
            raise DefinitionError(f"{name}: {option} must be {wanted}, got {value!r}")
    found = {o: value for o, value in options.items() if not (o == "name" and value is None)}
    stop: str | Sequence[str] = found.get("stop", ())
    return {**found, "stop": (stop,) if isinstance(stop, str) else tuple(stop)} if stop else found


def _wanted(option: str, value: Any) -> str | None:
    """What the option must be, where `value` is something else."""
    if option in _CHOICES:
        fits, wanted = value in _CHOICES[option], "one of " + ", ".join(map(repr, _CHOICES[option]))
    elif option in _FLAGS:
        fits, wanted = type(value) is bool, "one of True, False"
    elif option in _TEXTS:
        fits, wanted = isinstance(value, str), "a text"
    elif option == "stop":
        fits = all(isinstance(each, str) for each in _each(value))
        wanted = "a text or a list of texts"
    elif option == "seed":
        fits, wanted = type(value) is int, "a whole number"
    elif option == "temperature":
        fits, wanted = type(value) in (int, float) and 0 <= value < math.inf, "a number, 0 or more"
    elif option in _BOUNDS:
        fits, wanted = _is_in_bounds(_BOUNDS[option], value), _BOUND_WORDS[_BOUNDS[option]]
    else:  # a text that may be symbolic, checked where it becomes part of a prompt
        return None
    return None if fits else wanted


def _is_in_bounds(bound: Bound, value: Any) -> bool:
    if bound == "positive":
        return type(value) in (int, float) and bool(0 < value < math.inf)
    return type(value) is int and value >= (1 if bound == "count" else 0)


def _refuse_symbolic(name: str, option: str, value: Any) -> None:
    if option == "system":  # of `plan_and_run`: part of a prompt
        return
    if any(isinstance(e, Ref) or (isinstance(e, str) and has_marks(e)) for e in _each(value)):
        raise TraceError(
            f"{name}: the option {option!r} is needed while the workflow is traced, and takes no "
            "symbolic value: make the parameter that it comes from `static`, or `branch(...)` over "
            "functions with different options"
        )


def _each(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else [value]
