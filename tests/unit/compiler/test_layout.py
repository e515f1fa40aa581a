"""The layout pass: what it moves, for whom, and what it leaves alone."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from agentrt import Example, Prompt, Runtime, agent, llm, stable, tool, volatile, workflow
from agentrt.compiler.passes.layout import Layout
from agentrt.compiler.pipeline import compile_graph
from agentrt.compiler.prefix import prompt_prefixes
from agentrt.errors import DefinitionError, GraphError, PromptError
from agentrt.ir.examples import Cluster, ExampleBank, example_bank
from agentrt.ir.expression import Slot, Template, Text, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, LLMNode
from agentrt.ir.prompt import PromptTemplate
from agentrt.ir.prompt_origin import segments, walk_levels
from agentrt.ir.request import Request
from agentrt.ir.stability import least_stable
from agentrt.testing import ScriptedBackend


@tool(effects="read")
def now() -> str:
    """The time."""
    return "10:00"


@tool(effects="read")
def look(zebra: str, apple: int = 1) -> str:
    """Look."""
    return zebra * apple


@tool(effects="read")
def act(what: str) -> str:
    """Act."""
    return what


def text(template: Template | None) -> str:
    """A template with its slots' sources in braces."""
    if template is None:
        return "-"
    return "".join(
        part.text
        if isinstance(part, Text)
        else "{" + str(getattr(part.expression, "node", "…")) + "}"
        for part in template.parts
    )


def template_of(written: str) -> Template:
    """`text` undone."""
    pieces = re.split(r"\{(\w+)\}", written)
    parts = [Slot(Use(p)) if at % 2 else Text(p) for at, p in enumerate(pieces) if p]
    return Template(tuple(parts))


def laid(graph: Graph, node_id: str) -> tuple[str, str]:
    """The system and user templates of a node after the pass."""
    node = Layout().run(graph).by_id[node_id]
    assert isinstance(node, (LLMNode, AgentNode))
    assert node.prompt.context == () or node.layout in ("S0", "S1")
    return text(node.prompt.system), text(node.prompt.user)


@llm(layout="S2")
def ask(question: str, found: str, time: str) -> Prompt[str]:
    return Prompt(
        f"{found}\n\nAnswer in one line.\nQuestion: {question}",
        system=f"You are kind. It is {time} now. Never lie.\n\nDate: {time}\nBe brief.",
    )


@workflow
def asking(question: str) -> str:
    return ask(question, look(question), now())


def test_what_changes_moves_behind_what_does_not_and_out_of_the_system_message() -> None:
    assert laid(asking.trace().graph, "ask") == (
        "You are kind. Never lie.\n\nBe brief.",
        "Answer in one line.\nQuestion: {question}\n\nIt is {now} now.\n\nDate: {now}\n\n{look}",
    )


def test_prompts_stay_as_they_are_unless_their_nodes_say_otherwise() -> None:
    for layout in ("S0", "S1"):
        plain = workflow(name="asking")(lambda_of(ask.options(layout=layout)))
        graph = plain.trace().graph
        assert Layout().run(graph) is graph


def lambda_of(function: Any) -> Any:
    def asking(question: str) -> str:
        return function(question, look(question), now())  # type: ignore[no-any-return]  # a Ref

    return asking


def test_siblings_may_have_lists_written_in_their_prompts() -> None:
    @llm(layout="S2")
    def rate(how: dict[str, Any]) -> Prompt[str]:
        return Prompt(f"{how}\n\nBe strict.")

    @workflow
    def w(text: str) -> list[str]:
        return [rate({"of": text, "scale": scale}) for scale in (["good", "bad"], ["1", "2"])]

    assert laid(w.trace().graph, "rate")[1] == "Be strict.\n\n{…}"


def test_values_inside_tags_and_fences_stay_where_they_are() -> None:
    @llm(layout="S2")
    def fenced(a: str, b: str) -> Prompt[str]:
        return Prompt(f"<doc>\n\n{a}\n\n</doc>\n\n```\n{b}\n```\n\nSum up.")

    @workflow
    def w(a: str) -> str:
        return fenced(look(a), a)

    _, user = laid(w.trace().graph, "fenced")
    assert user == "Sum up.\n\n```\n{a}\n```\n\n<doc>\n\n{look}\n\n</doc>"


