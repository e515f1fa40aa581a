"""The grammar of plans: read by a small interpreter of GBNF, so that it is held to what it says."""

import json
import re
from dataclasses import replace

import pytest

from agentrt.ir.tool import ToolSpec
from agentrt.planner import (
    BadLine,
    GrammarLimits,
    Planning,
    PlanReader,
    Task,
    TaskReady,
    lines_grammar,
    plan_grammar,
)
from agentrt.planner.prompt import system_text
from tests.unit.planner.gbnf import pattern
from tests.unit.planner.tool_set import NUMBER, TEXT, TOOLS, spec

CONVERT = spec(
    "convert",
    {
        "value": NUMBER,
        "unit": {"enum": ["m", "ft"]},
        "flags": {"type": "array", "items": TEXT},
        "by": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "where": {"$ref": "#/$defs/Where"},
    },
    optional=("flags", "by", "where"),
)
CONVERT = replace(
    CONVERT,
    parameters={
        **CONVERT.parameters,
        "$defs": {"Where": {"type": "object", "properties": {"city": TEXT}, "required": ["city"]}},
    },
)
NOW = spec("now", {})
SAY = spec("say", {"a": TEXT, "b": TEXT}, optional=("a", "b"))
ALL = (*TOOLS, CONVERT, NOW, SAY)


@pytest.fixture(scope="module")
def plans() -> re.Pattern[str]:
    return pattern(plan_grammar(ALL, limits=GrammarLimits(max_tasks=3)))


@pytest.mark.parametrize(
    "plan",
    [
        "join",
        '1 search(query="a")\njoin',
        '1 height(of="a")\n2 subtract(a=$1, b=-4.5)\njoin',
        '1 person(name="é \\"x\\" $1")\n2 search(query=$1.works[0])\n3 now()\njoin',
        '1 convert(value=1, unit="m", flags=["a", "b"], by=null, where={"city": "Rome"})\njoin',
        '1 say()\n2 say(b=$1)\n3 say(a="x", b=$2)\njoin',
    ],
)
def test_sound_plans_are_in_the_grammar_and_read(plan: str, plans: re.Pattern[str]) -> None:
    assert plans.fullmatch(plan)
    reader = PlanReader(ALL)
    events = reader.feed(plan) + reader.close()
    assert reader.bad == []
    assert reader.is_joined
    assert sum(isinstance(event, TaskReady) for event in events) == plan.count("\n")


@pytest.mark.parametrize(
    "plan",
    [
        '1 search(query="a")',
        "1 search(query=$1)\njoin",
        '1 search(query="a")\n2 search(query=$2)\njoin',
        '1 search(query="a")\n2 search(query=$3)\n3 now()\njoin',
        '2 search(query="a")\njoin',
        '1 search(query="a")\n1 search(query="b")\njoin',
        "1 nope()\njoin",
        '1 search("a")\njoin',
        "1 search(top=3)\njoin",
        '1 search(query="a", page=3)\njoin',
        "1 search(query=a)\njoin",
        '1 convert(value=1, unit="km")\njoin',
        '1 convert(value="1", unit="m")\njoin',
        "Thought: hm\njoin",
        '1 search(query="\\ud800")\njoin',
        "1 now()\n2 now()\n3 now()\n4 now()\njoin",
    ],
)
def test_what_is_no_sound_plan_is_not_in_the_grammar(plan: str, plans: re.Pattern[str]) -> None:
    assert plans.fullmatch(plan) is None


def test_a_later_plan_counts_on_and_may_refer_to_what_is_there() -> None:
    later = pattern(
        plan_grammar(TOOLS, first_id=4, earlier=[1, 3], limits=GrammarLimits(max_tasks=1))
    )
    assert later.fullmatch("4 search(query=$3)\njoin")
    assert later.fullmatch("4 search(query=$2)\njoin") is None
    assert later.fullmatch('1 search(query="a")\njoin') is None


