"""`examples=` on an `@llm`: few-shot text that prefix caches can keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentrt.dsl.arguments import expression_of
from agentrt.dsl.functions import ToolFunction, make_tool
from agentrt.dsl.signature import Signature
from agentrt.dsl.tracer import Tracer
from agentrt.dsl.value_type import value_type
from agentrt.errors import DefinitionError
from agentrt.ir.examples import Example, ExampleBank, example_bank
from agentrt.ir.expression import Const, Slot, Template, Text
from agentrt.ir.prompt import PromptTemplate

_LABELS = value_type(list[str])


class Shots:
    """The examples of one LLM function, and what says which of them a call shows.

    Labels that are known when a workflow is traced leave text. Others are looked up when it runs, by
    a tool without effects that becomes a node of the graph; its text counts as stable as a
    workflow's constants, since few different sets of labels give few different texts.
    """

    def __init__(self, signature: Signature, bank: ExampleBank, active: str | None) -> None:
        self.bank = bank
        self.active = active
        # What a call that does not give them goes by; where there is none, every call gives them.
        self._default = None if active is None else signature.parameters[active].default
        self._select: ToolFunction[..., Any] = make_tool(
            _selection(bank), {"name": f"{signature.name}_examples", "effects": "none"}
        )

    def before(
        self, prompt: PromptTemplate, arguments: Mapping[str, Any], tracer: Tracer
    ) -> PromptTemplate:
        """`prompt` with the examples in front of its context."""
        part = self._part(arguments, tracer)
        if isinstance(part, Text) and not part.text:
            return prompt
        return replace(prompt, context=(Template((part,)), *prompt.context))

    def _part(self, arguments: Mapping[str, Any], tracer: Tracer) -> Text | Slot:
        if self.active is None:
            return Text(self.bank.text())
        labels = arguments.get(self.active, self._default)
        place = (tracer.name, f"the argument {self.active!r}")
        expression = expression_of(labels, _LABELS, tracer, place)
        if isinstance(expression, Const):
            return Text(self.bank.text(expression.value))
        selected = self._select.emit(tracer, {"labels": labels})
        return Slot(tracer.resolve(selected), "workflow")


def make_shots(
    signature: Signature, examples: Sequence[Example], active: str | None
) -> Shots | None:
    """None if there are no examples.

    Raises:
        DefinitionError: `active` is no parameter that takes labels.
    """
    if active is not None:
        parameter = signature.parameters.get(active)
        if parameter is None or parameter.type.annotation != list[str]:
            raise DefinitionError(
                f"{signature.name}: active={active!r} must name a parameter that is a list[str]"
            )
    if not examples:
        return None
    return Shots(signature, example_bank(examples), active)


def _selection(bank: ExampleBank) -> Callable[[list[str]], str]:
    def select(labels: list[str]) -> str:
        """The examples for these labels."""
        return bank.text(labels)

    return select