def moved(template: Template) -> str:
    """A user message laid out: `{question}` is the workflow's input, `{look}` a tool's result."""
    plain = asking.trace().graph
    nodes = [
        replace(node, prompt=PromptTemplate(user=template)) if isinstance(node, LLMNode) else node
        for node in plain.nodes
    ]
    graph = replace(plain, nodes=tuple(nodes))
    return laid(graph, "ask")[1]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Passages:\n\n{look}\n\nBe brief.", "Be brief.\n\nPassages:\n\n{look}"),
        ("Seen on {look}:\n\nIt was {look}\n\nGo.", "Go.\n\nSeen on {look}:\n\nIt was {look}"),
        ("**Seen**\n\nIt was {look}\n\nGo.", "Go.\n\n**Seen**\n\nIt was {look}"),
        ("Here:\nIt is {look}\nGo on.", "Go on.\n\nHere:\nIt is {look}"),
        (
            "# Seen\n\nIt was {look}\n\nBelieve it.\n\n# Rules\n\nBe brief.",
            "# Rules\n\nBe brief.\n\n# Seen\n\nIt was {look}\n\nBelieve it.",
        ),
        (
            "# A\n\n## B\n\nIt is {look}\n\n## C\n\nGo.",
            "## C\n\nGo.\n\n# A\n\n## B\n\nIt is {look}",
        ),
        (
            "1. Look.\n\n2. Read of {look} there.\n\n3. Say.\n\nBe brief.",
            "Be brief.\n\n1. Look.\n\n2. Read of {look} there.\n\n3. Say.",
        ),
        (
            "1. Look.\n2. Read of {look} there.\n3. Say.\n\nGo.",
            "Go.\n\n1. Look.\n2. Read of {look} there.\n3. Say.",
        ),
        ("It was {look}\n\nAnswer:", "It was {look}\n\nAnswer:"),
        ("{look}\n\nGo.\n\n# Answer\n\n", "Go.\n\n{look}\n\n# Answer"),
        ("Go.\nQ: {look}\nA: 4\nGo on.", "Go.\nGo on.\n\nQ: {look}\nA: 4"),
        ("User: {look}\nModel: Hm.\nUser: And?", "User: {look}\nModel: Hm.\nUser: And?"),
        (
            "It is {look}\n  a. See {look}\n  b. Go.\nGo.",
            "Go.\n\nIt is {look}\n  a. See {look}\n  b. Go.",
        ),
        (
            "See:\n\n    x = {look}\n\n    y = 1\n\nGo.",
            "Go.\n\nSee:\n\n    x = {look}\n\n    y = 1",
        ),
        ('{"a": {look},\n\n"b": 1}\n\nGo.', 'Go.\n\n{"a": {look},\n\n"b": 1}'),
        ("Not [ {look}\n\nGo.", "Go.\n\nNot [ {look}"),
        ('Seen\n\n"""\n{look}\n\n"""\n\nGo.', 'Seen\n\nGo.\n\n"""\n{look}\n\n"""'),
        ("<a><b>{look}</b>\n\n<b>x</b></a>\n\nGo.", "Go.\n\n<a><b>{look}</b>\n\n<b>x</b></a>"),
        ("Look at <b>{look}\nthere</b> now.\nGo.", "Go.\n\nLook at <b>{look}\nthere</b> now."),
        ("1. Look.\n   At {look}\n2. Say.\n\nGo.", "Go.\n\n1. Look.\n   At {look}\n2. Say."),
        ("{look}\n\nBe brief.\n\nQ: {question}\nA:", "Be brief.\n\n{look}\n\nQ: {question}\nA:"),
    ],
)
def test_what_announces_something_stays_with_it(written: str, expected: str) -> None:
    assert moved(template_of(written)) == expected


def test_paragraphs_stay_apart_when_what_was_between_them_moves() -> None:
    assert moved(template_of("Be kind. It is {look} now.\n\nRule 1.")) == (
        "Be kind.\n\nRule 1.\n\nIt is {look} now."
    )
    assert moved(template_of("Be kind.\nIt is {look} now.\nBe quick.")) == (
        "Be kind.\nBe quick.\n\nIt is {look} now."
    )