def test_a_repair_is_the_wanted_lines_and_nothing_else() -> None:
    wanted = pattern(lines_grammar(TOOLS, [2, 4], known=[1, 2, 3, 4]))
    assert wanted.fullmatch("2 search(query=$1)\n4 search(query=$3)")
    assert wanted.fullmatch("2 search(query=$3)\n4 search(query=$3)") is None
    assert wanted.fullmatch("2 search(query=$1)") is None


def test_texts_are_bounded_so_that_a_plan_ends() -> None:
    short = pattern(plan_grammar(TOOLS, limits=GrammarLimits(max_tasks=1, max_text=4)))
    assert short.fullmatch('1 search(query="abcd")\njoin')
    assert short.fullmatch('1 search(query="abcde")\njoin') is None


def _only(tool: ToolSpec, **limits: int) -> re.Pattern[str]:
    return pattern(plan_grammar([tool], limits=GrammarLimits(max_tasks=1, **limits)))


def test_hostile_names_stay_inside_their_literals_and_are_read_as_they_are_written() -> None:
    names = ("$filter", "ids[]", "first name", 'q"x', "a=b", "größe", "a\x00b", ")")
    tool = spec("get-x.y:z/1\\", dict.fromkeys(names, NUMBER))
    line = (
        '1 get-x.y:z/1\\($filter=1, ids[]=2, "first name"=3, "q\\"x"=4, "a=b"=5, größe=6, '
        '"a\\u0000b"=7, ")"=8)'
    )
    assert _only(tool).fullmatch(f"{line}\njoin")
    (ready,) = PlanReader([tool]).feed(f"{line}\n")
    assert ready == TaskReady(Task(1, tool.name, dict(zip(names, range(1, 9), strict=True))))
    assert str(ready.task) == line
    assert '"q\\"x": number' in system_text([tool])


@pytest.mark.parametrize("name", ["two words", "a(b", "a,b", 'a"b', "", "a=b", "a\nb", "a\x00"])
def test_a_tool_that_no_line_can_call_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a plan cannot call a tool"):
        Planning([spec(name, {})], "why?")


def test_constants_are_written_as_json_whatever_is_in_them() -> None:
    values = ['a"b', "c\\d", "e\nf", "é😀", "$1", "]", "", None, 1.5, True, {"a": [1, "\x07"]}]
    tool = spec("e", {"x": {"enum": values}})
    for value in values:
        line = f"1 e(x={json.dumps(value, ensure_ascii=False)})"
        assert _only(tool).fullmatch(f"{line}\njoin")
        assert PlanReader([tool]).feed(f"{line}\n") == [TaskReady(Task(1, "e", {"x": value}))]


def test_a_schema_that_refers_to_itself_is_written_to_a_depth_and_then_ends() -> None:
    again = {"$ref": "#/$defs/T"}
    parts = {"left": again, "name": TEXT, "right": {"anyOf": [again, {"type": "null"}]}}
    tree = {"type": "object", "properties": parts, "required": ["right"]}
    tool = spec("t", {"x": {"$ref": "#/$defs/T"}})
    tool = replace(tool, parameters={**tool.parameters, "$defs": {"T": tree}})
    sound = _only(tool)
    assert sound.fullmatch(
        '1 t(x={"left": {"left": {"left": {"name": "a", "right": null}, "name": "a", "right": null}, "name": "", "right": null}, "name": "b", "right": {"left": {"left": {"name": "", "right": null}, "name": "", "right": null}, "name": "c", "right": null}})\njoin'
    )
    assert sound.fullmatch('1 t(x={"left": 3, "name": "b", "right": null})\njoin') is None
    assert sound.fullmatch('1 t(x="anything")\njoin') is None


@pytest.mark.parametrize("inner", [{"$ref": "#/$defs/T"}, {"anyOf": [{"$ref": "#/$defs/T"}] * 3}])
def test_a_schema_that_is_nothing_but_itself_is_no_reason_to_stop(inner: dict[str, object]) -> None:
    tool = spec("t", {"x": {"$ref": "#/$defs/T"}})
    tool = replace(tool, parameters={**tool.parameters, "$defs": {"T": inner}})
    assert _only(tool).fullmatch("1 t(x=3)\njoin")
    assert PlanReader([tool]).feed("1 t(x=3)\n") == [TaskReady(Task(1, "t", {"x": 3}))]
    assert "t(x: any" in system_text([tool])


