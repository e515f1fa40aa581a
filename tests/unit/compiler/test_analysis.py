"""How long, how wide, how much of it is known: facts about graphs."""

from __future__ import annotations

from agentrt.compiler.analysis import (
    StaticText,
    critical_path,
    node_plans,
    stages,
    static_text,
    widest_stage,
)
from agentrt.ir.expression import Const, Items, Slot, Template, Text, Use
from agentrt.ir.plan import NodePlan
from agentrt.ir.prompt import PromptTemplate
from tests.unit.ir.sample_graphs import every_kind, graph, llm, parameter, search, template

# q -> a -> b -> d and q -> c -> d; e on its own, d and e defined before what they read
DIAMOND = graph(
    search("d", Items((Use("b"), Use("c")))),
    parameter("q"),
    search("a", Use("q")),
    search("b", Use("a")),
    search("c", Use("q")),
    search("e", Const("x")),
    output=Use("d"),
)


def test_depth_and_height_count_the_longest_way() -> None:
    assert node_plans(DIAMOND) == {
        "d": NodePlan(depth=3, height=1),
        "q": NodePlan(depth=0, height=4),
        "a": NodePlan(depth=1, height=3),
        "b": NodePlan(depth=2, height=2),
        "c": NodePlan(depth=1, height=2),
        "e": NodePlan(depth=0, height=1),
    }


def test_stages_hold_the_work_by_depth() -> None:
    assert stages(DIAMOND) == (("e",), ("a", "c"), ("b",), ("d",))
    assert widest_stage(DIAMOND) == ("a", "c")


def test_the_critical_path_is_the_longest_chain_of_work() -> None:
    assert critical_path(DIAMOND) == ("a", "b", "d")
    assert critical_path(every_kind()) == ("plan", "found", "checked", "refined", "fix", "kept")


def test_a_graph_without_work_has_no_stages_and_no_path() -> None:
    idle = graph(parameter("q"))
    assert (stages(idle), widest_stage(idle), critical_path(idle)) == ((), (), ())


def test_static_text_counts_up_to_the_first_slot_over_all_messages() -> None:
    prompt = PromptTemplate(
        user=template("Question: ", Use("q"), " Answer:"),
        system=template("Be brief."),
        context=(template("Facts."), template(Use("q"), "more")),
    )
    known = ["Be brief.", "Facts.", "more", "Question: ", " Answer:"]
    assert static_text(prompt) == StaticText(
        prefix_chars=len("Be brief.Facts."), chars=sum(map(len, known))
    )


def test_constants_and_nested_templates_in_slots_are_static() -> None:
    inner = Template((Text("b"), Slot(Const([1, 2])), Slot(Use("q")), Text("d")))
    prompt = PromptTemplate(user=Template((Text("a"), Slot(inner), Text("e"))))
    assert static_text(prompt) == StaticText(prefix_chars=len("ab[1,2]"), chars=len("ab[1,2]de"))


def test_the_share_of_a_prompt_without_static_text_is_whole() -> None:
    assert static_text(llm("l", Use("q")).prompt) == StaticText(0, 0)
    assert (StaticText(0, 0).share, StaticText(3, 4).share) == (1.0, 0.75)
