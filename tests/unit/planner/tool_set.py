"""Tools as data, for tests of the planner."""

from agentrt.ir.schema import Schema
from agentrt.ir.tool import Effects, ToolSpec

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}


def spec(
    name: str,
    parameters: dict[str, Schema],
    *,
    output: Schema = TEXT,
    effects: Effects = "read",
    optional: tuple[str, ...] = (),
) -> ToolSpec:
    return ToolSpec(
        name=name,
        description=f"What {name} does.",
        parameters={
            "type": "object",
            "properties": parameters,
            "required": [each for each in parameters if each not in optional],
            "additionalProperties": False,
        },
        output=output,
        effects=effects,
    )


SEARCH = spec(
    "search", {"query": TEXT, "top": {"type": "integer", "default": 3}}, optional=("top",)
)
HEIGHT = spec("height", {"of": TEXT}, output=NUMBER)
SUBTRACT = spec("subtract", {"a": NUMBER, "b": NUMBER}, output=NUMBER, effects="none")
PERSON = spec(
    "person",
    {"name": TEXT},
    output={
        "type": "object",
        "properties": {"born": {"type": "integer"}, "works": {"type": "array", "items": TEXT}},
    },
)
NOTE = spec("note", {"text": TEXT}, effects="write")
TOOLS = (SEARCH, HEIGHT, SUBTRACT, PERSON)
