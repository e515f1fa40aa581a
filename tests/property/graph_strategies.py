"""Random graphs that lint, of every node kind, with bodies inside bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from agentrt.ir.expression import (
    Const,
    Expression,
    Fields,
    Items,
    Slot,
    Step,
    Template,
    Text,
    Use,
)
from agentrt.ir.graph import Graph
from agentrt.ir.lint_value import leads_nowhere
from agentrt.ir.node import (
    LAYOUTS,
    AgentNode,
    BranchNode,
    InputNode,
    Inputs,
    LLMNode,
    LLMOptions,
    LoopNode,
    MapNode,
    Node,
    PlanNode,
    ToolNode,
)
from agentrt.ir.prompt import PromptTemplate
from agentrt.ir.tool import ToolSpec

Draw = Callable[[st.SearchStrategy[Any]], Any]

texts = st.text(max_size=12)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,5}", fullmatch=True)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # A float in JSON is a float again only if it is finite.
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
schemas: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"type": "string"},
        {"type": "string", "format": "date"},
        {"type": "array", "items": {"type": "integer"}},
        {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
    ]
)
seconds = st.none() | st.floats(0.1, 100) | st.integers(1, 100)
counts = st.none() | st.integers(1, 5)
options = st.builds(
    LLMOptions,
    tier=st.sampled_from([None, "small", "large"]),
    model=st.none() | texts,
    max_tokens=counts,
    temperature=st.none() | st.floats(0, 2),
    stop=st.lists(texts, max_size=2).map(tuple),
    seed=st.none() | st.integers(),
    output_retries=st.integers(0, 3),
    retries=st.integers(0, 3),
    timeout_s=seconds,
)


@st.composite
def tool_specs(draw: Draw, name: str) -> ToolSpec:
    known = draw(st.lists(names, max_size=3, unique=True))
    parameters: dict[str, Any] = {
        "type": "object",
        "properties": {parameter: draw(schemas) for parameter in known},
        "required": known[: draw(st.integers(0, len(known)))],
    }
    return ToolSpec(
        name=name,
        description=draw(texts),
        parameters=parameters,
        output=draw(schemas),
        effects=draw(st.sampled_from(["none", "read", "write"])),
        is_idempotent=draw(st.booleans()),
        timeout_s=draw(seconds),
        retries=draw(st.integers(0, 3)),
        concurrency=draw(counts),
        max_output_bytes=draw(st.integers(1, 10**7)),
        is_deterministic=draw(st.booleans()),
        single_flight=draw(st.booleans()),
    )


class _Builder:
    """Adds nodes one after another, each reading only what is there already."""

    def __init__(self, draw: Draw, tools: dict[str, ToolSpec], depth: int) -> None:
        self.draw = draw
        self.tools = tools
        self.depth = depth
        self.nodes: list[Node] = []

    def input(self, node_id: str) -> None:
        is_required = self.draw(st.booleans())
        self.nodes.append(
            InputNode(
                id=node_id,
                schema=self.draw(schemas),
                is_required=is_required,
                default=None if is_required else self.draw(json_values),
            )
        )

    def use(self) -> Expression:
        node = self.draw(st.sampled_from(self.nodes))
        path: tuple[Step, ...] = tuple(
            self.draw(st.lists(texts | st.integers(-2, 5), max_size=2)) if self._rarely() else ()
        )
        return Use(node.id, () if leads_nowhere(self._schema(node), path) else path)

    def _schema(self, node: Node) -> Any:
        match node:
            case InputNode():
                return node.schema
            case ToolNode():
                return self.tools[node.tool].output
            case LLMNode() | AgentNode() | PlanNode():
                return node.output
            case _:
                return {}

    def _rarely(self) -> bool:
        return bool(self.draw(st.integers(0, 4)) == 0)

    def expression(self, depth: int = 2) -> Expression:
        kinds = (
            ["use"] * 4 * bool(self.nodes)
            + ["const"]
            + ["items", "fields", "template"] * (depth > 0)
        )
        match self.draw(st.sampled_from(kinds)):
            case "use":
                return self.use()
            case "items":
                count = self.draw(st.integers(0, 2))
                return Items(tuple(self.expression(depth - 1) for _ in range(count)))
            case "fields":
                keys = self.draw(st.lists(texts, max_size=2, unique=True))
                return Fields(tuple((key, self.expression(depth - 1)) for key in keys))
            case "template":
                return self.template(depth - 1)
            case _:
                return Const(self.draw(json_values))

    def template(self, depth: int = 1) -> Template:
        count = self.draw(st.integers(0, 3))
        return Template(
            tuple(
                Text(self.draw(texts)) if self.draw(st.booleans()) else Slot(self.expression(depth))
                for _ in range(count)
            )
        )

    def prompt(self) -> PromptTemplate:
        return PromptTemplate(
            user=self.template(),
            system=self.template() if self.draw(st.booleans()) else None,
            context=tuple(self.template() for _ in range(self.draw(st.integers(0, 1)))),
        )

    def inputs(self, wanted: list[str]) -> Inputs:
        return tuple((name, self.expression()) for name in wanted)

    def body(self, given: list[str]) -> Graph:
        inner = _Builder(self.draw, self.tools, self.depth - 1)
        return inner.graph(self.draw(texts), given, max_nodes=2)

    def some(self, given: list[str]) -> list[str]:
        return [name for name in given if self.draw(st.booleans())]

    def node(self, node_id: str) -> Node:
        kinds = ["tool", "llm", "agent", "plan"] + ["map", "branch", "loop"] * (self.depth > 0)
        kind = self.draw(st.sampled_from(kinds))
        function = self.draw(names)
        match kind:
            case "tool":
                spec = self.tools[self.draw(st.sampled_from(sorted(self.tools)))]
                optional = self.some(list(spec.parameters["properties"]))
                given = list(dict.fromkeys([*spec.parameters["required"], *optional]))
                return ToolNode(id=node_id, tool=spec.name, inputs=self.inputs(given))
            case "llm":
                return LLMNode(
                    id=node_id,
                    function=function,
                    prompt=self.prompt(),
                    output=self.draw(schemas),
                    options=self.draw(options),
                    layout=self.draw(st.sampled_from(LAYOUTS)),
                )
            case "agent":
                return AgentNode(
                    id=node_id,
                    function=function,
                    prompt=self.prompt(),
                    output=self.draw(schemas),
                    tools=tuple(self.some(sorted(self.tools))),
                    max_turns=self.draw(st.integers(1, 60)),
                    timeout_s=self.draw(seconds),
                    max_total_tokens=self.draw(counts),
                    options=self.draw(options),
                    layout=self.draw(st.sampled_from(LAYOUTS)),
                )
            case "plan":
                return PlanNode(
                    id=node_id,
                    function=function,
                    prompt=self.prompt(),
                    output=self.draw(schemas),
                    tools=tuple(self.some(sorted(self.tools))),
                    max_replans=self.draw(st.integers(0, 3)),
                    max_repairs=self.draw(st.integers(0, 3)),
                    max_tasks=self.draw(st.integers(1, 100)),
                    timeout_s=self.draw(seconds),
                    max_total_tokens=self.draw(counts),
                    reuses_plans=self.draw(st.booleans()),
                    guesses_reads=self.draw(st.booleans()),
                    options=self.draw(options),
                )
            case _:
                return self.region(node_id, kind)

    def region(self, node_id: str, kind: str) -> Node:
        given = self.draw(st.lists(names, min_size=1, max_size=3, unique=True))
        if kind == "map":
            mapped = tuple(given[: self.draw(st.integers(1, len(given)))])
            return MapNode(
                id=node_id, body=self.body(given), mapped=mapped, inputs=self.inputs(given)
            )
        if kind == "branch":
            return BranchNode(
                id=node_id,
                condition=self.expression(),
                then=self.body(self.some(given)),
                otherwise=self.body(self.some(given)),
                inputs=self.inputs(given),
            )
        state, *others = given
        return LoopNode(
            id=node_id,
            state=state,
            initial=self.expression(),
            step=self.body([state, *self.some(others)]),
            until=self.body([state, *self.some(others)]),
            max_steps=self.draw(st.integers(1, 9)),
            inputs=self.inputs(others),
        )

    def graph(self, name: str, given: list[str], *, max_nodes: int) -> Graph:
        for parameter in given:
            self.input(parameter)
        wanted = self.draw(st.lists(names, max_size=max_nodes, unique=True))
        for node_id in wanted:
            if node_id not in given:
                self.nodes.append(self.node(node_id))
        return Graph(name, tuple(self.nodes), self.expression())


@st.composite
def graphs(draw: Draw, max_nodes: int = 5, depth: int = 2) -> Graph:
    """Graphs that lint; nodes in a topological order."""
    tools = {name: draw(tool_specs(name)) for name in draw(st.sampled_from([["t"], ["t", "u"]]))}
    given = draw(st.lists(names, max_size=2, unique=True))
    built = _Builder(draw, tools, depth).graph(draw(texts), given, max_nodes=max_nodes)
    return Graph(built.name, built.nodes, built.output, tools)