def test_definitions_that_name_each_other_many_times_cost_no_more_than_they_are_long() -> None:
    """Two alternatives each, sixty levels deep: more ways through them than could ever be tried."""
    levels = {f"L{n}": {"anyOf": [{"$ref": f"#/$defs/L{n + 1}"}] * 2} for n in range(60)} | {
        "L60": TEXT
    }
    tool = spec("t", {"x": {"$ref": "#/$defs/L0"}})
    tool = replace(tool, parameters={**tool.parameters, "$defs": levels})
    (bad,) = PlanReader([tool]).feed("1 t(x=3)\n")
    assert isinstance(bad, BadLine)
    assert bad.why == "x must be a string, not an integer: 3"
    assert _only(tool).fullmatch('1 t(x="a")\njoin')


def test_bounds_and_closed_objects_are_kept_to() -> None:
    tool = spec(
        "b",
        {
            "a": {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 3},
            "s": {"type": "string", "minLength": 2, "maxLength": 3},
            "t": {"type": "array", "prefixItems": [TEXT, NUMBER]},
            "e": {"type": "object", "additionalProperties": False},
            "o": {"allOf": [{"type": "integer"}], "description": "as pydantic writes it"},
        },
    )
    sound = _only(tool)
    assert sound.fullmatch('1 b(a=[1, 2], s="ab", t=["x", 1], e={}, o=1)\njoin')
    for values in (
        'a=[1], s="ab", t=["x", 1], e={}, o=1',
        'a=[1, 2, 3, 4], s="ab", t=["x", 1], e={}, o=1',
        'a=[1, 2], s="abcd", t=["x", 1], e={}, o=1',
        'a=[1, 2], s="ab", t=["x"], e={}, o=1',
        'a=[1, 2], s="ab", t=["x", 1], e={"x": 1}, o=1',
        'a=[1, 2], s="ab", t=["x", 1], e={}, o="x"',
    ):
        assert sound.fullmatch(f"1 b({values})\njoin") is None


def test_without_tools_or_room_there_is_nothing_to_write_but_the_end() -> None:
    assert plan_grammar([]) == 'root ::= "join"\n'
    assert plan_grammar(TOOLS, limits=GrammarLimits(max_tasks=0)) == 'root ::= "join"\n'


def test_a_grammar_grows_with_the_tools_and_not_with_their_square() -> None:
    def size(count: int) -> int:
        names = tuple(f"p{number}" for number in range(count))
        return len(plan_grammar([spec("o", dict.fromkeys(names, TEXT), optional=names)]))

    assert size(80) < 2.5 * size(40)
    assert _only(spec("o", {"a": TEXT, "b": TEXT, "c": TEXT}, optional=("a", "b", "c"))).fullmatch(
        '1 o(b="x", c="y")\njoin'
    )


def test_a_grammar_that_would_be_too_long_says_less_and_no_sound_plan_is_lost() -> None:
    nested = {"type": "array", "items": TEXT}
    tools = [spec(f"tool{n}", {"x": nested, f"y{n}": TEXT}) for n in range(40)]
    whole = plan_grammar(tools)
    plan = '1 tool7(x=[], y7="a")\n2 tool9(x=$1, y9=$1)\njoin'
    for limit in (len(whole) - 1, len(whole) // 3):
        grammar = plan_grammar(tools, limits=GrammarLimits(max_characters=limit, max_tasks=16))
        assert len(grammar) < len(whole)
        assert pattern(grammar).fullmatch(plan)


def test_the_prompt_is_one_text_whatever_the_order_of_the_tools() -> None:
    assert system_text(ALL) == system_text(reversed(ALL))
    shown = system_text(ALL)
    assert 'convert(value: number, unit: "m" | "ft", flags: [string] = null' in shown
    assert "person(name: string) -> {born: integer, works: [string]}: What person does." in shown
