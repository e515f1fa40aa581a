"""The grammar of plans: read by a small interpreter of GBNF, so that it is held to what it says."""

import re
from dataclasses import replace

import pytest

from agentrt.planner import GrammarLimits, PlanReader, TaskReady, lines_grammar, plan_grammar
from agentrt.planner.prompt import system_text
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


def _pattern(grammar: str) -> re.Pattern[str]:
    """The grammar as a regular expression: it has no recursion, so there is one."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.strip().split("\n"))
    token = re.compile(
        r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{\d+,\d+\}|[A-Za-z][\w-]*|[()|?*+]'
    )
    done: dict[str, str] = {}

    def translated(name: str) -> str:
        if name not in done:
            parts: list[str] = []
            for piece in token.findall(rules[name]):
                if piece.startswith('"'):
                    parts.append(re.escape(_unescaped(piece[1:-1])))
                elif piece[0].isalpha():
                    parts.append(translated(piece))
                else:
                    parts.append("(?:" if piece == "(" else piece)
            done[name] = f"(?:{''.join(parts)})"
        return done[name]

    return re.compile(translated("root"))


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)


@pytest.fixture(scope="module")
def plans() -> re.Pattern[str]:
    return _pattern(plan_grammar(ALL, limits=GrammarLimits(max_tasks=3)))


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
    later = _pattern(
        plan_grammar(TOOLS, first_id=4, earlier=[1, 3], limits=GrammarLimits(max_tasks=1))
    )
    assert later.fullmatch("4 search(query=$3)\njoin")
    assert later.fullmatch("4 search(query=$2)\njoin") is None
    assert later.fullmatch('1 search(query="a")\njoin') is None


def test_a_repair_is_the_wanted_lines_and_nothing_else() -> None:
    wanted = _pattern(lines_grammar(TOOLS, [2, 4], known=[1, 2, 3, 4]))
    assert wanted.fullmatch("2 search(query=$1)\n4 search(query=$3)")
    assert wanted.fullmatch("2 search(query=$3)\n4 search(query=$3)") is None
    assert wanted.fullmatch("2 search(query=$1)") is None


def test_texts_are_bounded_so_that_a_plan_ends() -> None:
    short = _pattern(plan_grammar(TOOLS, limits=GrammarLimits(max_tasks=1, max_text=4)))
    assert short.fullmatch('1 search(query="abcd")\njoin')
    assert short.fullmatch('1 search(query="abcde")\njoin') is None


def test_hostile_names_of_tools_stay_inside_their_literals() -> None:
    tool = spec('a"b\\c', {'x"': TEXT})
    grammar = _pattern(plan_grammar([tool], limits=GrammarLimits(max_tasks=1)))
    assert grammar.fullmatch('1 a"b\\c(x"="v")\njoin')


def test_the_prompt_is_one_text_whatever_the_order_of_the_tools() -> None:
    assert system_text(ALL) == system_text(reversed(ALL))
    shown = system_text(ALL)
    assert 'convert(value: number, unit: "m" | "ft", flags: [string] = null' in shown
    assert "person(name: string) -> {born: integer, works: [string]}: What person does." in shown
