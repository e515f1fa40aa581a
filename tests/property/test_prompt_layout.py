"""The layout pass on prompts of every shape: nothing is lost, and doing it again changes nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.compiler.passes.layout import Layout
from agentrt.compiler.prompt_blocks import blocks_of, is_cue, join_as_they_were
from agentrt.compiler.prompt_order import as_blocks
from agentrt.ir.expression import Const, Expression, Items, Slot, Template, Text, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import LAYOUTS, InputNode, LLMNode, Node, ToolNode
from agentrt.ir.prompt import PromptTemplate
from agentrt.ir.prompt_origin import levels_of
from agentrt.ir.stability import rank
from agentrt.ir.tool import ToolSpec

_PIECES = ["Be kind.", "It is", "\n", "\n\n", " ", "<a>", "</a>", "Question:", "```", "- ", ". And"]
_PIECES += ["# Seen", "1. Look", "**Here**", "</b>", "<b>"]
_PIECES += ["[", "]", "Q: ", "   a. ", '"""']
_texts = st.lists(st.sampled_from(_PIECES), max_size=5).map("".join) | st.text(max_size=8)
_sources = st.sampled_from(
    [Use("q"), Use("r"), Use("found"), Const("c"), Items((Use("q"), Const(["c"])))]
)
_marks = st.sampled_from([None, None, None, "always", "deployment", "call"])


@st.composite
def _templates(draw: Any) -> Template:
    parts = draw(st.lists(_texts.map(Text) | st.builds(Slot, _sources, _marks), max_size=6))
    joined: list[Text | Slot] = []
    for part in parts:  # as tracing leaves them: no neighbouring texts, no empty ones
        before = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(before, Text):
            joined[-1] = Text(before.text + part.text)
        elif not isinstance(part, Text) or part.text:
            joined.append(part)
    return Template(tuple(joined))


_prompts = st.builds(
    PromptTemplate,
    user=_templates(),
    system=st.none() | _templates(),
    context=st.lists(_templates(), max_size=2).map(tuple),
)


def _graph(prompts: list[PromptTemplate], layouts: list[Any]) -> Graph:
    text = {"type": "string"}
    nodes: list[Node] = [
        InputNode(id="q", schema=text),
        InputNode(id="r", schema=text),
        ToolNode(id="found", tool="look"),
        *(
            LLMNode(id=f"n{i}", function=f"n{i}", prompt=prompt, output=text, layout=layout)
            for i, (prompt, layout) in enumerate(zip(prompts, layouts, strict=True))
        ),
    ]
    output: Expression = Use("q")
    return Graph("laid", tuple(nodes), output, {"look": ToolSpec(name="look")})


@settings(max_examples=60)
@given(_templates())
def test_blocks_put_together_again_are_the_template(template: Template) -> None:
    assert join_as_they_were(blocks_of(template)) == template


@settings(max_examples=60)
@given(st.lists(_prompts, min_size=1, max_size=3), st.data())
def test_a_prompt_laid_out_says_the_same_and_stays_so(
    prompts: list[PromptTemplate], data: st.DataObject
) -> None:
    layouts = [data.draw(st.sampled_from(LAYOUTS)) for _ in prompts]
    before = _graph(prompts, layouts)
    once = Layout().run(before)
    Layout().ensures(before, once)
    assert Layout().run(once) is once


@settings(max_examples=60)
@given(_prompts)
def test_what_changes_more_often_comes_later(prompt: PromptTemplate) -> None:
    graph = _graph([prompt], ["S2"])
    node = Layout().run(graph).by_id["n0"]
    assert isinstance(node, LLMNode)
    levels = levels_of(graph, {})
    body = PromptTemplate(node.prompt.user, None, node.prompt.context)
    blocks = list(as_blocks(body))
    if is_cue(blocks[-1]):  # the model goes on from it, whatever comes before
        blocks.pop()
    ranks = [rank(block.stability(levels)) for block in blocks]
    assert ranks == sorted(ranks)
