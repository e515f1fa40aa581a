"""The signature of a decorated function: its parameters' types, read once, and binding to it."""

from __future__ import annotations

import copy
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Final

from agentrt.dsl.value_type import ValueType, type_name, value_type
from agentrt.errors import AgentRTError, DefinitionError, SchemaError
from agentrt.ir.prompt import Prompt

NO_DEFAULT: Final = inspect.Parameter.empty
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `is_static`: it takes real values while tracing, never symbolic ones."""

    name: str
    type: ValueType[Any]
    default: Any
    is_static: bool

    @property
    def is_required(self) -> bool:
        return self.default is NO_DEFAULT

    def own_default(self) -> Any:
        """The default, to keep: what a run or a trace changes in it is not there for the next."""
        return copy.deepcopy(self.default)

    def __str__(self) -> str:
        shown = f"{self.name}: {self.type.name}"
        return shown if self.is_required else f"{shown} = {self.default!r}"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and returns.

    Attributes:
        name: The function's.
        parameters: In the author's order.
        positional: The names that may be given by position.
        result: The return annotation.
    """

    name: str
    parameters: Mapping[str, Parameter]
    positional: tuple[str, ...]
    result: Any

    def __str__(self) -> str:
        shown = ", ".join(str(parameter) for parameter in self.parameters.values())
        return f"{self.name}({shown})"

    def bind(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        error: type[AgentRTError],
    ) -> dict[str, Any]:
        """The arguments by name, in the order of the signature; those left to defaults left out.

        Raises:
            AgentRTError: of class `error`; an argument is missing, unknown, or given twice.
        """
        if not kwargs and len(args) == len(self.parameters) == len(self.positional):
            return dict(zip(self.positional, args, strict=True))
        if len(args) > len(self.positional):
            raise error(
                f"{self} takes {len(self.positional)} arguments by position, got {len(args)}"
            )
        given = dict(zip(self.positional, args, strict=False))
        for name, value in kwargs.items():
            if name not in self.parameters:
                raise error(f"{self} has no parameter {name!r}")
            if name in given:
                raise error(f"{self} got the argument {name!r} twice")
            given[name] = value
        missing = [
            p.name for p in self.parameters.values() if p.is_required and p.name not in given
        ]
        if missing:
            listed = ", ".join(repr(name) for name in missing)
            raise error(f"{self} misses the argument{'s' * (len(missing) > 1)} {listed}")
        return {name: given[name] for name in self.parameters if name in given}


def read_signature(
    function: Callable[..., Any], *, name: str | None = None, static: tuple[str, ...] = ()
) -> Signature:
    """The signature of `function`, with its annotations resolved.

    Raises:
        DefinitionError: naming the parameter without a (usable) annotation; or it is no function.
    """
    given: Any = function  # authors without a type checker
    # What wraps a function (a cache, a static method) is as good as one.
    if not callable(given) or not inspect.isroutine(inspect.unwrap(given)):
        raise DefinitionError(
            f"{function!r} is no plain function: decorate a `def`, and only once; for a method, a "
            "class or a `partial`, a `def` that calls it"
        )
    name = checked_name(name if name is not None else shown_name(function))
    hints = _resolved_hints(function, name)
    parameters: dict[str, Parameter] = {}
    positional: list[str] = []
    for parameter in _parameters(function, name):
        _refuse_kind(parameter, name)
        if parameter.name not in hints:
            raise _no_annotation(parameter, name, is_first=not parameters)
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            positional.append(parameter.name)
        parameters[parameter.name] = Parameter(
            parameter.name,
            value_type(hints[parameter.name]),
            _checked_default(parameter, hints[parameter.name], name),
            parameter.name in static,
        )
    if "return" not in hints:
        raise DefinitionError(f"{name} has no return annotation; write `-> <type>`")
    unknown = [repr(each) for each in static if each not in parameters]
    if unknown:
        raise DefinitionError(f"{name}: static={', '.join(unknown)} is no parameter of it")
    return Signature(name, parameters, tuple(positional), hints["return"])


def shown_name(function: Any) -> str:
    """How messages name what was decorated, whatever it is."""
    return str(getattr(function, "__name__", "?"))