def test_what_the_model_goes_on_from_stays_last_among_siblings_too() -> None:
    @llm(layout="S2")
    def one(text: str) -> Prompt[str]:
        return Prompt(f"{text}\n\nAs a lawyer.\n\nYour words:")

    @llm(layout="S2")
    def other(text: str) -> Prompt[str]:
        return Prompt(f"{text}\n\nAs a doctor.\n\nYour words:")

    @workflow
    def w(at: str) -> list[str]:
        found = look(at)
        return [one(found), other(found)]

    graph = w.trace().graph
    assert laid(graph, "one")[1] == "{look}\n\nAs a lawyer.\n\nYour words:"
    assert laid(graph, "other")[1] == "{look}\n\nAs a doctor.\n\nYour words:"


def test_authors_overrule_what_sources_suggest() -> None:
    @llm(layout="S2")
    def marked(book: str, at: str) -> Prompt[str]:
        return Prompt(
            f"{volatile(f'At {at}.')}\n\nHi {at}\n\n{stable(book, 'deployment')}\n\nSum up.",
        )

    @workflow
    def w(at: str) -> str:
        return marked(look(at), at)

    graph = w.trace().graph
    assert laid(graph, "marked")[1] == "Sum up.\n\n{look}\n\nHi {at}\n\n{…}"
    assert Graph.from_json(graph.to_json()) == graph
    backend = ScriptedBackend("ok")
    Runtime(backend).run_sync(w, "9:00")
    assert backend.requests[0].messages[-1].content == "Sum up.\n\n9:00\n\nHi 9:00\n\nAt 9:00."


def test_marks_belong_into_prompts() -> None:
    with pytest.raises(PromptError, match="in the body of an `@llm`"):
        stable("x", "run")


def test_siblings_put_what_they_share_first() -> None:
    @llm(layout="S2")
    def lawyer(text: str) -> Prompt[str]:
        return Prompt(f"Look for risks.\n\n{text}", system="Be exact.\n\nYou are a lawyer.")

    @llm(layout="S2")
    def nurse(text: str) -> Prompt[str]:
        return Prompt(f"{text}\n\nLook for pain.", system="You are a nurse.\n\nBe exact.")

    @workflow
    def both(text: str) -> list[str]:
        return [lawyer(text), nurse(text)]

    graph = both.trace().graph
    assert laid(graph, "lawyer") == ("Be exact.", "{text}\n\nYou are a lawyer.\n\nLook for risks.")
    assert laid(graph, "nurse") == ("Be exact.", "{text}\n\nYou are a nurse.\n\nLook for pain.")


@agent(tools=[look, act])
def worker(task: str) -> Prompt[str]:
    return Prompt(task)


def test_tools_go_by_name_and_their_keys_are_sorted_but_never_their_properties() -> None:
    @workflow
    def w(task: str) -> list[str]:
        return [worker(task), worker.options(layout="S0", name="kept")(task)]

    graph = Layout().run(w.trace().graph)
    sorted_, kept = graph.by_id["worker"], graph.by_id["kept"]
    assert isinstance(sorted_, AgentNode)
    assert isinstance(kept, AgentNode)
    assert (sorted_.tools, kept.tools) == (("act", "look"), ("look", "act"))

    @workflow
    def alone(task: str) -> str:
        return worker(task)

    spec = Layout().run(alone.trace().graph).tools["look"]
    assert list(spec.parameters) == sorted(spec.parameters)
    assert list(spec.parameters["properties"]) == ["zebra", "apple"]


def test_agents_that_show_more_tools_may_call_no_more() -> None:
    small = agent(tools=[now], layout="S3", name="small")(_task)

    @workflow
    def w(task: str) -> list[str]:
        return [worker.options(layout="S3")(task), small(task)]

    plan = compile_graph(w.trace().graph)
    node = plan.graph.by_id["small"]
    assert isinstance(node, AgentNode)
    assert (node.tools, node.shown_tools) == (("now",), ("act", "look", "now"))

    asked: list[Request] = []

    def script(request: Request) -> Any:
        from agentrt.ir.request import Completion, ToolCall  # noqa: PLC0415

        asked.append(request)
        if request.node_id == "small[0].llm":
            return Completion(tool_calls=(ToolCall("1", "act", '{"what": "x"}'),))
        return "done"

    Runtime(ScriptedBackend(script)).run_sync(w, "t")
    assert len({request.tools for request in map(_tools, asked)}) == 1
    told = next(r for r in asked if r.node_id == "small[1].llm").messages[-1].content
    assert told == "error: there is no tool 'act'; the tools are: now"


class _tools:  # noqa: N801  a key
    def __init__(self, request: Request) -> None:
        self.tools = tuple(tool.name for tool in request.tools)


def _task(task: str) -> Prompt[str]:
    return Prompt(task)


