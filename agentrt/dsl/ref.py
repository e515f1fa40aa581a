"""`Ref`: a value that a workflow will have when it runs, as the author sees it while it is traced.

What cannot be caught: identity (`ref is None`), `isinstance(ref, str)`, and questions about a text that
it was formatted into (`f"{ref}" == "yes"`), which see the mark. Where C code wants a real `str`
(`", ".join([ref])`), Python raises its own `TypeError`, which the workflow explains. Everything else that
needs the real value raises a `TraceError` that names the value and the way out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from agentrt.dsl.projection import item_annotation, member_annotation
from agentrt.dsl.value_type import type_name
from agentrt.errors import TraceError
from agentrt.ir.expression import Const, Expression, Fields, Items, Step, Use, project

if TYPE_CHECKING:
    from agentrt.dsl.tracer import Tracer

WAY_OUT: Final = "use `.map(...)`, `branch(...)` or `loop(...)`, or put the logic in a `@tool`"


class Ref:
    """A symbolic value: where it comes from, and its Python type.

    The slots have dunder names so that any field of the author's models can be projected.
    """

    __slots__ = ("__annotation__", "__expression__", "__tracer__")

    __tracer__: Tracer
    __expression__: Expression
    __annotation__: Any

    def __init__(self, tracer: Tracer, expression: Expression, annotation: Any) -> None:
        set_slot = object.__setattr__
        set_slot(self, "__tracer__", tracer)
        set_slot(self, "__expression__", expression)
        set_slot(self, "__annotation__", annotation)

    # --- text ---

    def __str__(self) -> str:
        return self.__tracer__.mark(self)

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        if spec:
            raise _refusal(self, f"formatted with {':' + spec!r}", "format it in a `@tool`")
        return self.__tracer__.mark(self)

    # --- projection ---

    def __getattr__(self, name: str) -> Ref:
        if name.startswith("_"):  # what Python asks for to know what it can do with a value
            raise AttributeError(
                name
                if name.startswith("__")
                else f"{describe(self)} is known only when the workflow runs, and what is private of it "
                f"({name!r}) not even then: put the logic in a `@tool`"
            )
        annotation = member_annotation(self.__annotation__, name, label(self))
        return _projected(self, name, annotation)

    def __getitem__(self, key: Any) -> Ref:
        if isinstance(key, Ref):
            raise _refusal(self, f"indexed with {label(key)}, which is symbolic too")
        if isinstance(key, slice):
            raise _refusal(self, "sliced")
        annotation = item_annotation(self.__annotation__, key, label(self))
        return _projected(self, key, annotation)

    # --- copies are the value itself ---

    def __copy__(self) -> Ref:
        return self

    def __deepcopy__(self, memo: Any) -> Ref:
        return self

    # --- everything that would need the value ---

    def __setattr__(self, name: str, value: Any) -> None:
        raise _refusal(self, f"changed (attribute {name!r})")

    def __delattr__(self, name: str) -> None:
        raise _refusal(self, f"changed (attribute {name!r})")

    def __bool__(self) -> NoReturn:
        raise _refusal(self, "used as a condition (`if`, `and`, `not`, `while`)")

    def __iter__(self) -> NoReturn:
        raise _refusal(self, "iterated over (`for`, `*`, unpacking)")

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise _refusal(self, "called")


def _refuses(what: str, way_out: str = WAY_OUT) -> Callable[..., NoReturn]:
    def method(self: Ref, *_: Any, **__: Any) -> NoReturn:
        raise _refusal(self, what, way_out)

    return method


_REFUSED: Mapping[str, tuple[str, ...]] = {
    "compared (`==`, `<`, `in`)": ("eq", "ne", "lt", "le", "gt", "ge"),
    "searched with `in`": ("contains",),
    "used as a dict key or in a set": ("hash",),
    "measured with `len`": ("len", "length_hint"),
    "iterated over": ("next", "reversed"),
    "changed in place": ("setitem", "delitem"),
    "made a number": ("int", "float", "complex", "index", "round", "trunc", "floor", "ceil"),
    "made bytes or a path": ("bytes", "fspath"),
    "used in arithmetic": (
        *("neg", "pos", "abs", "invert"),
        *(
            reflected + name
            for name in (
                *("sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow"),
                *("lshift", "rshift", "and", "or", "xor"),
            )
            for reflected in ("", "r")
        ),
    ),
    "used in `with`": ("enter", "exit", "aenter", "aexit"),
    "awaited (a workflow awaits nothing: leave the `await` out)": ("await", "aiter", "anext"),
}

for _what, _names in _REFUSED.items():
    for _name in _names:
        setattr(Ref, f"__{_name}__", _refuses(_what))
for _name in ("add", "radd", "iadd"):
    _way = 'for text write an f-string (`f"{a}{b}"`); for anything else put it in a `@tool`'
    setattr(Ref, f"__{_name}__", _refuses("added with `+`", _way))


def label(ref: Ref) -> str:
    """How messages name the value: `plan.queries[0]`."""
    expression = ref.__expression__
    match expression:
        case Use(node, path):
            steps = (f"[{s!r}]" if not str(s).isidentifier() else f".{s}" for s in path)
            return node + "".join(steps)
        case Const(value):
            shown = repr(value)
            return shown if len(shown) <= 40 else shown[:37] + "..."  # noqa: PLR2004  a line's worth
        case _:
            return "a value put together in the workflow"


def describe(ref: Ref) -> str:
    """`plan.queries (list[str])`."""
    return f"{label(ref)} ({type_name(ref.__annotation__)})"


def _refusal(ref: Ref, what: str, way_out: str = WAY_OUT) -> TraceError:
    return TraceError(
        f"{describe(ref)} is known only when the workflow runs, so it cannot be {what} while the "
        f"workflow is traced: {way_out}"
    )


def _projected(ref: Ref, step: Step, annotation: Any) -> Ref:
    expression = project_expression(ref.__expression__, (step,))
    return Ref(ref.__tracer__, expression, annotation)


def project_expression(expression: Expression, path: tuple[Step, ...]) -> Expression:
    """The part of what `expression` stands for that `path` leads to.

    Raises:
        TraceError: a constant or a container written out in the workflow has no such part.
    """
    if not path:
        return expression
    step, rest = path[0], path[1:]
    try:
        match expression:
            case Use(node, before):
                return Use(node, before + path)
            case Const(value):
                return Const(project(value, path))
            case Items(items) if isinstance(step, int):
                return project_expression(items[step], rest)
            case Fields(fields):
                return project_expression(dict(fields)[str(step)], rest)
            case _:
                pass
    except (LookupError, TypeError, AttributeError):
        pass
    raise TraceError(f"there is no part {step!r} in a value put together in the workflow")
