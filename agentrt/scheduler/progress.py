"""`Progress`: which node instances of one run may start, may never start, or must stop.

The pure half of executing a run graph. It knows instances, the edges between them and the regions
they belong to; it knows no values, no time and no I/O. The runtime feeds it what happened and
performs what it answers:

    Expanded ──▶ │          │ ──▶ Start      inputs are there: run it now
    Finished ──▶ │ Progress │ ──▶ Advance    every child of a region has settled: what next?
    Failed   ──▶ │          │ ──▶ Skip       an input failed: it will never run
    Cancelled──▶ │          │ ──▶ Stop       it is running and must not go on

There are no stages: an instance starts in the answer to the event that finished its last input.
The same events give the same answers in the same order, which is the order of definition.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, assert_never

from agentrt.errors import InvariantError
from agentrt.scheduler.progress_events import (
    Advance,
    Cancelled,
    Child,
    Expanded,
    Failed,
    Finished,
    InstanceId,
    ProgressAction,
    ProgressEvent,
    Skip,
    Start,
    Stop,
    expanded,
    region_of,
)

__all__ = [
    "Advance",
    "Cancelled",
    "Child",
    "Expanded",
    "Failed",
    "Finished",
    "InstanceId",
    "InstanceState",
    "Progress",
    "ProgressAction",
    "ProgressEvent",
    "Skip",
    "Start",
    "Stop",
    "expanded",
]


class InstanceState(Enum):
    """Where an instance is. `WAITING` and `RUNNING` are open; the others are settled."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"


class _Instance:
    """Mutable bookkeeping of one instance; `dependents` may exist before the instance does."""

    __slots__ = ("dependents", "open_children", "parent", "pending", "state")

    def __init__(self) -> None:
        self.state: InstanceState | None = None
        self.pending = 0
        self.parent: InstanceId | None = None
        self.open_children = 0
        self.dependents: list[InstanceId] = []


_SETTLED = frozenset(
    (InstanceState.FINISHED, InstanceState.FAILED, InstanceState.SKIPPED, InstanceState.STOPPED)
)
_BROKEN = frozenset((InstanceState.FAILED, InstanceState.SKIPPED, InstanceState.STOPPED))


