"""What `Progress` is told and what it answers: plain data, in the order of a node's life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

InstanceId: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Child:
    """An instance to add, and the instances it reads.

    `after` may name instances added by the same event, earlier or later in it, and may use
    `expanded(region)` to wait for a region's children to be known rather than finished.
    """

    instance_id: InstanceId
    after: tuple[InstanceId, ...] = ()


@dataclass(frozen=True, slots=True)
class Expanded:
    """`region` (None: the run itself) unrolled into these children."""

    region: InstanceId | None
    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A running instance has its value."""

    instance_id: InstanceId


@dataclass(frozen=True, slots=True)
class Failed:
    """A running instance has failed for good."""

    instance_id: InstanceId


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The run, or one region of it with all it holds, must stop."""

    region: InstanceId | None = None


ProgressEvent: TypeAlias = Expanded | Finished | Failed | Cancelled


@dataclass(frozen=True, slots=True)
class Start:
    """Run this instance now."""

    instance_id: InstanceId


@dataclass(frozen=True, slots=True)
class Advance:
    """Every child of this region (None: the run) has settled."""

    region: InstanceId | None


@dataclass(frozen=True, slots=True)
class Skip:
    """This instance will never run, because `because` failed or was skipped."""

    instance_id: InstanceId
    because: InstanceId


@dataclass(frozen=True, slots=True)
class Stop:
    """This running instance must be cancelled."""

    instance_id: InstanceId


ProgressAction: TypeAlias = Start | Advance | Skip | Stop


_EXPANDED = "#expanded"


def expanded(region: InstanceId) -> InstanceId:
    """What to wait for in order to start once `region` has unrolled (`#` is in no instance id)."""
    return region + _EXPANDED


def region_of(mark: InstanceId) -> InstanceId:
    """The inverse of `expanded`; an instance's own id stays as it is."""
    return mark.removesuffix(_EXPANDED)
