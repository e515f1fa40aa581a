"""The nodes of a graph: a closed set, matched exhaustively.

A region (`MapNode`, `BranchNode`, `LoopNode`, `AgentNode`, `PlanNode`) is unrolled at run time
into fresh node instances, so the declared graph and the run graph both stay acyclic.

Node ids are unique within a graph and are what people see. Instances of nodes inside regions are
named by the region: `search[2].search` is the node `search` of the body of the map `search`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, assert_never

from agentrt.ir.expression import Const, Expression, NodeId, Slot, Use, uses
from agentrt.ir.prompt import PromptTemplate
from agentrt.ir.schema import Json, Schema

if TYPE_CHECKING:
    from agentrt.ir.graph import Graph

Tier: TypeAlias = Literal["small", "large"]
"""Which class of model a call goes to."""

Layout: TypeAlias = Literal["S0", "S1", "S2", "S3"]
"""How far a prompt may be rewritten for the prefix cache: S0 leaves every token as it is, S1 may
write the same data with other bytes, S2 may move blocks, S3 may show more than was asked."""

LAYOUTS: tuple[Layout, ...] = ("S0", "S1", "S2", "S3")

Inputs: TypeAlias = tuple[tuple[str, Expression], ...]
"""Parameter name -> where its value comes from, in the order of the signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMOptions:
    """How a call is made; None leaves the choice to the backend.

    Attributes:
        tier: Which class of model; routing may choose when it is None.
        model: A model by name; overrides `tier`.
        max_tokens: Completion tokens at most.
        output_retries: How often an answer that does not fit its type is asked for again.
        retries: Further attempts after a retryable `BackendError`.
        timeout_s: Seconds one attempt may take.
    """

    tier: Tier | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    output_retries: int = 2
    retries: int = 3
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputNode:
    """A parameter of the workflow, or of a region's body."""

    id: NodeId
    schema: Schema
    is_required: bool = True
    default: Json = None
    kind: Literal["input"] = "input"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolNode:
    """One call of a tool; `tool` names a `ToolSpec` of the graph."""

    id: NodeId
    tool: str
    inputs: Inputs = ()
    kind: Literal["tool"] = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMNode:
    """One call of an LLM function. Constant arguments are folded into the prompt's static text.

    Attributes:
        function: The LLM function's name; the runtime finds the answer's type by it.
        output: The answer's JSON Schema; `{"type": "string"}` asks for free text.
        layout: How far the prompt may be rewritten.
    """

    id: NodeId
    function: str
    prompt: PromptTemplate
    output: Schema
    options: LLMOptions = LLMOptions()
    layout: Layout = "S1"
    kind: Literal["llm"] = "llm"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentNode:
    """An LLM with tools in a loop. Unrolls to `id[turn].llm` and `id[turn].tool[call]`.

    Attributes:
        tools: Names of `ToolSpec`s of the graph, in the order the model sees them.
        shown_tools: Names of those the model is shown, where these are more than it may call, so that
            several agents have one beginning; empty: `tools`.
        max_turns: LLM calls at most.
        timeout_s: Wall-clock seconds for the whole loop; None: no limit.
        max_total_tokens: Prompt and completion tokens of all turns together; None: no limit.
        layout: How far the prompt may be rewritten.
    """

    id: NodeId
    function: str
    prompt: PromptTemplate
    output: Schema
    tools: tuple[str, ...] = ()
    max_turns: int = 50
    timeout_s: float | None = None
    max_total_tokens: int | None = None
    options: LLMOptions = LLMOptions()
    layout: Layout = "S1"
    shown_tools: tuple[str, ...] = ()
    kind: Literal["agent"] = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanNode:
    """A question that an LLM answers with tools, by a plan that it writes first.

    Unrolls to `id[plan].llm`, `id[plan].t3.tool` and `id[plan].join`, where lines of the plan have to
    be asked for again to `id[plan].repair[1]`. See docs/planner.md.

    Attributes:
        function: The name of the answer's type.
        prompt: The question; a `system` text is about the answer, and the joiner's.
        output: The answer's JSON Schema.
        tools: Names of `ToolSpec`s of the graph.
        max_replans: Plans after the first.
        max_repairs: Calls for each plan that ask for lines again, or for its missing end.
        max_tasks: Tasks of each plan.
        timeout_s: Wall-clock seconds for all of it; None: no limit.
        max_total_tokens: Prompt and completion tokens of all calls together; None: no limit.
        reuses_plans: A plan may come from the runtime's cache, for a question of the same shape.
        guesses_reads: Calls without effects may start before the plan asks for them, where earlier
            plans did with the names in their questions what would be done with those in this one.
    """

    id: NodeId
    function: str
    prompt: PromptTemplate
    output: Schema
    tools: tuple[str, ...] = ()
    max_replans: int = 2
    max_repairs: int = 2
    max_tasks: int = 64
    timeout_s: float | None = None
    max_total_tokens: int | None = None
    reuses_plans: bool = False
    guesses_reads: bool = False
    options: LLMOptions = LLMOptions()
    kind: Literal["plan"] = "plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """One instance of `body` for each item. Unrolls to `id[i].…`; its value is a list, in order.

    Attributes:
        mapped: The inputs iterated over, together (they must be of one length); the other inputs
            are the same for every instance.
        body: A graph whose `InputNode`s are named as `inputs`.
    """

    id: NodeId
    body: Graph
    mapped: tuple[str, ...]
    inputs: Inputs = ()
    kind: Literal["map"] = "map"


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchNode:
    """One of two bodies, by a boolean. Unrolls to `id.then.…` or `id.otherwise.…`.

    Both bodies have an `InputNode` for each of `inputs` they use.
    """

    id: NodeId
    condition: Expression
    then: Graph
    otherwise: Graph
    inputs: Inputs = ()
    kind: Literal["branch"] = "branch"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopNode:
    """`step` over and over until `until` says so. Unrolls to `id[i].step.…`, `id[i].until.…`.

    `until` is asked after each step, the first included. After `max_steps` steps without a yes the
    node fails with `LimitExceeded`.

    Attributes:
        state: The name of the `InputNode` of both bodies that takes the state.
        initial: The state before the first step.
        step: state -> state.
        until: state -> bool.
    """

    id: NodeId
    state: str
    initial: Expression
    step: Graph
    until: Graph
    max_steps: int
    inputs: Inputs = ()
    kind: Literal["loop"] = "loop"


Node: TypeAlias = (
    InputNode | ToolNode | LLMNode | AgentNode | PlanNode | MapNode | BranchNode | LoopNode
)
Region: TypeAlias = AgentNode | PlanNode | MapNode | BranchNode | LoopNode


def expressions(node: Node) -> Iterator[Expression]:
    """Everything `node` reads, in order."""
    match node:
        case InputNode():
            return
        case ToolNode() | MapNode():
            yield from (value for _, value in node.inputs)
        case LLMNode() | AgentNode() | PlanNode():
            for template in node.prompt.templates():
                yield from (p.expression for p in template.parts if isinstance(p, Slot))
        case BranchNode():
            yield node.condition
            yield from (value for _, value in node.inputs)
        case LoopNode():
            yield node.initial
            yield from (value for _, value in node.inputs)
        case _:
            assert_never(node)


def dependencies(node: Node) -> tuple[NodeId, ...]:
    """The nodes `node` reads, each once, in order of first use."""
    found: dict[NodeId, None] = {}
    for expression in expressions(node):
        if isinstance(expression, Use):  # the common case, without a generator
            found[expression.node] = None
        elif not isinstance(expression, Const):
            found.update(dict.fromkeys(use.node for use in uses(expression)))
    return tuple(found)


def bodies(node: Node) -> tuple[tuple[str, Graph], ...]:
    """The graphs inside a region, with the name each has in instance ids."""
    match node:
        case MapNode():
            return (("body", node.body),)
        case BranchNode():
            return (("then", node.then), ("otherwise", node.otherwise))
        case LoopNode():
            return (("step", node.step), ("until", node.until))
        case InputNode() | ToolNode() | LLMNode() | AgentNode() | PlanNode():
            return ()
        case _:
            assert_never(node)
