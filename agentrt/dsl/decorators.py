"""`@tool`, `@llm`, `@agent`, `@workflow`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, overload

from agentrt.dsl.functions import ToolFunction, make_tool
from agentrt.dsl.llm_functions import AgentFunction, LLMFunction, make_agent, make_llm
from agentrt.dsl.options import AgentOptions, LLMCallOptions, ToolOptions
from agentrt.dsl.signature import names_of
from agentrt.dsl.workflow import Workflow, make_workflow
from agentrt.ir.examples import Example
from agentrt.ir.prompt import Prompt

P = ParamSpec("P")
R = TypeVar("R")


class _ToolDecorator(Protocol):
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> ToolFunction[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> ToolFunction[P, R]: ...


class _LLMDecorator(Protocol):
    def __call__(self, function: Callable[P, Prompt[R]], /) -> LLMFunction[P, R]: ...


class _AgentDecorator(Protocol):
    def __call__(self, function: Callable[P, Prompt[R]], /) -> AgentFunction[P, R]: ...


class _WorkflowDecorator(Protocol):
    def __call__(self, function: Callable[P, R], /) -> Workflow[P, R]: ...


@overload
def tool(function: Callable[P, Coroutine[Any, Any, R]], /) -> ToolFunction[P, R]: ...
@overload
def tool(function: Callable[P, R], /) -> ToolFunction[P, R]: ...
@overload
def tool(**options: Unpack[ToolOptions]) -> _ToolDecorator: ...
def tool(function: Any = None, /, **options: Unpack[ToolOptions]) -> Any:
    """Make a function, sync or async, a tool.

    Its effects are `write` unless said otherwise: a tool wrongly taken for harmless is repeated
    after a crash and run twice, one wrongly taken for harmful is only slower and asks.

    Raises:
        DefinitionError: a parameter lacks an annotation, or an option is out of its range.
    """
    if function is not None:
        return make_tool(function, options)

    def decorate(decorated: Callable[..., Any]) -> Any:
        return make_tool(decorated, options)

    return decorate


@overload
def llm(function: Callable[P, Prompt[R]], /) -> LLMFunction[P, R]: ...
@overload
def llm(
    *,
    static: Sequence[str] = ...,
    examples: Sequence[Example] = ...,
    active: str | None = ...,
    **options: Unpack[LLMCallOptions],
) -> _LLMDecorator: ...
def llm(
    function: Any = None,
    /,
    *,
    static: Sequence[str] = (),
    examples: Sequence[Example] = (),
    active: str | None = None,
    **options: Unpack[LLMCallOptions],
) -> Any:
    """Make a function that returns a `Prompt[T]` a call of a language model that gives a `T`.

    Its body runs once, on symbolic values; those of the `static` parameters are real. `examples` go
    before what the prompt says, in one order for all calls; `active` names the parameter (a list of
    labels) that says which of them do: those of the clusters that have one of its labels.

    Raises:
        DefinitionError: an annotation is missing or wrong, or an option is out of its range.
    """
    if function is not None:
        return make_llm(function, names_of(static), options, examples=examples, active=active)

    def decorate(decorated: Callable[..., Any]) -> Any:
        return make_llm(decorated, names_of(static), options, examples=examples, active=active)

    return decorate


@overload
def agent(function: Callable[P, Prompt[R]], /) -> AgentFunction[P, R]: ...
@overload
def agent(
    *,
    tools: Sequence[ToolFunction[..., Any]] = ...,
    static: Sequence[str] = ...,
    **options: Unpack[AgentOptions],
) -> _AgentDecorator: ...
def agent(
    function: Any = None,
    /,
    *,
    tools: Sequence[ToolFunction[..., Any]] = (),
    static: Sequence[str] = (),
    **options: Unpack[AgentOptions],
) -> Any:
    """As `llm`, with tools that the model may call, turn after turn, until it answers.

    Raises:
        DefinitionError: an annotation is missing or wrong, or an option is out of its range.
    """
    if function is not None:
        return make_agent(function, tools, names_of(static), options)

    def decorate(decorated: Callable[..., Any]) -> Any:
        return make_agent(decorated, tools, names_of(static), options)

    return decorate


@overload
def workflow(function: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(*, static: Sequence[str] = ..., name: str | None = ...) -> _WorkflowDecorator: ...
def workflow(
    function: Any = None, /, *, static: Sequence[str] = (), name: str | None = None
) -> Any:
    """Make a function a workflow: it runs once, on symbolic values, and leaves a graph.

    Raises:
        DefinitionError: an annotation is missing, or the function is async or a generator.
    """
    if function is not None:
        return make_workflow(function, names_of(static), name)

    def decorate(decorated: Callable[..., Any]) -> Any:
        return make_workflow(decorated, names_of(static), name)

    return decorate
