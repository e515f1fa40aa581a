"""Reading back what was stored: JSON that may be damaged, or of another version."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from agentrt.errors import StoreError
from agentrt.ir.schema import is_list, is_object

Json: TypeAlias = Any


def unfit(problem: str) -> StoreError:
    """The error for stored estimates that cannot be used."""
    return StoreError(f"stored estimates: {problem}; discard them, they are learned again")


def an_object(data: Json) -> Mapping[str, Json]:
    """`data`, which has to be an object."""
    if not is_object(data):
        raise unfit(f"expected an object, got {type(data).__name__}")
    return data


def a_list(data: Json) -> list[Json]:
    """`data`, which has to be an array."""
    if not is_list(data):
        raise unfit(f"expected an array, got {type(data).__name__}")
    return data


def a_text(data: Json) -> str:
    """`data`, which has to be a text."""
    if not isinstance(data, str):
        raise unfit(f"expected a text, got {type(data).__name__}")
    return data


def a_number(data: Json, *, least: float = 0.0, most: float = 1e300) -> float:
    """`data`, which has to be a finite number from `least` to `most`."""
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise unfit(f"expected a number, got {type(data).__name__}")
    if not least <= data <= most or not math.isfinite(data):
        raise unfit(f"{data!r} is not between {least:g} and {most:g}")
    return float(data)


def an_index(data: Json, count: int) -> int:
    """`data`, which has to be a whole number from 0 to below `count`."""
    if isinstance(data, bool) or not isinstance(data, int) or not 0 <= data < count:
        raise unfit(f"{data!r} is not a whole number below {count}")
    return data


def of_version(data: Json, version: int) -> Mapping[str, Json]:
    """`data`, which has to be an object of this version."""
    fields = an_object(data)
    if fields.get("version") != version:
        raise unfit(f"version {fields.get('version')!r}, not {version}")
    return fields


def a_field(fields: Mapping[str, Json], name: str) -> Json:
    """The field `name`, which has to be there."""
    if name not in fields:
        raise unfit(f"no {name!r}")
    return fields[name]


def numbers(data: Json, count: int, *, most: float) -> list[float]:
    """So many numbers from 0 to `most`."""
    values = a_list(data)
    if len(values) != count:
        raise unfit(f"{len(values)} numbers, not {count}")
    return [a_number(value, most=most) for value in values]
