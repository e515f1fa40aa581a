"""Small converters between frozen data and JSON, and how they combine into one for a whole graph.

A dataclass becomes an object without the fields that have their default, so that a field added
later changes neither the form nor the hash of what does not use it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from agentrt.ir.schema import Json, is_list, is_object

T = TypeVar("T")

_SHOWN = 40


class Misfit(Exception):  # noqa: N818  never leaves `agentrt.ir`: a signal, not an error to catch
    """Data does not have the form; `where` leads there, innermost step first."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.where: list[str | int] = []

    def __str__(self) -> str:
        where = "/".join(str(step) for step in reversed(self.where))
        return f"{where}: {self.args[0]}" if where else str(self.args[0])


class Codec(Protocol[T]):
    """Both directions. `load` takes plain JSON data and raises `Misfit`."""

    def dump(self, value: T, /) -> Json: ...

    def load(self, data: Json, /) -> T: ...


@dataclass(frozen=True, slots=True)
class Plain:
    """Data that is JSON already; `kinds` are the exact types allowed, none for any."""

    what: str
    kinds: tuple[type, ...] = ()

    def dump(self, value: Any, /) -> Json:
        return value

    def load(self, data: Json, /) -> Any:
        # Exact types: True is no number here, though Python says so.
        if self.kinds and type(data) not in self.kinds:
            raise Misfit(f"expected {self.what}, got {_kind(data)}")
        return data


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few texts."""

    choices: tuple[str | None, ...]

    def dump(self, value: Any, /) -> Json:
        return value

    def load(self, data: Json, /) -> Any:
        if not (data is None or isinstance(data, str)) or data not in self.choices:
            raise Misfit(f"expected one of {list(self.choices)}, got {_kind(data)}")
        return data


@dataclass(frozen=True, slots=True)
class Optional(Generic[T]):
    """The value, or null."""

    inner: Codec[T]

    def dump(self, value: T | None, /) -> Json:
        return None if value is None else self.inner.dump(value)

    def load(self, data: Json, /) -> T | None:
        return None if data is None else self.inner.load(data)


@dataclass(frozen=True, slots=True)
class Several(Generic[T]):
    """A tuple, as a list."""

    inner: Codec[T]

    def dump(self, value: tuple[T, ...], /) -> Json:
        return [self.inner.dump(item) for item in value]

    def load(self, data: Json, /) -> tuple[T, ...]:
        if not is_list(data):
            raise Misfit(f"expected a list, got {_kind(data)}")
        return tuple([load_at(self.inner, item, index) for index, item in enumerate(data)])


@dataclass(frozen=True, slots=True)
class Named(Generic[T]):
    """Pairs of a name and a value, as lists of two: unlike an object's, their order is content."""

    inner: Codec[T]

    def dump(self, value: tuple[tuple[str, T], ...], /) -> Json:
        return [[name, self.inner.dump(item)] for name, item in value]

    def load(self, data: Json, /) -> tuple[tuple[str, T], ...]:
        if not is_list(data):
            raise Misfit(f"expected a list of pairs, got {_kind(data)}")
        return tuple([self._pair(pair, index) for index, pair in enumerate(data)])

    def _pair(self, pair: Json, index: int) -> tuple[str, T]:
        match pair:
            case [str(name), item]:
                return name, load_at(self.inner, item, name)
            case _:
                raise Misfit(f"item {index} is no pair of a name and a value")


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """A mapping, as an object: order is no content."""

    inner: Codec[T]

    def dump(self, value: Mapping[str, T], /) -> Json:
        return {name: self.inner.dump(value[name]) for name in sorted(value)}

    def load(self, data: Json, /) -> Mapping[str, T]:
        if not is_object(data):
            raise Misfit(f"expected an object, got {_kind(data)}")
        return {name: load_at(self.inner, item, name) for name, item in data.items()}


class Record(Generic[T]):
    """A dataclass, as an object of its fields; `kind`, where there is one, is `Tagged`'s to write."""

    def __init__(self, build: type[T], **codecs: Codec[Any]) -> None:
        self._build = build
        self._codecs = codecs
        self._defaults = _defaults(build)
        named = {field.name for field in dataclasses.fields(_as_dataclass(build))} - {"kind"}
        if named != codecs.keys():
            raise TypeError(f"{build.__name__}: {sorted(named ^ codecs.keys())} need a codec")

    def dump(self, value: T, /) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for name, codec in self._codecs.items():
            item = getattr(value, name)
            if name in self._defaults:
                default = self._defaults[name]
                # By type too: True == 1 == 1.0, and all three are different content.
                if item is default or (type(item) is type(default) and item == default):
                    continue
            found[name] = codec.dump(item)
        return found

    def load(self, data: Json, /) -> T:
        if not is_object(data):
            raise Misfit(f"expected an object, got {_kind(data)}")
        for name in data:
            if name not in self._codecs:
                raise Misfit(f"unknown field {_kind(name)}")
        for name in self._codecs:
            if name not in data and name not in self._defaults:
                raise Misfit(f"field {name!r} is missing")
        return self._build(
            **{name: load_at(self._codecs[name], item, name) for name, item in data.items()}
        )


class Tagged(Generic[T]):
    """One of several dataclasses, told apart by `kind`."""

    def __init__(self, **records: Record[Any]) -> None:
        self._records = records

    def dump(self, value: Any, /) -> dict[str, Json]:
        return {"kind": value.kind, **self._records[value.kind].dump(value)}

    def load(self, data: Json, /) -> T:
        if not is_object(data):
            raise Misfit(f"expected an object, got {_kind(data)}")
        kind = data.get("kind")
        if type(kind) is not str or kind not in self._records:
            raise Misfit(f"expected a kind of {', '.join(self._records)}, got {_kind(kind)}")
        found: T = self._records[kind].load(
            {name: item for name, item in data.items() if name != "kind"}
        )
        return found


def load_at(codec: Codec[T], data: Json, step: str | int) -> T:
    """`codec.load(data)`, with `step` added to where a `Misfit` is."""
    try:
        return codec.load(data)
    except Misfit as misfit:
        misfit.where.append(step)
        raise


def _as_dataclass(build: Any) -> Any:
    return build


def _defaults(build: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in dataclasses.fields(build):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def _kind(data: Json) -> str:
    shown = ascii(data) if isinstance(data, (str, int, float, bool)) else type(data).__name__
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
