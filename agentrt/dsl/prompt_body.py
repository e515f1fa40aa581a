"""The body of an LLM function: run once on symbolic parameters, then filled in for each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeGuard

from agentrt.dsl.arguments import expression_of
from agentrt.dsl.ref import Ref, project_expression
from agentrt.dsl.signature import Signature
from agentrt.dsl.template import template, text_parts, value_parts
from agentrt.dsl.tracer import Tracer, tracing
from agentrt.dsl.value_type import value_type
from agentrt.errors import DefinitionError, PromptError, TraceError
from agentrt.ir.expression import Const, Expression, Slot, Template, Text, Use, project
from agentrt.ir.prompt import Prompt, PromptTemplate, render_value
from agentrt.ir.schema import canonical_json
from agentrt.ir.stability import Stability


class PromptBody:
    """What the body leaves: templates over the parameters, kept for each set of static values."""

    def __init__(self, function: Callable[..., Any], signature: Signature) -> None:
        self._function = function
        self._signature = signature
        self._templates: dict[str, PromptTemplate] = {}

    def prompt(self, given: Mapping[str, Any], tracer: Tracer, node_id: str) -> PromptTemplate:
        """The prompt of one call: each use of a parameter is the caller's expression for it.

        Raises:
            DefinitionError: an argument does not fit, or the body does not give a usable prompt.
        """
        arguments: dict[str, Expression] = {}
        static: dict[str, Any] = {}
        for name, parameter in self._signature.parameters.items():
            value = given.get(name, parameter.default)
            place = (node_id, f"the argument {name!r}")
            expression = expression_of(value, parameter.type, tracer, place)
            if not parameter.is_static:
                arguments[name] = expression
            elif isinstance(expression, Const):
                static[name] = expression.value
            else:
                raise TraceError(f"{node_id}: {name!r} is static: it takes no symbolic value")
        body = self._body(static)
        return PromptTemplate(
            self._filled(body.user, arguments),
            None if body.system is None else self._filled(body.system, arguments),
            tuple(self._filled(block, arguments) for block in body.context),
        )

    def _body(self, static: Mapping[str, Any]) -> PromptTemplate:
        key = canonical_json(static)
        if key not in self._templates:
            self._templates[key] = self._run(static)
        return self._templates[key]

    def _run(self, static: Mapping[str, Any]) -> PromptTemplate:
        name = self._signature.name
        tracer = Tracer(name, prompt_of=name)
        arguments: dict[str, Any] = {
            each.name: each.type.from_json(static[each.name])
            if each.is_static
            else Ref(tracer, Use(each.name), each.type.annotation)
            for each in self._signature.parameters.values()
        }
        with tracing(tracer):
            try:
                prompt = self._function(**arguments)
            except DefinitionError as error:
                error.add_note(f"in the prompt of {name}")
                raise
            except Exception as error:
                raise PromptError(
                    f"{name}: its body raised {type(error).__name__}: {error}"
                ) from error
        if not _is_prompt(prompt):
            raise PromptError(f"{name} must return a Prompt, not {type(prompt).__name__}")
        return _template_of(prompt, tracer)

    def _filled(self, body: Template, arguments: Mapping[str, Expression]) -> Template:
        return template(self._parts(body, arguments))

    def _parts(self, body: Template, arguments: Mapping[str, Expression]) -> Iterator[Text | Slot]:
        for part in body.parts:
            if not isinstance(part, Slot):
                yield part
            elif part.stability is not None:
                yield self._marked(part, part.stability, arguments)
            elif isinstance(part.expression, Use):
                yield from self._argument_parts(part.expression, arguments)
            else:
                yield part

    def _marked(
        self, slot: Slot, stability: Stability, arguments: Mapping[str, Expression]
    ) -> Text | Slot:
        """What the author has marked stays one piece."""
        filled = template(self._parts(Template((Slot(slot.expression),)), arguments))
        if isinstance(slot.expression, Template):
            filled = self._filled(slot.expression, arguments)
        if len(filled.parts) == 1 and isinstance(filled.parts[0], Slot):
            return replace(filled.parts[0], stability=stability)
        return Slot(filled, stability)

    def _argument_parts(self, use: Use, arguments: Mapping[str, Expression]) -> list[Text | Slot]:
        expression = arguments[use.node]
        annotation = self._signature.parameters[use.node].type.annotation
        if isinstance(expression, Const):  # rendered as the part of the Python value it is
            value = value_type(annotation).from_json(expression.value)
            try:
                return [Text(render_value(project(value, use.path)))]
            except (LookupError, AttributeError, TypeError) as error:
                path = "".join(f"[{step!r}]" for step in use.path)
                raise TraceError(
                    f"{self._signature.name}: the constant given for {use.node!r} has no part {path}"
                ) from error
        return value_parts(project_expression(expression, use.path), Any)


def _is_prompt(value: object) -> TypeGuard[Prompt[Any]]:
    return isinstance(value, Prompt)


def _template_of(prompt: Prompt[Any], tracer: Tracer) -> PromptTemplate:
    context: Any = prompt.context
    # A parameter that is a list of blocks cannot be iterated: it is one block.
    try:
        blocks = [context] if isinstance(context, (Ref, str)) else list(context)
    except TypeError as error:
        raise PromptError(
            f"{tracer.name}: the context of its Prompt must be a list of text,"
            f" not {type(context).__name__}"
        ) from error
    return PromptTemplate(
        _text_template(prompt.user, "user", tracer),
        None if prompt.system is None else _text_template(prompt.system, "system", tracer),
        tuple(_text_template(block, "context", tracer) for block in blocks),
    )


def _text_template(text: Any, part: str, tracer: Tracer) -> Template:
    if isinstance(text, Ref):
        return template(value_parts(tracer.resolve(text), text.__annotation__))
    if not isinstance(text, str):
        raise PromptError(
            f"{tracer.name}: the {part} of its Prompt must be text, not {type(text).__name__}"
        )
    return template(text_parts(text, tracer))
