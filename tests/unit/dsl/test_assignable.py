"""Which symbolic values may go where, decided by type alone."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, Never, NewType, Optional, TypeVar

import pytest
from annotated_types import Ge
from pydantic import BaseModel, JsonValue
from typing_extensions import TypedDict

from agentrt.dsl.assignable import is_assignable

T = TypeVar("T")


class Animal(BaseModel):
    name: str


class Dog(Animal):
    pass


class Box(BaseModel, Generic[T]):
    item: T


@dataclass
class Point:
    x: int


class Colour(enum.Enum):
    RED = "red"


class Weekday(enum.StrEnum):
    MONDAY = "monday"


class Level(enum.IntEnum):
    LOW = 1


class Row(TypedDict):
    name: str


UserId = NewType("UserId", str)
Dogs = NewType("Dogs", list[Dog])

YES: list[tuple[Any, Any]] = [
    (str, str),
    (str, Any),
    (Any, str),
    (str, object),
    (Never, str),
    (int, float),
    (None, None),
    (None, type(None)),
    (Dog, Animal),
    (Point, Point),
    (Weekday, str),
    (Level, int),
    (Level, float),
    (UserId, str),
    (UserId, UserId),
    (Dogs, list[Animal]),
    (list[str], JsonValue),
    (dict[str, list[int | None]], JsonValue),
    (list[JsonValue], JsonValue),
    (Literal["a"], str),
    (Literal["a"], Literal["a", "b"]),
    (Literal["a", "b"], Literal["b", "a"]),
    (Literal["a", None], str | None),  # noqa: PYI061
    (Literal["a", 1], str | int),
    (bool, Literal[True, False]),
    (str, str | None),
    (str, Optional[str]),  # noqa: UP045
    (str | None, None | str),
    (int | str, str | int | bytes),
    (int | bool, float | bool),
    (list[Dog], list[Animal]),
    (list[str], list[str | None]),
    (list[Never], list[int]),
    (list, list[str]),
    (list[str], list),
    (list[Any], list[str]),
    (list[str], Sequence[str]),
    (list[int], Iterable[float]),
    (tuple[int, ...], Sequence[float]),
    (tuple[int, int], Sequence[int]),
    (tuple[int, str], Iterable[int | str]),
    (tuple[int, str], tuple[float, str]),
    (tuple[int, int], tuple[int, ...]),
    (dict[str, Dog], dict[str, Animal]),
    (dict[str, int], Mapping[str, float]),
    (Row, Row),
    (Row, Mapping[str, str]),
    (Annotated[str, Ge(0)], str),
    (str, Annotated[str, Ge(0)]),
    (list[Annotated[int, Ge(0)]], list[float]),
    (Box[int], Box[int]),
    (str, T),
]

NO: list[tuple[Any, Any]] = [
    (str, int),
    (float, int),
    (bool, int),
    (bool, float),
    (bool, str),
    (list[bool], list[int]),
    (Literal[True], int),
    (None, str),
    (Animal, Dog),
    (Point, Animal),
    (dict[str, str], Animal),
    (Colour, str),
    (str, Colour),
    (str, UserId),
    (list[Dog], Dogs),
    (Point, JsonValue),
    (dict[int, Point], JsonValue),
    (JsonValue, list[str]),
    (str, Literal["a"]),
    (Literal["a", "c"], Literal["a", "b"]),
    (Literal[1], Literal[True]),
    (Literal["a"], int),
    (bool, Literal[True]),
    (str | None, str),
    (int | str, int),
    (str, bytes),
    (str, Sequence[str] | None),
    (str, list[str]),
    (list[str], str),
    (list[Animal], list[Dog]),
    (list[str | None], list[str]),
    (list[str], tuple[str, ...]),
    (tuple[str, ...], list[str]),
    (tuple[int, ...], tuple[int, int]),
    (tuple[int, str], tuple[int, int]),
    (tuple[int, str], Iterable[int]),
    (tuple[int], tuple[int, int]),
    (dict[str, int], dict[str, str]),
    (dict[int, str], dict[str, str]),
    (dict[str, str], Row),
    (Row, dict[str, str]),
    (Row, Mapping[str, int]),
    (Box[int], Box[str]),
    (set[str], list[str]),
]


@pytest.mark.parametrize(("source", "target"), YES, ids=str)
def test_assignable(source: Any, target: Any) -> None:
    assert is_assignable(source, target)


@pytest.mark.parametrize(("source", "target"), NO, ids=str)
def test_not_assignable(source: Any, target: Any) -> None:
    assert not is_assignable(source, target)
