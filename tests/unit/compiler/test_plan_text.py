"""What `agentrt plan` prints."""

from __future__ import annotations

from agentrt.compiler.passes.prune import Prune
from agentrt.compiler.pipeline import compile_graph
from agentrt.compiler.text import plan_to_text
from agentrt.ir.expression import Const, Use
from agentrt.ir.node import Node
from tests.unit.ir.sample_graphs import every_kind, graph, llm, parameter, search


def test_a_plan_as_text() -> None:
    assert (
        plan_to_text(compile_graph(every_kind(), passes=[Prune()], node_passes=()))
        == """\
sample: 7 nodes in 6 stages
at once: 2 nodes or more, and in 1 map as many as there are items

the graph, which the passes leave as it is
  sample(question, limit)
    question  input
    limit     input, default 3
    plan      llm, small                               <- limit, question
    found     map over query                           <- plan
      query   input
      search  tool   <- query
      -> search
    first     tool search                              <- plan[0]
    checked   branch on true                           <- found
      then
        found  input
        check  llm    <- found
        -> check
      otherwise
        -> "unchecked"
    refined   loop, up to 3 steps                      <- checked
      step
        draft    input
        improve  llm    <- draft
        -> improve
      until
        draft  input
        judge  llm    <- draft
        -> judge
    fix       agent, up to 5 turns, tools search save  <- refined
    kept      tool save                                <- fix
    -> {"fix": fix, "all": [first, {"a": [1]}]}

stages (a node starts when its inputs are there; it does not wait for its stage)
     1  plan  llm, small
     2  found  map over query
        first  tool search
     3  checked  branch on true
     4  refined  loop, up to 3 steps
     5  fix  agent, up to 5 turns, tools search save
     6  kept  tool save

critical path (6 nodes, each waiting for the one before)
  plan -> found -> checked -> refined -> fix -> kept

static prefix of prompts: 39 of 45 static characters (87%)
  plan                  15 of 21 static characters (71%)
  checked.then.check    6 of 6 static characters (100%)
  refined.step.improve  8 of 8 static characters (100%)
  refined.until.judge   6 of 6 static characters (100%)
  fix                   4 of 4 static characters (100%)

passes
  prune  every node is used
"""
    )


def test_a_plan_of_nothing_as_text() -> None:
    assert (
        plan_to_text(compile_graph(graph(output=Const(1)), passes=(), node_passes=()))
        == """\
sample: 0 nodes in 0 stages
at once: 0 nodes or more

the graph, which the passes leave as it is
  sample()
    -> 1

stages (a node starts when its inputs are there; it does not wait for its stage)

passes
  none
"""
    )


def test_a_plan_shows_the_graph_before_and_after() -> None:
    before = graph(
        parameter("q"), search("a", Use("q")), search("b", Use("q")), llm("c", Use("a"), Use("b"))
    )
    text = plan_to_text(compile_graph(before))
    assert (
        """\
the graph as written
  sample(q)
    q  input
    a  tool search  <- q
    b  tool search  <- q
    c  llm          <- a, b
    -> c

the graph that runs
  sample(q)
    q  input
    a  tool search  <- q
    c  llm          <- a
    -> c
"""
        in text
    )


def test_the_text_of_a_large_plan_stays_short() -> None:
    chain: list[Node] = [
        parameter("q"),
        *(search(f"s{i}", Use(f"s{i - 1}" if i else "q")) for i in range(500)),
    ]
    wide = [llm(f"w{i}", "Hello ", Use("q")) for i in range(500)]
    text = plan_to_text(compile_graph(graph(*chain, *wide), passes=()))
    assert len(text.splitlines()) < 120
    assert "     1  s0  tool search\n        w0  llm" in text
    assert "        … and 493 more" in text
    assert "     …  and 441 stages more" in text
    assert " s7 -> … 484 more … -> s492 " in text


def test_a_hostile_name_cannot_move_the_cursor() -> None:
    node = search("s", Use("q"))
    hostile = graph(parameter("q"), node, name="\x1b[2J\u202eevil")
    assert "\x1b" not in plan_to_text(compile_graph(hostile))
    assert plan_to_text(compile_graph(hostile)).startswith("\\x1b[2J\\u202eevil: 1 node in 1 stage")
