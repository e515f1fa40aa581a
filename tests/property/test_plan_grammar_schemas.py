"""Whatever the schemas of a tool say, what its grammar lets a model write is sound."""

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from agentrt.planner import GrammarLimits, Joined, PlanReader, TaskReady, plan_grammar
from agentrt.planner.prompt import system_text
from tests.unit.planner.gbnf import pattern
from tests.unit.planner.tool_set import spec

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)
constants: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(-9, 9) | names
leaves: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [{}, True, {"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}, {"$ref": "#/nowhere"}]
    ),
    st.sampled_from(["string", "integer", "number", "boolean", "null"]).map(lambda t: {"type": t}),
    st.fixed_dictionaries({"type": st.just("string"), "maxLength": st.integers(0, 3)}),
    st.fixed_dictionaries({"const": constants}),
    st.fixed_dictionaries({"enum": st.lists(constants, min_size=1, max_size=4)}),
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    inners = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("array"), "items": inner},
            optional={"minItems": st.integers(0, 2), "maxItems": st.integers(2, 3)},
        ),
        st.fixed_dictionaries({"type": st.just("array"), "prefixItems": inners}),
        st.fixed_dictionaries({"anyOf": inners}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=1)}),
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(names, inner, max_size=2)},
            optional={"required": st.lists(names, max_size=1)},
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.dictionaries(names, inner, max_size=2),
                "additionalProperties": st.just(value=False),
            }
        ),
    )


schemas = st.recursive(leaves, _nested, max_leaves=5)


@given(st.dictionaries(names, schemas, max_size=2), schemas, schemas, st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_a_grammar_allows_is_read(
    parameters: dict[str, Any], a: Any, b: Any, data: st.DataObject
) -> None:
    tool = spec("t", parameters, optional=tuple(parameters)[1:])
    tool = replace(tool, parameters={**tool.parameters, "$defs": {"A": a, "B": b}})
    assert system_text([tool])
    grammar = plan_grammar([tool], limits=GrammarLimits(max_tasks=1, max_text=2))
    plan = data.draw(st.from_regex(pattern(grammar), fullmatch=True))
    reader = PlanReader([tool])
    events = reader.feed(plan) + reader.close()
    # No grammar of this kind can say that the keys of a map differ.
    assume(not any("there twice" in bad.why for bad in reader.bad))
    assert [type(event) for event in events] == [TaskReady, Joined][-len(events) :]
