"""`ToolFunction`: Python that a graph, or a model, may call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, Unpack, cast

from agentrt.dsl import tool_arguments
from agentrt.dsl.arguments import expression_of
from agentrt.dsl.options import ToolOptions, checked_options
from agentrt.dsl.ref import Ref
from agentrt.dsl.signature import Signature, checked_name, read_signature, refuse_prompt, shown_name
from agentrt.dsl.traceable import Traceable
from agentrt.dsl.tracer import Tracer, current_tracer
from agentrt.dsl.value_type import ValueType, value_type
from agentrt.errors import DefinitionError, SchemaError
from agentrt.ir.node import ToolNode
from agentrt.ir.schema import Schema
from agentrt.ir.tool import ToolSpec

P = ParamSpec("P")
R = TypeVar("R")


class ToolFunction(Traceable[P, R]):
    """A tool. Outside a workflow, calling it calls the function itself (an async one: awaitable).

    Attributes:
        function: What was decorated.
        is_async: Whether calling `function` gives a coroutine.
        spec: The tool, as data.
    """

    def __init__(
        self,
        function: Callable[P, R] | Callable[P, Coroutine[Any, Any, R]],
        signature: Signature,
        spec: ToolSpec,
    ) -> None:
        super().__init__(signature)
        self.function = function
        # What wraps it says so, or what is wrapped: either may be the async one of the two.
        self.is_async = any(map(inspect.iscoroutinefunction, (function, inspect.unwrap(function))))
        self.spec = spec
        self._result: ValueType[R] = value_type(signature.result)

    @property
    def result(self) -> ValueType[R]:
        return self._result

    @property
    def parameters(self) -> Mapping[str, ValueType[Any]]:
        return {name: each.type for name, each in self.signature.parameters.items()}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if current_tracer() is None:
            return cast("R", self.function(*args, **kwargs))
        return super().__call__(*args, **kwargs)

    def options(self, **options: Unpack[ToolOptions]) -> ToolFunction[P, R]:
        """A copy with some options changed.

        Raises:
            DefinitionError: an option is unknown or out of its range.
        """
        changed = checked_options(options, ToolOptions, self.name)
        spec = replace(self.spec, **changed)
        signature = replace(self.signature, name=checked_name(spec.name))
        return ToolFunction(self.function, signature, spec)

    def is_same(self, other: Any) -> bool:
        return (
            isinstance(other, ToolFunction)
            and cast("ToolFunction[..., Any]", other).function is self.function
            and cast("ToolFunction[..., Any]", other).spec == self.spec
        )

    def emit(self, tracer: Tracer, arguments: Mapping[str, Any]) -> Ref:
        use_tool(self, tracer)
        node_id = tracer.new_id(self.name)
        parameters = self.signature.parameters
        inputs = tuple(
            (
                name,
                expression_of(
                    value, parameters[name].type, tracer, (node_id, f"the argument {name!r}")
                ),
            )
            for name, value in arguments.items()
        )
        node = ToolNode(id=node_id, tool=self.name, inputs=inputs)
        return tracer.add(node, self._result.annotation)

    def parse_arguments(self, text: str) -> dict[str, Any]:
        """The Python keyword arguments in a model's JSON text; no text at all means none.

        Raises:
            SchemaError: saying what is wrong and what is expected, in words a model can act on.
        """
        return tool_arguments.parse_arguments(text, self.signature)

    def check_result(self, value: Any) -> R:
        """What the function returned, if it is what it declares.

        Raises:
            SchemaError: it is not.
        """
        try:
            return self._result.check(value)
        except SchemaError as error:
            raise SchemaError(
                f"{self.name} returned what its annotation forbids: {error}"
            ) from error


def make_tool(
    function: Callable[P, R] | Callable[P, Coroutine[Any, Any, R]], options: Mapping[str, Any]
) -> ToolFunction[P, R]:
    """What `@tool` does.

    Raises:
        DefinitionError: the function or an option cannot be a tool's.
    """
    given = checked_options(options, ToolOptions, shown_name(function))
    signature = read_signature(function, name=given.pop("name", None))
    refuse_prompt(signature)
    bare = inspect.unwrap(function)
    if inspect.isgeneratorfunction(bare) or inspect.isasyncgenfunction(bare):
        raise DefinitionError(f"{signature.name}: a generator cannot be a tool; return a list")
    spec = ToolSpec(
        name=signature.name,
        description=(inspect.getdoc(function) or "").split("\n\n", maxsplit=1)[0].strip(),
        parameters=_parameters_schema(signature),
        output=_schema(signature, "return", value_type(signature.result)),
        **given,
    )
    return ToolFunction(function, signature, spec)


def use_tool(tool: ToolFunction[..., Any], tracer: Tracer) -> None:
    """Note that the graph calls `tool`."""
    tracer.register(tool)
    tracer.trace.tools.setdefault(tool.name, tool)


def _parameters_schema(signature: Signature) -> Schema:
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        schema = dict(_schema(signature, parameter.name, parameter.type))
        for name, definition in schema.pop("$defs", {}).items():
            if definitions.setdefault(name, definition) != definition:
                raise SchemaError(f"{signature.name}: two different types are called {name!r}")
        if not parameter.is_required:
            schema["default"] = parameter.type.to_constant(parameter.default)
        properties[parameter.name] = schema
    required = [p.name for p in signature.parameters.values() if p.is_required]
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **({"$defs": definitions} if definitions else {}),
    }


def _schema(signature: Signature, part: str, type_: ValueType[Any]) -> Schema:
    try:
        return type_.schema
    except SchemaError as error:
        raise SchemaError(f"{signature.name}: {part!r}: {error}") from error
