"""`Workflow`: a function that is run once, on symbolic values, to leave a graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, ParamSpec, TypeVar

from pydantic import ValidationError

from agentrt.dsl.arguments import expression_of
from agentrt.dsl.binding import Bindings, Traced
from agentrt.dsl.location import say_where
from agentrt.dsl.marks import has_marks, readable
from agentrt.dsl.ref import WAY_OUT, Ref, describe
from agentrt.dsl.signature import Signature, checked_name, read_signature, refuse_prompt
from agentrt.dsl.traceable import Traceable
from agentrt.dsl.tracer import Tracer, current_tracer, tracing
from agentrt.dsl.value_type import ValueType, value_type
from agentrt.errors import DefinitionError, InputError, SchemaError, TraceError
from agentrt.ir.expression import Const
from agentrt.ir.graph import Graph
from agentrt.ir.schema import Json, canonical_json

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Bound(Generic[R_co]):
    """A workflow with its input: all that a run needs.

    Attributes:
        arguments: A Python value for each `InputNode` of the graph, defaults included.
        static: The values of the static parameters, which the graph was traced with.
    """

    workflow: Workflow[..., R_co]
    traced: Traced
    arguments: Mapping[str, Any]
    static: Mapping[str, Any]

    def input_json(self) -> dict[str, Json]:
        """All arguments, the static ones too, as `Workflow.bind_json` takes them back."""
        given = {**self.arguments, **self.static}
        parameters = self.workflow.signature.parameters
        return {name: each.type.to_json(given[name]) for name, each in parameters.items()}


class Workflow(Traceable[P, R_co]):
    """A workflow. Calling it inside another one makes its nodes part of that one's graph."""

    def __init__(self, function: Callable[P, R_co], signature: Signature) -> None:
        super().__init__(signature)
        self.function = function
        self._result: ValueType[R_co] = value_type(signature.result)
        self._traced: dict[str, Traced] = {}

    @property
    def result(self) -> ValueType[R_co]:
        return self._result

    def options(self, *, name: str) -> Workflow[P, R_co]:
        """A copy under another name."""
        return Workflow(self.function, replace(self.signature, name=checked_name(name)))

    def is_same(self, other: Any) -> bool:
        return isinstance(other, Workflow) and other.function is self.function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        if current_tracer() is None:
            raise DefinitionError(
                f"{self.name} is a workflow: use agentrt.run({self.name}, ...) to run it"
            )
        return super().__call__(*args, **kwargs)

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> Bound[R_co]:
        """The workflow with its input, checked.

        Raises:
            InputError: an argument is missing, unknown, or of the wrong type.
            DefinitionError: the workflow cannot be traced.
        """
        return self._bound(self.signature.bind(args, kwargs, InputError), ValueType[Any].check)

    def bind_json(self, data: Mapping[str, Json]) -> Bound[R_co]:
        """As `bind`, from JSON data: of the command line, or of a stored run.

        Raises:
            InputError: an argument is missing, unknown, or of the wrong type.
            DefinitionError: the workflow cannot be traced.
        """
        return self._bound(self.signature.bind((), data, InputError), ValueType[Any].from_json)

    def _bound(
        self, given: Mapping[str, Any], read: Callable[[ValueType[Any], Any], Any]
    ) -> Bound[R_co]:
        values: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            try:
                values[name] = (
                    read(parameter.type, given[name]) if name in given else parameter.own_default()
                )
            except SchemaError as error:
                raise InputError(f"{self.name}: the argument {name!r}: {error}") from error
        static = {n: v for n, v in values.items() if self.signature.parameters[n].is_static}
        arguments = {name: value for name, value in values.items() if name not in static}
        traced = self.trace(static)
        return Bound(workflow=self, traced=traced, arguments=arguments, static=static)

    def trace(self, static: Mapping[str, Any] | None = None) -> Traced:
        """The graph, linted; traced once for each set of static values.

        Raises:
            DefinitionError: the workflow is wrong; the message names the node and the way out.
        """
        values = self._static_values(static or {})
        types = self.signature.parameters
        key = canonical_json({name: types[name].type.to_constant(v) for name, v in values.items()})
        if key not in self._traced:
            try:
                self._traced[key] = self._trace_in_depth(values)
            except DefinitionError as error:
                say_where(error, self.function)
                raise
        return self._traced[key]

    def _trace_in_depth(self, static: Mapping[str, Any]) -> Traced:
        try:
            return self._trace(static)
        except RecursionError as error:
            raise DefinitionError(
                f"{self.name} goes deeper than Python can follow: a function in it calls itself without "
                "end, or its regions, workflows or lists are nested hundreds deep; for repetition use "
                "`loop(...)` or `.map(...)`"
            ) from error

    def _static_values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        parameters = {p.name: p for p in self.signature.parameters.values() if p.is_static}
        unknown = [name for name in given if name not in parameters]
        missing = [n for n, p in parameters.items() if p.is_required and n not in given]
        if unknown or missing:
            raise InputError(
                f"{self.signature}: static parameters "
                + "; ".join(
                    f"{problem}: {', '.join(names)}"
                    for problem, names in (("unknown", unknown), ("missing", missing))
                    if names
                )
            )
        try:
            return {
                name: each.type.check(given[name]) if name in given else each.own_default()
                for name, each in parameters.items()
            }
        except SchemaError as error:
            raise InputError(f"{self.name}: a static argument: {error}") from error

    def _trace(self, static: Mapping[str, Any]) -> Traced:
        tracer = Tracer(self.name)
        tracer.trace.inlining.append(self)
        arguments: dict[str, Any] = {}
        for parameter in self.signature.parameters.values():
            if parameter.is_static:
                arguments[parameter.name] = static[parameter.name]
                continue
            default = (
                None if parameter.is_required else parameter.type.to_constant(parameter.default)
            )
            arguments[parameter.name] = tracer.add_input(
                parameter.name,
                parameter.type.annotation,
                is_required=parameter.is_required,
                default=default,
            )
        with tracing(tracer):
            returned = self._returned(arguments)
            output = expression_of(returned, self._result, tracer, (self.name, "the return value"))
        built = tracer.graph(output)
        tools = tracer.trace.tools
        graph = Graph(
            built.name, built.nodes, built.output, {name: tools[name].spec for name in tools}
        )
        graph.lint()
        bindings = Bindings(
            tools=tools,
            answers=tracer.trace.answers,
            inputs={p.name: p.type for p in self.signature.parameters.values() if not p.is_static},
            output=self._result,
        )
        return Traced(graph=graph, bindings=bindings)

    def emit(self, tracer: Tracer, arguments: Mapping[str, Any]) -> Any:
        """Inline the workflow: its nodes become `name.…`."""
        with tracer.inlined(self.name):
            return self.emit_alone(tracer, arguments)

    def emit_alone(self, tracer: Tracer, arguments: Mapping[str, Any]) -> Any:
        """Its nodes keep their names. Constants stay symbolic, as they are when it is traced alone."""
        tracer.register(self)
        if self in tracer.trace.inlining:
            raise DefinitionError(f"{self.name} calls itself; for repetition use `loop(...)`")
        inner: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            value = arguments.get(name, parameter.default)
            place = (self.name, f"the argument {name!r}")
            expression = expression_of(value, parameter.type, tracer, place)
            if not parameter.is_static:
                inner[name] = Ref(tracer, expression, parameter.type.annotation)
            elif isinstance(expression, Const):
                inner[name] = parameter.type.from_json(expression.value)
            else:
                raise TraceError(f"{self.name}: {name!r} is static: it takes no symbolic value")
        tracer.trace.inlining.append(self)
        try:
            returned = self._returned(inner)
            place = (self.name, "the return value")
            output = expression_of(returned, self._result, tracer, place)
            return Ref(tracer, output, self._result.annotation)
        finally:
            tracer.trace.inlining.pop()

    def _returned(self, arguments: Mapping[str, Any]) -> Any:
        try:
            return self.function(**arguments)  # type: ignore[call-arg]  # by name, as bound
        except DefinitionError as error:
            error.add_note(f"in the workflow {self.name}")
            raise
        except Exception as error:
            explained = _explained(error)
            if explained is None:
                raise
            raise TraceError(f"{self.name}: {explained}") from error