def test_a_changed_prompt_that_says_something_else_is_our_bug() -> None:
    graph = asking.trace().graph
    other = compile_graph(
        workflow(name="asking")(lambda_of(ask.options(layout="S1"))).trace().graph
    )
    with pytest.raises(GraphError, match="ask"):
        Layout().ensures(other.graph, Layout().run(graph))


def test_a_static_report_blames_the_first_value_and_says_what_moving_would_give() -> None:
    graph = workflow(name="asking")(lambda_of(ask.options(layout="S1"))).trace().graph
    (found,) = prompt_prefixes(graph)
    assert (found.prefix_characters, found.place, found.stability) == (
        len("You are kind. It is "),
        "system",
        "call",
    )
    assert found.broken_by == "the slot {now} (result of the tool now)"
    assert found.if_moved_characters > found.prefix_characters
    assert found.looks_volatile == ()


def test_values_are_as_stable_as_where_they_come_from() -> None:
    @llm
    def each(item: str, guide: str, question: str) -> Prompt[str]:
        return Prompt(f"{item}{guide}{question} as {stable(item, 'always')}")

    @workflow
    def w(items: list[str], question: str) -> list[str]:
        return each.map(items, guide=look(question), question=question)

    placed = next(p for p in walk_levels(w.trace().graph) if isinstance(p.node, LLMNode))
    assert isinstance(placed.node, LLMNode)
    found = [s.stability for s in segments(placed.node.prompt, placed.levels, placed.graph)]
    assert found == ["call", "run", "run", "always", "always"]
    assert least_stable([]) == "always"


BANK = [
    Example("a and b", ("a", "b")),
    Example("c alone", ("c",)),
    Example("b and a", ("b", "a")),
    Example("for all"),
]


def test_examples_are_clustered_by_what_occurs_together_in_one_order() -> None:
    bank = example_bank(BANK)
    assert bank == ExampleBank(
        (BANK[3],),
        (Cluster(("a", "b"), (BANK[0], BANK[2])), Cluster(("c",), (BANK[1],))),
    )
    assert bank == example_bank(BANK)
    assert (
        bank.text(["c", "a"]) == bank.text(["a", "c"]) == "for all\n\na and b\n\nb and a\n\nc alone"
    )
    assert bank.text(["c"]) == "for all\n\nc alone"
    assert bank.text([]) == "for all"
    assert example_bank([]).text() == ""


def test_clusters_are_small_whatever_occurs_together() -> None:
    everything = [Example(f"e{n}", tuple(f"t{m}" for m in range(n, n + 5))) for n in range(20)]
    sizes = [len(cluster.labels) for cluster in example_bank(everything).clusters]
    assert max(sizes) <= 6


def test_a_call_shows_the_clusters_that_its_labels_are_in() -> None:
    @llm(examples=BANK, active="labels")
    def pick(question: str, labels: list[str]) -> Prompt[str]:
        return Prompt(question)

    @workflow
    def w(question: str, labels: list[str]) -> list[str]:
        return [pick(question, labels), pick(question, ["c"])]

    backend = ScriptedBackend("ok")
    Runtime(backend).run_sync(w, "Why?", ["b"])
    assert {r.messages[-1].content for r in backend.requests} == {
        "for all\n\na and b\n\nb and a\n\nWhy?",
        "for all\n\nc alone\n\nWhy?",
    }
    with pytest.raises(DefinitionError, match="must name a parameter that is a list"):
        llm(examples=BANK, active="question")(pick.function)


def test_a_slot_says_how_stable_it_is_only_where_its_author_did() -> None:
    slots = [p for t in _prompt().templates() for p in t.parts if isinstance(p, Slot)]
    assert {slot.stability for slot in slots} == {None}


def _prompt() -> Any:
    node = asking.trace().graph.by_id["ask"]
    assert isinstance(node, LLMNode)
    return node.prompt


@llm(examples=BANK, active="labels")
def by_default(question: str, labels: list[str] = ["c"]) -> Prompt[str]:  # noqa: B006
    return Prompt(question)


def test_labels_that_are_left_to_their_default_choose_the_examples() -> None:
    @workflow
    def left(question: str) -> str:
        return by_default(question)

    backend = ScriptedBackend("ok")
    Runtime(backend).run_sync(left, "Why?")
    assert backend.requests[0].messages[0].content == "for all\n\nc alone\n\nWhy?"
