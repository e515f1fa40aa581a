"""`Tracer`: the graph under construction while a workflow function runs once on symbolic values."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from agentrt.dsl.marks import mark_text, new_nonce
from agentrt.dsl.ref import Ref, describe, label
from agentrt.dsl.signature import is_name
from agentrt.dsl.value_type import ValueType, value_type
from agentrt.errors import DefinitionError, TraceError
from agentrt.ir.expression import Const, Expression, NodeId, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import InputNode, Node

if TYPE_CHECKING:
    from agentrt.dsl.functions import ToolFunction


class Named(Protocol):
    """What may give nodes their names."""

    @property
    def name(self) -> str: ...

    def is_same(self, other: Any) -> bool:
        """Whether both may go by one name in a graph."""
        ...


@dataclass(slots=True)
class Trace:
    """What one trace has once, however deep its bodies nest.

    Attributes:
        nonce: Part of every mark of this trace; text from elsewhere cannot contain it.
        marks: The values whose marks were written into text, by the number in the mark.
        functions: Who goes by each name.
        tools: The tools of the graph and all its bodies, by name.
        answers: The answer types of its LLM functions and agents, by name.
        inlining: The workflows whose functions are being run inside others, outermost first.
    """

    nonce: str = field(default_factory=new_nonce)
    marks: list[Ref] = field(default_factory=list[Ref])
    functions: dict[str, Named] = field(default_factory=dict[str, Named])
    tools: dict[str, ToolFunction[..., Any]] = field(
        default_factory=dict[str, "ToolFunction[..., Any]"]
    )
    answers: dict[str, ValueType[Any]] = field(default_factory=dict[str, ValueType[Any]])
    inlining: list[Named] = field(default_factory=list[Named])


@dataclass(slots=True)
class Captures:
    """The outer values that the bodies of one region use: the region's inputs.

    Attributes:
        taken: Names that a capture may not have.
        by_key: The name each captured value has inside, with its source outside and itself.
    """

    taken: set[str] = field(default_factory=set[str])
    by_key: dict[Any, tuple[str, Expression, Ref]] = field(
        default_factory=dict[Any, tuple[str, Expression, Ref]]
    )

    def inputs(self) -> tuple[tuple[str, Expression], ...]:
        return tuple((name, expression) for name, expression, _ in self.by_key.values())


class Tracer:
    """One graph under construction: a workflow's, or a body's of one of its regions."""

    def __init__(
        self,
        name: str,
        *,
        parent: Tracer | None = None,
        captures: Captures | None = None,
        prompt_of: str | None = None,
    ) -> None:
        self.name = name
        self.parent = parent
        self.trace: Trace = Trace() if parent is None else parent.trace
        self.prompt_of = prompt_of
        self._captures = captures
        self._inputs: dict[str, InputNode] = {}
        self._nodes: list[Node] = []
        self._ids: set[str] = set()
        self._counts: dict[str, int] = {}
        self._captured_names: dict[str, int] = {}
        self._prefix = ""

    # --- names ---

    def new_id(self, name: str) -> NodeId:
        """`name`, then `name_2`, `name_3`, within the workflow being inlined, if one is."""
        base = self._prefix + name
        count = self._counts.get(base, 0) + 1
        node_id = base if count == 1 else f"{base}_{count}"
        while node_id in self._ids or (self._captures and node_id in self._captures.taken):
            count += 1
            node_id = f"{base}_{count}"
        self._counts[base] = count
        self._ids.add(node_id)
        return node_id

    def register(self, function: Named) -> None:
        """Note who goes by this name.

        Raises:
            DefinitionError: somebody else does already.
        """
        known = self.trace.functions.setdefault(function.name, function)
        if known is not function and not function.is_same(known):
            raise DefinitionError(
                f"duplicate name: two different functions are called {function.name!r} in "
                f"{self.trace_name!r}; rename one with `.options(name=...)`"
            )

    @property
    def trace_name(self) -> str:
        return self.name if self.parent is None else self.parent.trace_name

    @contextmanager
    def inlined(self, name: str) -> Generator[None]:
        """Nodes made inside are called `name.…`."""
        before = self._prefix
        self._prefix = self.new_id(name) + "."
        try:
            yield
        finally:
            self._prefix = before

    # --- nodes ---

    def add_input(
        self, name: str, annotation: Any, *, is_required: bool = True, default: Any = None
    ) -> Ref:
        """A parameter of this graph, as a symbolic value.

        Raises:
            DefinitionError: its name cannot be a node's.
        """
        if not is_name(name):
            raise DefinitionError(
                f"{self.name}: the parameter {name!r} becomes a node of the graph, whose names are of "
                "the letters A to Z, digits, _ and -: rename the parameter"
            )
        self._ids.add(name)
        schema = value_type(annotation).schema
        self._inputs[name] = InputNode(
            id=name, schema=schema, is_required=is_required, default=default
        )
        return Ref(self, Use(name), annotation)

    def add(self, node: Node, annotation: Any) -> Ref:
        """Add a node; its value, symbolically."""
        self._nodes.append(node)
        return Ref(self, Use(node.id), annotation)

    def graph(self, output: Expression) -> Graph:
        """What was built, without tools: the top graph gets them from the trace."""
        return Graph(self.name, (*self._inputs.values(), *self._nodes), output)

    # --- symbolic values ---

    def mark(self, ref: Ref) -> str:
        """The text that stands for `ref` inside strings."""
        self.trace.marks.append(ref)
        return mark_text(self.trace.nonce, len(self.trace.marks) - 1, label(ref))

    def resolve(self, ref: Ref) -> Expression:
        """`ref` as an expression of this graph; outer values become inputs of the region.

        Raises:
            TraceError: it belongs to another trace, or to a body that this graph cannot see into.
        """
        if ref.__tracer__ is self or isinstance(ref.__expression__, Const):
            return ref.__expression__
        if self.parent is None or self._captures is None:
            raise TraceError(_leak_message(ref, self))
        outer = self.parent.resolve(ref)
        if isinstance(outer, Const):
            return outer
        return self._captured(outer, ref)

    def _captured(self, outer: Expression, ref: Ref) -> Expression:
        if self._captures is None:
            raise TraceError(_leak_message(ref, self))
        key: Any = outer if isinstance(outer, Use) else id(ref)
        known = self._captures.by_key.get(key)
        if known is not None and known[0] in self._ids and known[0] not in self._inputs:
            key = (key, self)  # the region's other body gave it a name that a node has here
        if key not in self._captures.by_key:
            name = self._capture_name(outer)
            self._captures.taken.add(name)
            self._captures.by_key[key] = (name, outer, ref)
        name, _, captured = self._captures.by_key[key]
        if name not in self._inputs:
            self.add_input(name, captured.__annotation__)
        return Use(name)

    def _capture_name(self, outer: Expression) -> str:
        """Named after the outer value."""
        base = "value"
        if isinstance(outer, Use):
            named = [step for step in outer.path if isinstance(step, str) and is_name(step)]
            base = named[-1] if named else outer.node.rpartition(".")[2]
        name, count = base, self._captured_names.get(base, 1)
        while name in self._ids or (self._captures and name in self._captures.taken):
            count += 1
            name = f"{base}_{count}"
        self._captured_names[base] = count
        return name

    def body(self, name: str, captures: Captures) -> Tracer:
        """A tracer for a body of a region of this graph."""
        return Tracer(name, parent=self, captures=captures)


_current: ContextVar[Tracer | None] = ContextVar("agentrt_tracer", default=None)


def current_tracer() -> Tracer | None:
    """The graph under construction; None outside a trace."""
    return _current.get()


def tracer_for(name: str) -> Tracer:
    """The graph that a call of `name` adds to.

    Raises:
        DefinitionError: nothing is being traced, or only a prompt is.
    """
    tracer = _current.get()
    if tracer is None:
        raise DefinitionError(
            f"{name} can only be called inside a `@workflow`; to run it, wrap it in one and use "
            "`agentrt.run(workflow, ...)`"
        )
    if tracer.prompt_of is not None:
        raise TraceError(
            f"{name} is called inside the prompt of {tracer.prompt_of}: call it in the workflow and "
            "pass its value as an argument"
        )
    return tracer


@contextmanager
def tracing(tracer: Tracer) -> Generator[Tracer]:
    """Make `tracer` the one that calls add to."""
    token = _current.set(tracer)
    try:
        yield tracer
    finally:
        _current.reset(token)


def _leak_message(ref: Ref, tracer: Tracer) -> str:
    if tracer.prompt_of is not None:
        return (
            f"the prompt of {tracer.prompt_of} uses {describe(ref)}, which is not one of its "
            "parameters: pass it as an argument"
        )
    if ref.__tracer__.trace is tracer.trace:
        return (
            f"{describe(ref)} is a value of the inside of {ref.__tracer__.name!r} and cannot be "
            f"used outside it: return it from there"
        )
    return (
        f"{describe(ref)} is a value of another trace, of {ref.__tracer__.trace_name!r}; symbolic "
        "values cannot be kept: pass real values as arguments of the workflow"
    )