def names_of(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name, or several: a text alone is a sequence, too, but nobody means its letters."""
    return (names,) if isinstance(names, str) else tuple(names)


def refuse_prompt(signature: Signature) -> None:
    """For what runs or calls, and does not write prompts.

    Raises:
        DefinitionError: it is annotated to return a prompt.
    """
    if (typing.get_origin(signature.result) or signature.result) is Prompt:
        raise DefinitionError(
            f"{signature.name} returns a Prompt, which is for a model: decorate it with `@llm`, or with "
            "`@agent` if the model may call tools"
        )


def checked_name(name: str) -> str:
    """`name`, if it can be a node's.

    Raises:
        DefinitionError: it cannot.
    """
    given: Any = name  # authors without a type checker
    if not isinstance(given, str) or not is_name(given):
        raise DefinitionError(
            f"{name!r} cannot be a name in a graph: letters, digits, _ and - only, not starting "
            "with a digit; give one with `name=`"
        )
    return name


def is_name(text: str) -> bool:
    """Whether it can be a node's name, alone."""
    return _NAME.match(text) is not None


def _parameters(function: Callable[..., Any], name: str) -> Iterable[inspect.Parameter]:
    try:
        return inspect.signature(function).parameters.values()
    except ValueError as error:
        raise DefinitionError(
            f"{name}: Python does not say what it takes: decorate a `def` that calls it"
        ) from error


def _no_annotation(parameter: inspect.Parameter, name: str, *, is_first: bool) -> DefinitionError:
    if is_first and parameter.name in ("self", "cls"):
        return DefinitionError(
            f"{name} is a method, and a graph has nothing to call it on: take the decorator off, and "
            f"give it the method of an object, `tool(thing.{name})`; or decorate a function"
        )
    return DefinitionError(
        f"{name}: the parameter {parameter.name!r} has no annotation; write "
        f"`{parameter.name}: <type>`"
    )


def _refuse_kind(parameter: inspect.Parameter, name: str) -> None:
    match parameter.kind:
        case inspect.Parameter.VAR_POSITIONAL | inspect.Parameter.VAR_KEYWORD:
            raise DefinitionError(
                f"{name}: {str(parameter).split(':', maxsplit=1)[0]} cannot be a node's input; name each parameter"
            )
        case inspect.Parameter.POSITIONAL_ONLY:
            raise DefinitionError(
                f"{name}: {parameter.name!r} is positional-only; inputs go by name: leave the `/` out"
            )
        case _:
            return


def _checked_default(parameter: inspect.Parameter, annotation: Any, name: str) -> Any:
    if parameter.default is inspect.Parameter.empty:
        return NO_DEFAULT
    try:
        return value_type(annotation).check(parameter.default)
    except SchemaError as error:
        way_out = f"; write `{type_name(annotation)} | None`" if parameter.default is None else ""
        raise DefinitionError(
            f"{name}: the default of {parameter.name!r} does not fit: {error}{way_out}"
        ) from error


def _resolved_hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(
            function, localns=_visible_names(function), include_extras=True
        )
    except NameError as error:
        raise DefinitionError(
            f"{name}: an annotation cannot be resolved: {error}. Define or import the name before "
            "the function, outside `if TYPE_CHECKING`"
        ) from error
    except TypeError as error:
        raise DefinitionError(f"{name}: an annotation is not a type: {error}") from error


def _visible_names(function: Callable[..., Any]) -> dict[str, Any]:
    """What annotations written as text may name besides globals: the scopes being defined in."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("agentrt.dsl"):
        frame = frame.f_back
    inner = inspect.unwrap(function)
    code: CodeType | None = getattr(inner, "__code__", None)
    names: dict[str, Any] = {}
    if frame is not None and frame.f_code.co_name != "<module>":
        names.update(frame.f_locals)  # where it is decorated
    for scope in reversed(list(_scopes_around(code, frame))):
        names.update(scope)
    for free, cell in zip(
        getattr(code, "co_freevars", ()), getattr(inner, "__closure__", None) or (), strict=False
    ):
        try:
            names[free] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return names


def _scopes_around(code: CodeType | None, frame: FrameType | None) -> Iterator[Mapping[str, Any]]:
    """The names in the functions that `code` is written in, as far as they still run; inner first."""
    while code is not None and frame is not None:
        if frame.f_code.co_name != "<module>" and code in frame.f_code.co_consts:
            code = frame.f_code
            yield frame.f_locals
        frame = frame.f_back