class Progress:
    """One run. With `on_error="fail"` the first failure stops everything else.

    Every method but `handle` only reads.
    """

    def __init__(self, *, on_error: Literal["fail", "collect"] = "fail") -> None:
        self._on_error = on_error
        self._instances: dict[InstanceId, _Instance] = {}
        self._open_children = 0  # of the run itself
        self._is_stopping = False
        # Tuples of texts, not the events: the garbage collector stops looking at those, and a run
        # of many thousands of nodes keeps one for each.
        self._story: list[tuple[str, str]] = []

    def handle(self, event: ProgressEvent) -> list[ProgressAction]:
        """What to do now that `event` happened.

        Raises:
            InvariantError: the event cannot happen in this state; a bug in whoever sent it.
        """
        story = self._story
        match event:
            case Finished(instance_id):
                story.append(("finished", instance_id))
                return self._finish(instance_id)
            case Expanded(region, children):
                story.append(("unrolled", region or ""))
                story.extend([("added", child.instance_id) for child in children])
                return self._expand(region, children)
            case Failed(instance_id):
                story.append(("failed", instance_id))
                return self._fail(instance_id)
            case Cancelled(region):
                story.append(("cancelled", region or ""))
                return self._cancel(region)
            case _:
                assert_never(event)

    def state(self, instance_id: InstanceId) -> InstanceState | None:
        """None for an instance that was never added."""
        instance = self._instances.get(instance_id)
        return None if instance is None else instance.state

    @property
    def running(self) -> tuple[InstanceId, ...]:
        """In the order they were added."""
        return tuple(
            instance_id
            for instance_id, instance in self._instances.items()
            if instance.state is InstanceState.RUNNING
        )

    @property
    def is_settled(self) -> bool:
        """Whether nothing is running or waiting."""
        return self._open_children == 0

    def check(self) -> None:
        """Recount everything that is kept counted; tests call this after every event.

        Raises:
            InvariantError: a count is off.
        """
        open_children: dict[InstanceId | None, int] = {None: 0}
        for instance_id, instance in self._instances.items():
            if instance.state is None:
                continue
            if instance.state not in _SETTLED:
                open_children[instance.parent] = open_children.get(instance.parent, 0) + 1
            if instance.state is InstanceState.WAITING and instance.pending <= 0:
                raise self._broken(f"{instance_id!r} waits for nothing", instance_id)
        if open_children[None] != self._open_children:
            raise InvariantError("the run miscounts its open children", story=self._told())
        for instance_id, instance in self._instances.items():
            if instance.state is not None and instance.open_children != open_children.get(
                instance_id, 0
            ):
                raise self._broken(f"{instance_id!r} miscounts its open children", instance_id)

    # -- events ------------------------------------------------------------------------------

    def _expand(
        self, region: InstanceId | None, children: tuple[Child, ...]
    ) -> list[ProgressAction]:
        actions: list[ProgressAction] = []
        if region is not None:
            if self._instance(region).state is not InstanceState.RUNNING:
                raise self._broken(f"{region!r} unrolled while it was not running", region)
            self._release(expanded(region), actions)
        if self._is_stopping:
            return actions
        added = [self._add(child.instance_id, region) for child in children]
        for child, instance in zip(children, added, strict=True):
            self._connect(child, instance)
        for child, instance in zip(children, added, strict=True):
            self._settle_new(child, instance, actions)
        if not children:  # those that are skipped at once have said so themselves
            self._advance_if_settled(region, actions)
        return actions

    def _finish(self, instance_id: InstanceId) -> list[ProgressAction]:
        instance = self._running(instance_id, "finished")
        if instance.open_children:
            raise self._broken(f"{instance_id!r} finished before its children", instance_id)
        instance.state = InstanceState.FINISHED
        actions: list[ProgressAction] = []
        self._release_dependents(instance, actions)
        self._child_settled(instance.parent, actions)
        return actions

    def _fail(self, instance_id: InstanceId) -> list[ProgressAction]:
        instance = self._running(instance_id, "failed")
        actions: list[ProgressAction] = []
        instance.state = InstanceState.FAILED
        if self._on_error == "fail":
            instance.open_children = 0
            return self._stop_run()
        if instance.open_children:
            self._stop_children(instance_id, actions)
        self._skip_readers(instance_id, actions)
        self._child_settled(instance.parent, actions)
        return actions

    def _cancel(self, region: InstanceId | None) -> list[ProgressAction]:
        if region is None:
            return self._stop_run()
        self._running(region, "was cancelled")
        actions: list[ProgressAction] = []
        self._stop_children(region, actions)
        return actions

    # -- transitions -------------------------------------------------------------------------

    def _add(self, instance_id: InstanceId, parent: InstanceId | None) -> _Instance:
        instance = self._instances.get(instance_id)
        if instance is None:
            instance = self._instances[instance_id] = _Instance()
        elif instance.state is not None:
            raise self._broken(f"{instance_id!r} was added twice", instance_id)
        instance.state = InstanceState.WAITING
        instance.parent = parent
        if parent is None:
            self._open_children += 1
        else:
            self._instances[parent].open_children += 1
        return instance

    def _connect(self, child: Child, instance: _Instance) -> None:
        for read in child.after:
            source = self._instances.get(read)
            if source is None:
                source = self._instances[read] = _Instance()
            if source.state is not InstanceState.FINISHED:
                source.dependents.append(child.instance_id)
                instance.pending += 1

    def _settle_new(self, child: Child, instance: _Instance, actions: list[ProgressAction]) -> None:
        if instance.state is not InstanceState.WAITING:
            return  # skipped with an earlier sibling it reads
        for read in child.after:
            if self._instances[read].state in _BROKEN:
                self._skip(child.instance_id, region_of(read), actions)
                return
        if instance.pending == 0:
            instance.state = InstanceState.RUNNING
            actions.append(Start(child.instance_id))

    def _release(self, mark: InstanceId, actions: list[ProgressAction]) -> None:
        source = self._instances.get(mark)
        if source is None:
            source = self._instances[mark] = _Instance()
        if source.state is None:
            source.state = InstanceState.FINISHED
            self._release_dependents(source, actions)

    def _release_dependents(self, source: _Instance, actions: list[ProgressAction]) -> None:
        instances = self._instances
        for dependent_id in source.dependents:
            dependent = instances[dependent_id]
            dependent.pending -= 1
            if dependent.pending == 0 and dependent.state is InstanceState.WAITING:
                dependent.state = InstanceState.RUNNING
                actions.append(Start(dependent_id))

    def _skip(
        self, instance_id: InstanceId, because: InstanceId, actions: list[ProgressAction]
    ) -> None:
        """Skip an instance and, transitively, whatever reads it. No recursion: chains are long."""
        open_skips = [(instance_id, because)]
        while open_skips:
            skipped_id, cause = open_skips.pop()
            instance = self._instances[skipped_id]
            if instance.state is not InstanceState.WAITING:
                continue
            instance.state = InstanceState.SKIPPED
            actions.append(Skip(skipped_id, cause))
            readers = self._readers_of_broken(skipped_id, instance)
            open_skips.extend((reader, skipped_id) for reader in reversed(readers))
            self._child_settled(instance.parent, actions)

    def _skip_readers(self, broken_id: InstanceId, actions: list[ProgressAction]) -> None:
        for reader in self._readers_of_broken(broken_id, self._instances[broken_id]):
            self._skip(reader, broken_id, actions)

    def _readers_of_broken(self, broken_id: InstanceId, instance: _Instance) -> list[InstanceId]:
        """Who can never start now.

        A region that broke before it unrolled takes along whoever waits, or will, for that.
        """
        mark = self._instances.setdefault(expanded(broken_id), _Instance())
        if mark.state is not None:
            return instance.dependents
        mark.state = instance.state
        return [*instance.dependents, *mark.dependents]

    def _child_settled(self, parent: InstanceId | None, actions: list[ProgressAction]) -> None:
        if parent is None:
            self._open_children -= 1
        else:
            self._instances[parent].open_children -= 1
        self._advance_if_settled(parent, actions)

    def _advance_if_settled(self, region: InstanceId | None, actions: list[ProgressAction]) -> None:
        if region is None:
            if self._open_children == 0:
                actions.append(Advance(None))
            return
        instance = self._instances[region]
        if instance.open_children == 0 and instance.state is InstanceState.RUNNING:
            actions.append(Advance(region))

    def _stop_run(self) -> list[ProgressAction]:
        """Stop what runs, forget what waits, and advance the run."""
        if self._is_stopping:
            return []
        self._is_stopping = True
        stops: list[ProgressAction] = []
        for instance_id, instance in self._instances.items():
            if instance.state is InstanceState.RUNNING:
                stops.append(Stop(instance_id))
            if instance.state in (InstanceState.RUNNING, InstanceState.WAITING):
                instance.state = InstanceState.STOPPED
                instance.open_children = 0
        self._open_children = 0
        stops.append(Advance(None))
        return stops

    def _stop_children(self, region: InstanceId, actions: list[ProgressAction]) -> None:
        """Stop everything inside `region`; the region itself stays as it is and is told nothing.

        Whoever reads something inside from outside is skipped: it would wait for ever.
        """
        inside = {region}
        stopped: list[InstanceId] = []
        for instance_id, instance in self._instances.items():  # parents come before children
            if instance.parent not in inside or instance.state in _SETTLED:
                continue
            inside.add(instance_id)
            stopped.append(instance_id)
            if instance.state is InstanceState.RUNNING:
                actions.append(Stop(instance_id))
            instance.state = InstanceState.STOPPED
            instance.open_children = 0
        self._instances[region].open_children = 0
        for instance_id in stopped:
            self._skip_readers(instance_id, actions)

    # -- checks ------------------------------------------------------------------------------

    def _instance(self, instance_id: InstanceId) -> _Instance:
        instance = self._instances.get(instance_id)
        if instance is None or instance.state is None:
            raise self._broken(f"{instance_id!r} is unknown", instance_id)
        return instance

    def _running(self, instance_id: InstanceId, verb: str) -> _Instance:
        instance = self._instance(instance_id)
        if instance.state is not InstanceState.RUNNING:
            state = "new" if instance.state is None else instance.state.value
            raise self._broken(f"{instance_id!r} {verb} while it was {state}", instance_id)
        return instance

    def _broken(self, message: str, instance_id: InstanceId) -> InvariantError:
        return InvariantError(message, story=self._told(instance_id))

    def _told(self, instance_id: InstanceId | None = None) -> list[str]:
        """The events so far, oldest first, a line each; of one instance if it is given."""
        return [
            f"{verb} {subject or 'the run'}"
            for verb, subject in self._story
            if instance_id in (None, subject) or verb == "cancelled"
        ]
