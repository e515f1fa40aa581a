"""`Progress` against a model that recomputes everything from the facts after every event."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.scheduler.progress import (
    Advance,
    Cancelled,
    Child,
    Expanded,
    Failed,
    Finished,
    InstanceState,
    Progress,
    ProgressAction,
    ProgressEvent,
    Skip,
    Start,
    Stop,
    expanded,
)

Draw: TypeAlias = Callable[[int], int]
"""A number below its argument."""

WAITING, RUNNING = InstanceState.WAITING, InstanceState.RUNNING
FINISHED, FAILED = InstanceState.FINISHED, InstanceState.FAILED
SKIPPED, STOPPED = InstanceState.SKIPPED, InstanceState.STOPPED
BROKEN = (FAILED, SKIPPED, STOPPED)
MOST_INSTANCES = 40
MOST_DEPTH = 3


@dataclass
class Known:
    """What the model knows of one instance: where it belongs, what it reads, how it fared."""

    path: tuple[int, ...]
    parent: str | None
    reads: tuple[str, ...]
    is_region: bool
    state: InstanceState = WAITING
    rounds: int = 0


@dataclass
class Model:
    """The rules of `Progress`, each written as a sentence about all instances; slow and obvious."""

    on_error: Literal["fail", "collect"]
    known: dict[str, Known] = field(default_factory=dict)
    is_stopped: bool = False
    started: list[str] = field(default_factory=list)

    def apply(self, event: ProgressEvent) -> None:
        match event:
            case Expanded(region, _):
                if region is not None:
                    self.known[region].rounds += 1
            case Finished(instance_id):
                self.known[instance_id].state = FINISHED
            case Failed(instance_id):
                self.known[instance_id].state = FAILED
                self.stop(lambda other: self.is_inside(other, instance_id))
                if self.on_error == "fail":
                    self.stop(lambda _: True)
                    self.is_stopped = True
            case Cancelled(None):
                self.stop(lambda _: True)
                self.is_stopped = True
            case Cancelled(region):
                self.stop(lambda other: self.is_inside(other, region))
        while not self.is_stopped and self.settle_one():
            pass

    def stop(self, is_meant: Callable[[str], bool]) -> None:
        for name, instance in self.known.items():
            if instance.state in (WAITING, RUNNING) and is_meant(name):
                instance.state = STOPPED

    def is_inside(self, name: str, region: str | None) -> bool:
        parent = self.known[name].parent
        return parent == region or (parent is not None and self.is_inside(parent, region))

    def settle_one(self) -> bool:
        """Start or skip one instance that waits for no reason; False if there is none."""
        for name, instance in self.known.items():
            if instance.state is not WAITING:
                continue
            if any(self.is_broken(read) for read in instance.reads):
                instance.state = SKIPPED
                return True
            if all(self.is_there(read) for read in instance.reads):
                instance.state = RUNNING
                self.started.append(name)
                return True
        return False

    def is_there(self, read: str) -> bool:
        if read.endswith("#expanded"):
            return self.known[read.removesuffix("#expanded")].rounds > 0
        return self.known[read].state is FINISHED

    def is_broken(self, read: str) -> bool:
        if read.endswith("#expanded"):
            region = self.known[read.removesuffix("#expanded")]
            return region.rounds == 0 and region.state in BROKEN
        return self.known[read].state in BROKEN

    def open_children(self, region: str | None) -> int:
        return sum(
            k.parent == region and k.state in (WAITING, RUNNING) for k in self.known.values()
        )

    def states(self) -> dict[str, InstanceState]:
        return {name: instance.state for name, instance in self.known.items()}


class World:
    """Makes up events that can happen, one after the other."""

    def __init__(self, model: Model, draw: Draw) -> None:
        self.model = model
        self.draw = draw

    def first(self) -> Expanded:
        return Expanded(None, self.children(None))

    def next(self) -> ProgressEvent | None:
        """Something that can happen now; None when all is settled."""
        known = self.model.known
        running = [name for name, each in known.items() if each.state is RUNNING]
        if not running:
            return None
        if self.draw(40) == 0:
            return Cancelled(None)
        name = running[self.draw(len(running))]
        instance = known[name]
        if not instance.is_region:
            return Failed(name) if self.draw(6) == 0 else Finished(name)
        choice = self.draw(12)
        if choice == 0:
            return Failed(name)
        if choice == 1:
            return Cancelled(name)
        if instance.rounds == 0 or (choice < 5 and instance.rounds < 3):
            return Expanded(name, self.children(name))
        if self.model.open_children(name) == 0:
            return Finished(name)
        return self.next_inside(running)

    def next_inside(self, running: list[str]) -> ProgressEvent:
        """The last that was added has nothing open in it: something can always happen to it."""
        name = running[-1]
        instance = self.model.known[name]
        if instance.is_region and instance.rounds == 0:
            return Expanded(name, self.children(name))
        return Finished(name) if self.model.open_children(name) == 0 else Failed(name)

    def children(self, region: str | None) -> tuple[Child, ...]:
        known = self.model.known
        around = () if region is None else known[region].path
        start = sum(each.parent == region for each in known.values())
        room = max(0, MOST_INSTANCES - len(known))
        added: list[Child] = []
        for index in range(min(room, self.draw(6))):
            path = (*around, start + index)
            name = "i" + ".".join(map(str, path))
            reads = self.reads(path)
            is_region = len(path) < MOST_DEPTH and self.draw(3) == 0
            known[name] = Known(path, region, reads, is_region)
            added.append(Child(name, reads))
        # An event may name instances in any order.
        for index in range(len(added) - 1, 0, -1):
            other = self.draw(index + 1) if self.draw(3) == 0 else index
            added[index], added[other] = added[other], added[index]
        return tuple(added)

    def reads(self, path: tuple[int, ...]) -> tuple[str, ...]:
        """Some of what comes before `path` and is not around it, which can make no cycle."""
        before = [
            (name, each)
            for name, each in self.model.known.items()
            if each.path < path and path[: len(each.path)] != each.path
        ]
        found: dict[str, None] = {}
        if before:
            for _ in range(self.draw(4)):
                name, each = before[self.draw(len(before))]
                found[expanded(name) if each.is_region and self.draw(2) else name] = None
        return tuple(found)


def expected_actions(
    before: dict[str, InstanceState],
    model: Model,
    event: ProgressEvent,
    opened: dict[str | None, int],
) -> set[ProgressAction]:
    """What `Progress` must answer, but for why something was skipped."""
    expected: set[ProgressAction] = set()
    for name, state in model.states().items():
        if before.get(name, WAITING) is state:
            continue
        if state is RUNNING:
            expected.add(Start(name))
        elif state is SKIPPED:
            expected.add(Skip(name, ""))
        elif state is STOPPED and before[name] is RUNNING:
            expected.add(Stop(name))
    regions: list[str | None] = [None, *model.known]
    for region in regions:
        if region is not None and model.known[region].state is not RUNNING:
            continue
        if isinstance(event, Cancelled) and region is not None and region == event.region:
            continue  # whoever cancels a region knows what is next for it
        is_new = isinstance(event, Expanded) and event.region == region
        if model.open_children(region) == 0 and (opened.get(region, 0) > 0 or is_new):
            expected.add(Advance(region))
    return expected


def without_reason(action: ProgressAction) -> ProgressAction:
    return Skip(action.instance_id, "") if isinstance(action, Skip) else action


def live(on_error: Literal["fail", "collect"], draw: Draw) -> tuple[Model, Progress]:
    """Live through one run, checking every answer."""
    model = Model(on_error)
    world = World(model, draw)
    progress, twin = Progress(on_error=on_error), Progress(on_error=on_error)
    event: ProgressEvent | None = world.first()
    before: dict[str, InstanceState] = {}
    opened: dict[str | None, int] = {}
    while event is not None:
        # The new children are in the model already; nothing was open in it before.
        model.apply(event)
        actions = progress.handle(event)
        progress.check()
        assert twin.handle(event) == actions
        assert {name: progress.state(name) for name in model.known} == model.states()
        told = [without_reason(action) for action in actions]
        assert len(told) == len(set(told)), f"{event} was answered twice: {actions}"
        assert set(told) == expected_actions(before, model, event, opened)
        for action in actions:
            if isinstance(action, Skip):
                reads = model.known[action.instance_id].reads
                assert action.because in reads or expanded(action.because) in reads
                assert model.known[action.because].state in BROKEN
        assert progress.is_settled == (model.open_children(None) == 0)
        assert set(progress.running) == {n for n, s in model.states().items() if s is RUNNING}
        before = model.states()
        regions: list[str | None] = [None, *model.known]
        opened = {region: model.open_children(region) for region in regions}
        event = world.next()
    return model, progress


@settings(max_examples=300)
@given(data=st.data(), on_error=st.sampled_from(["fail", "collect"]))
def test_every_answer_follows_from_the_facts(
    data: st.DataObject, on_error: Literal["fail", "collect"]
) -> None:
    model, progress = live(on_error, lambda below: data.draw(st.integers(0, below - 1)))
    assert progress.is_settled
    assert progress.running == ()
    assert len(model.started) == len(set(model.started))
    for state in sorted({state.value for state in model.states().values()}):
        note(f"an instance ended as {state}")


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32), on_error=st.sampled_from(["fail", "collect"]))
def test_every_answer_follows_from_the_facts_in_long_runs(
    seed: int, on_error: Literal["fail", "collect"]
) -> None:
    # Here hypothesis only picks the seed: its own draws tend to be short.
    generator = random.Random(seed)
    _, progress = live(on_error, generator.randrange)
    assert progress.is_settled
