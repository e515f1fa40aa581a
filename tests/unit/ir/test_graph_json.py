"""The form of a graph in JSON, its hash, and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from agentrt.errors import GraphError
from agentrt.ir.codec import Plain, Record
from agentrt.ir.expression import Const, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import LLMOptions
from agentrt.ir.prompt import PromptTemplate
from agentrt.ir.tool import ToolSpec
from tests.unit.ir.sample_graphs import body, every_kind, graph, parameter, search, template


def test_a_graph_is_written_without_what_is_default() -> None:
    assert graph(parameter("q"), search("s", Use("q"))).to_json() == {
        "format": 1,
        "name": "sample",
        "nodes": [
            {"kind": "input", "id": "q", "schema": {"type": "string"}},
            {
                "kind": "tool",
                "id": "s",
                "tool": "search",
                "inputs": [["query", {"kind": "use", "node": "q"}]],
            },
        ],
        "output": {"kind": "use", "node": "s"},
        "tools": {
            "save": {
                "name": "save",
                "parameters": {
                    "type": "object",
                    "properties": {"text": {"type": "string"}},
                    "required": ["text"],
                },
                "output": {"type": "string"},
            },
            "search": {
                "name": "search",
                "parameters": {
                    "type": "object",
                    "properties": {"query": {"type": "string"}},
                    "required": ["query"],
                },
                "output": {"type": "string"},
                "effects": "read",
            },
        },
    }


def test_every_kind_of_node_comes_back() -> None:
    assert Graph.from_json(json.loads(json.dumps(every_kind().to_json()))) == every_kind()


def test_a_graph_read_back_shares_nothing_with_the_document() -> None:
    document = copy.deepcopy(every_kind().to_json())
    read = Graph.from_json(document)
    document["tools"]["search"]["parameters"]["properties"].clear()
    assert read == every_kind()


def test_a_field_without_a_codec_cannot_be_forgotten() -> None:
    with pytest.raises(TypeError, match=r"Use: \['path'\] need a codec"):
        Record(Use, node=Plain("a text"))


HASH = """
import json, sys
from agentrt.ir.graph import Graph
graph = Graph.from_json(json.load(sys.stdin))
print(graph.hash)
"""


@pytest.mark.parametrize("seed", ["0", "1", "31337"])
def test_the_hash_is_the_same_in_any_process(seed: str) -> None:
    shuffled = every_kind().to_json()
    shuffled["nodes"].reverse()
    shuffled["tools"] = dict(reversed(shuffled["tools"].items()))
    printed = subprocess.run(  # noqa: S603  this interpreter, our own text
        [sys.executable, "-c", HASH],
        input=json.dumps(shuffled),
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.strip() == every_kind().hash


def test_the_hash_of_stored_graphs_stays_what_it_was() -> None:
    """A change here refuses to resume every run stored before: it needs a new format."""
    one = graph(parameter("q"), search("s", Use("q")))
    assert one.hash == "f27fd1cf0da873d644b0d27d2d1f4bf8d948b67528a192e4e1d10e172772925a"
    assert every_kind().hash == "8e6ec0e8fc32f0a352ae28765ad0c5e989e692dcfd236f7baf8e1c30cbdb2945"


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("question", {"schema": {}}),
    ("question", {"is_required": False}),
    ("limit", {"default": 3.0}),
    ("limit", {"default": True}),
    ("plan", {"function": "other"}),
    ("plan", {"output": {}}),
    ("plan", {"prompt": PromptTemplate(template("Plan: ", Use("question")))}),
    ("plan", {"options": LLMOptions(tier="small")}),
    ("found", {"inputs": (("query", Use("question")),)}),
    ("found", {"body": body(parameter("query"))}),
    ("first", {"tool": "save"}),
    ("first", {"inputs": (("query", Use("plan", (1,))),)}),
    ("first", {"inputs": (("query", Use("plan", ("0",))),)}),
    ("checked", {"condition": Const(1)}),
    ("checked", {"otherwise": body(output=Const("not checked"))}),
    ("refined", {"max_steps": 4}),
    ("refined", {"initial": Use("first")}),
    ("fix", {"tools": ("save", "search")}),
    ("fix", {"max_turns": 6}),
    ("fix", {"timeout_s": 60.5}),
    ("fix", {"max_total_tokens": 1}),
]


@pytest.mark.parametrize(("node_id", "change"), CHANGES)
def test_a_changed_node_changes_the_hash(node_id: str, change: dict[str, Any]) -> None:
    before = every_kind()
    nodes = tuple(
        dataclasses.replace(node, **change) if node.id == node_id else node for node in before.nodes
    )
    assert dataclasses.replace(before, nodes=nodes).hash != before.hash


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"output": Use("fix")},
        {"nodes": every_kind().nodes[:-1]},
        {"tools": {}},
        {"tools": dict(every_kind().tools) | {"search": ToolSpec(name="search")}},
    ],
    ids=["name", "output", "nodes", "no tools", "a tool"],
)
def test_a_changed_graph_changes_the_hash(change: dict[str, Any]) -> None:
    assert dataclasses.replace(every_kind(), **change).hash != every_kind().hash


def _document(**changes: Any) -> dict[str, Any]:
    return graph(parameter("q"), search("s", Use("q"))).to_json() | changes


def _deep(depth: int) -> Any:
    value: Any = {"kind": "const", "value": 1}
    for _ in range(depth):
        value = {"kind": "items", "items": [value]}
    return value


def _self_containing() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


REFUSED: dict[str, tuple[Any, str]] = {
    "nothing": (None, "expected an object, got a NoneType"),
    "a list": ([], "expected an object, got a list"),
    "a later format": (_document(format=2), "its format is not 1"),
    "a format that is no number": (_document(format=True), "its format is not 1"),
    "no format": ({"name": "n"}, "its format is not 1"),
    "no tools": ({k: v for k, v in _document().items() if k != "tools"}, "tools: expected an obj"),
    "unknown field": (_document(extra=1), "expected an object with name, nodes and output"),
    "unknown kind": (_document(output={"kind": "magic"}), "output: expected a kind of const, use"),
    "kind that is no text": (_document(output={"kind": []}), "output: expected a kind of"),
    "unknown field inside": (
        _document(output={"kind": "use", "node": "q", "secret": 1}),
        "output: unknown field 'secret'",
    ),
    "missing field": (_document(output={"kind": "use"}), "output: field 'node' is missing"),
    "wrong type, deep inside": (
        _document(nodes=[{"kind": "tool", "id": "t", "tool": "search", "inputs": [["query", 1]]}]),
        "nodes/0/inputs/query: expected an object, got 1",
    ),
    "object for a list": (
        _document(output={"kind": "items", "items": {}}),
        "output/items: expected a list, got dict",
    ),
    "object for pairs": (
        _document(output={"kind": "fields", "fields": {}}),
        "output/fields: expected a list of pairs, got dict",
    ),
    "pair that is none": (
        _document(nodes=[{"kind": "tool", "id": "t", "tool": "search", "inputs": [["query"]]}]),
        "nodes/0/inputs: item 0 is no pair of a name and a value",
    ),
    "unknown effects": (
        _document(tools={"t": {"name": "t", "effects": ["write"]}}),
        "tools/t/effects: expected one of ['none', 'read', 'write'], got list",
    ),
    "true for a number": (
        _document(tools={"t": {"name": "t", "retries": True}}),
        "tools/t/retries: expected a whole number, got True",
    ),
    "a broken graph": (_document(output={"kind": "use", "node": "x"}), "it reads 'x'"),
    "not JSON": (_document(output={1, 2}), "not JSON"),
    "not a number": (_document(output={"kind": "const", "value": float("nan")}), "not JSON"),
    "bytes": (b"{}", "not JSON"),
    "lone surrogate": (_document(name="\udcff"), "not JSON"),
    "deep nesting": (_document(output=_deep(100_000)), "it nests too deeply"),
    "moderately deep nesting": (_document(output=_deep(100)), "nests deeper than"),
    "itself inside": (_document(nodes=_self_containing()), "not JSON"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_from_json_refuses(what: str) -> None:
    data, message = REFUSED[what]
    with pytest.raises(GraphError) as caught:
        Graph.from_json(data)
    assert message in str(caught.value)