def _explained(error: Exception) -> str | None:
    """What an exception of the author's code means, if a symbolic value is the reason for it."""
    if isinstance(error, ValidationError):
        details = error.errors(include_url=False, include_context=False)
        for given in (detail["input"] for detail in details):
            if isinstance(given, Ref) or (isinstance(given, str) and has_marks(given)):
                shown = describe(given) if isinstance(given, Ref) else repr(readable(given))
                return (
                    f"a {error.title} cannot be built from {shown}, which is known only when the "
                    "workflow runs: build it in a `@tool` that takes it as argument"
                )
        return None
    text = str(error)
    if has_marks(text):
        said = f"{type(error).__name__}: {readable(text)}"
        return (
            f"Python says: {said}. A symbolic value was formatted into a text, and what it says is "
            f"known only when the workflow runs: {WAY_OUT}"
        )
    if isinstance(error, TypeError) and "Ref" in text:
        return (
            f"Python says: {error}. A Ref is a symbolic value, known only when the "
            f"workflow runs: {WAY_OUT}"
        )
    return None


def make_workflow(
    function: Callable[P, R_co], static: tuple[str, ...], name: str | None
) -> Workflow[P, R_co]:
    """What `@workflow` does.

    Raises:
        DefinitionError: the function cannot be a workflow.
    """
    signature = read_signature(function, name=name, static=static)
    refuse_prompt(signature)
    bare = inspect.unwrap(function)
    if inspect.iscoroutinefunction(bare):
        raise DefinitionError(
            f"{signature.name}: a workflow is a plain `def` without `await`: it is traced, and what "
            "it calls runs concurrently by itself"
        )
    if inspect.isgeneratorfunction(bare) or inspect.isasyncgenfunction(bare):
        raise DefinitionError(f"{signature.name}: a generator cannot be a workflow")
    return Workflow(function, signature)
