"""Policies, one file each. `BY_NAME` is what `--policy` takes, and `named` reads it."""

from __future__ import annotations

import math
import typing
from typing import TypeAlias

from agentrt.errors import InputError
from agentrt.scheduler.policies.continuum import Continuum
from agentrt.scheduler.policies.deadline_slack import DeadlineSlack
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.scheduler.policies.gittins import Gittins
from agentrt.scheduler.policies.infercept import InferCept
from agentrt.scheduler.policies.kvflow import KVFlow
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.policies.plas import Plas
from agentrt.scheduler.policies.saga import Saga
from agentrt.scheduler.policies.thunderagent import ThunderAgent
from agentrt.scheduler.policies.unmanaged import Unmanaged
from agentrt.scheduler.policy import Policy

BY_NAME: dict[str, type[Policy]] = {
    "continuum": Continuum,
    "deadline-slack": DeadlineSlack,
    "fcfs": Unmanaged,
    "gittins": Gittins,
    "infercept": InferCept,
    "kvflow": KVFlow,
    "occupancy": ByOccupancy,
    "plas": Plas,
    "saga": Saga,
    "thunderagent": ThunderAgent,
}
"""Those that need nothing from outside; the caps are named by their number, `cap-8`."""

_CAP = "cap-"
_MOST = 1_000_000
_FLAGS = {"0": False, "1": True}
_Value: TypeAlias = float | int | bool


def named(text: str) -> Policy:
    """The policy of that name, with its parameters: `occupancy:headroom=0.2,hold_limit_s=5`.

    Each call returns a new one.

    Raises:
        InputError: no such policy or parameter (the message names those there are), or a value that
            does not fit.
    """
    name, has_parameters, rest = text.partition(":")
    if name.startswith(_CAP):
        return _cap(name, rest)
    kind = BY_NAME.get(name)
    if kind is None:
        raise InputError(f"no policy {name[:40]!r}; there are: {', '.join(BY_NAME)}, {_CAP}N")
    values = _values(name, rest, parameters(name)) if has_parameters else {}
    try:
        return kind(**values)
    except TypeError as error:  # all that were given are known: one that must be given is not
        needed = ", ".join(parameters(name))
        raise InputError(f"policy {name!r} needs parameters; it has: {needed}") from error
    except ValueError as error:
        raise InputError(f"policy {text[:80]!r}: {error}") from error


def parameters(name: str) -> dict[str, type[_Value]]:
    """The numbers that a policy in `BY_NAME` is made from, and their types."""
    made = typing.get_type_hints(BY_NAME[name].__init__)
    return {field: kind for field, kind in made.items() if kind in {float, int, bool}}


def _cap(name: str, rest: str) -> Policy:
    number = name.removeprefix(_CAP)
    is_number = number.isascii() and number.isdigit() and len(number) < len(str(_MOST))
    if not is_number or int(number) < 1:
        raise InputError(f"expected {_CAP}N with N from 1 on, got {name[:40]!r}")
    if rest:
        raise InputError(f"{name} takes no parameters")
    return FixedCap(int(number))


def _values(name: str, text: str, known: dict[str, type[_Value]]) -> dict[str, _Value]:
    values: dict[str, _Value] = {}
    for part in text.split(","):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in known:
            there = f"it has: {', '.join(known)}" if known else "it has none"
            raise InputError(f"policy {name!r} has no parameter {key[:40]!r}; {there}")
        if key in values:
            raise InputError(f"policy {name!r}: {key} is given twice")
        values[key] = _number(f"{name}:{key}", value, known[key])
    return values


def _number(what: str, text: str, kind: type[_Value]) -> _Value:
    if kind is bool:
        if text not in _FLAGS:
            raise InputError(f"{what}: expected 0 or 1, got {text[:40]!r}")
        return _FLAGS[text]
    try:
        value = kind(text)
    except ValueError:
        value = kind(-1)
    if math.isnan(value) or value < 0:
        noun = "a whole number" if kind is int else "a number"
        raise InputError(f"{what}: expected {noun} that is not negative, got {text[:40]!r}")
    return value
