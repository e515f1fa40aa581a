"""`LLMFunction` and `AgentFunction`: functions that return a `Prompt[T]` and are called as `T`s."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar, Unpack

from agentrt.dsl.functions import ToolFunction, use_tool
from agentrt.dsl.options import AgentOptions, LLMCallOptions, checked_options
from agentrt.dsl.prompt_body import PromptBody
from agentrt.dsl.ref import Ref
from agentrt.dsl.shots import Shots, make_shots
from agentrt.dsl.signature import Signature, checked_name, read_signature, shown_name
from agentrt.dsl.traceable import Traceable
from agentrt.dsl.tracer import Tracer
from agentrt.dsl.value_type import ValueType, type_name, value_type
from agentrt.errors import DefinitionError, PromptError
from agentrt.ir.examples import Example
from agentrt.ir.node import AgentNode, Layout, LLMNode, LLMOptions
from agentrt.ir.prompt import Prompt

P = ParamSpec("P")
R = TypeVar("R")


class _Prompting(Traceable[P, R]):
    """A function that returns a prompt."""

    def __init__(
        self,
        function: Callable[P, Prompt[R]],
        signature: Signature,
        options: LLMOptions,
        *,
        layout: Layout,
    ) -> None:
        super().__init__(signature)
        self.function = function
        self.llm_options = options
        self.layout: Layout = layout
        self.answer: ValueType[R] = value_type(_answer_annotation(signature))
        self.body = PromptBody(function, signature)

    @property
    def result(self) -> ValueType[R]:
        return self.answer

    def is_same(self, other: Any) -> bool:
        return type(other) is type(self) and other.function is self.function

    def _register(self, tracer: Tracer) -> None:
        tracer.register(self)
        tracer.trace.answers.setdefault(self.name, self.answer)


class LLMFunction(_Prompting[P, R]):
    """One call of a language model.

    Attributes:
        answer: The type of the answer.
        llm_options: How the call is made.
        layout: How far the prompt may be rewritten.
        shots: Examples that go before what the prompt says; None: there are none.
    """

    def __init__(
        self,
        function: Callable[P, Prompt[R]],
        signature: Signature,
        options: LLMOptions,
        *,
        layout: Layout = "S1",
        shots: Shots | None = None,
    ) -> None:
        super().__init__(function, signature, options, layout=layout)
        self.shots = shots

    def options(self, **options: Unpack[LLMCallOptions]) -> LLMFunction[P, R]:
        """A copy with some options changed.

        Raises:
            DefinitionError: an option is unknown or out of its range.
        """
        changed = checked_options(options, LLMCallOptions, self.name)
        name = checked_name(changed.pop("name", self.name))
        layout: Layout = changed.pop("layout", self.layout)
        signature = replace(self.signature, name=name)
        return LLMFunction(
            self.function,
            signature,
            replace(self.llm_options, **changed),
            layout=layout,
            shots=self.shots,
        )

    def emit(self, tracer: Tracer, arguments: Mapping[str, Any]) -> Ref:
        self._register(tracer)
        node_id = tracer.new_id(self.name)
        prompt = self.body.prompt(arguments, tracer, node_id)
        if self.shots is not None:
            prompt = self.shots.before(prompt, arguments, tracer)
        node = LLMNode(
            id=node_id,
            function=self.name,
            prompt=prompt,
            output=self.answer.schema,
            options=self.llm_options,
            layout=self.layout,
        )
        return tracer.add(node, self.answer.annotation)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLimits:
    """What ends an agent that does not end by itself; see `AgentNode`."""

    max_turns: int = 50
    timeout_s: float | None = None
    max_total_tokens: int | None = None


class AgentFunction(_Prompting[P, R]):
    """A language model with tools, in a loop.

    Attributes:
        answer: The type of the answer.
        tools: What the model may call, in the order it is shown them.
        limits: What ends the loop.
        llm_options: How each turn's call is made.
    """

    def __init__(
        self,
        function: Callable[P, Prompt[R]],
        signature: Signature,
        options: LLMOptions,
        *,
        tools: tuple[ToolFunction[..., Any], ...],
        limits: AgentLimits,
        layout: Layout = "S1",
    ) -> None:
        super().__init__(function, signature, options, layout=layout)
        self.tools = tools
        self.limits = limits

    @property
    def max_turns(self) -> int:
        return self.limits.max_turns

    @property
    def timeout_s(self) -> float | None:
        return self.limits.timeout_s

    @property
    def max_total_tokens(self) -> int | None:
        return self.limits.max_total_tokens

    def options(self, **options: Unpack[AgentOptions]) -> AgentFunction[P, R]:
        """A copy with some options changed.

        Raises:
            DefinitionError: an option is unknown or out of its range.
        """
        changed = checked_options(options, AgentOptions, self.name)
        name = checked_name(changed.pop("name", self.name))
        layout: Layout = changed.pop("layout", self.layout)
        limits, llm_options = _split(changed, self.limits, self.llm_options)
        signature = replace(self.signature, name=name)
        return AgentFunction(
            self.function, signature, llm_options, tools=self.tools, limits=limits, layout=layout
        )

    def emit(self, tracer: Tracer, arguments: Mapping[str, Any]) -> Ref:
        self._register(tracer)
        for each in self.tools:
            use_tool(each, tracer)
        node_id = tracer.new_id(self.name)
        node = AgentNode(
            id=node_id,
            function=self.name,
            prompt=self.body.prompt(arguments, tracer, node_id),
            output=self.answer.schema,
            tools=tuple(each.name for each in self.tools),
            max_turns=self.max_turns,
            timeout_s=self.timeout_s,
            max_total_tokens=self.max_total_tokens,
            options=self.llm_options,
            layout=self.layout,
        )
        return tracer.add(node, self.answer.annotation)


def make_llm(
    function: Callable[P, Prompt[R]],
    static: tuple[str, ...],
    options: Mapping[str, Any],
    *,
    examples: Sequence[Example] = (),
    active: str | None = None,
) -> LLMFunction[P, R]:
    """What `@llm` does.

    Raises:
        DefinitionError: the function or an option cannot be an LLM function's.
    """
    given = checked_options(options, LLMCallOptions, shown_name(function))
    layout: Layout = given.pop("layout", "S1")
    signature = _prompt_signature(function, given.pop("name", None), static)
    shots = make_shots(signature, examples, active)
    return LLMFunction(function, signature, LLMOptions(**given), layout=layout, shots=shots)


def make_agent(
    function: Callable[P, Prompt[R]],
    tools: Sequence[ToolFunction[..., Any]],
    static: tuple[str, ...],
    options: Mapping[str, Any],
) -> AgentFunction[P, R]:
    """What `@agent` does.

    Raises:
        DefinitionError: the function, a tool or an option cannot be an agent's.
    """
    given = checked_options(options, AgentOptions, shown_name(function))
    signature = _prompt_signature(function, given.pop("name", None), static)
    names: set[str] = set()
    if isinstance(tools, ToolFunction):
        raise DefinitionError(f"{signature.name}: tools is a list: write `tools=[{tools.name}]`")
    for each in tools:
        if not isinstance(each, ToolFunction):  # pyright: ignore[reportUnnecessaryIsInstance]  # authors without a type checker
            raise DefinitionError(f"{signature.name}: {each!r} is not a `@tool`")
        if each.name in names:
            raise DefinitionError(
                f"{signature.name}: two tools are called {each.name!r}; rename one with "
                "`.options(name=...)`"
            )
        names.add(each.name)
    layout: Layout = given.pop("layout", "S1")
    limits, llm_options = _split(given, AgentLimits(), LLMOptions())
    return AgentFunction(
        function, signature, llm_options, tools=tuple(tools), limits=limits, layout=layout
    )


def _split(
    options: dict[str, Any], limits: AgentLimits, llm_options: LLMOptions
) -> tuple[AgentLimits, LLMOptions]:
    """Options of an agent are its own, or its calls'."""
    rest = dict(options)
    own = {name: rest.pop(name) for name in AgentLimits.__slots__ if name in rest}
    if "call_timeout_s" in rest:
        rest["timeout_s"] = rest.pop("call_timeout_s")
    return replace(limits, **own), replace(llm_options, **rest)


def _prompt_signature(
    function: Callable[..., Any], name: str | None, static: tuple[str, ...]
) -> Signature:
    signature = read_signature(function, name=name, static=static)
    bare = inspect.unwrap(function)
    if inspect.iscoroutinefunction(bare) or inspect.isgeneratorfunction(bare):
        raise DefinitionError(
            f"{signature.name} must be a plain function: its body writes the prompt, the runtime "
            "makes the call"
        )
    value_type(_answer_annotation(signature)).schema  # noqa: B018  fails here rather than at run time
    return signature


def _answer_annotation(signature: Signature) -> Any:
    if typing.get_origin(signature.result) is not Prompt:
        raise PromptError(
            f"{signature.name} must be annotated to return a `Prompt[...]` of the answer's type, "
            f"not {type_name(signature.result)}"
        )
    return typing.get_args(signature.result)[0]
