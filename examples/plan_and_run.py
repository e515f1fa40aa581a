"""`plan_and_run`: a model writes the graph; each task starts as soon as its line is complete."""

from agentrt import Runtime, plan_and_run, tool, workflow
from agentrt.testing import ScriptedBackend

METRES = {"Eiffel Tower": 330.0, "Big Ben": 96.0}


@tool(effects="read", retries=0)
def height(building: str) -> float:
    """How high a building is, in metres."""
    return METRES[building]  # what it raises is for the joiner to see


@tool(effects="none")
def subtract(a: float, b: float) -> float:
    """What a minus b is."""
    return a - b


@workflow
def ask(question: str) -> str:
    return plan_and_run(tools=[height, subtract], question=question, name="ask")


PLAN = """\
1 height(building="Eiffel Tower")
2 height(building="Big Ben")
3 subtract(a=$1, b=$2)
join"""

if __name__ == "__main__":
    backend = ScriptedBackend({"llm": PLAN, "join": '{"answer": "By 234 metres."}'})
    print(Runtime(backend).run_sync(ask, "How much higher is the Eiffel Tower than Big Ben?"))
    print(backend.requests[1].messages[-1].content.splitlines()[1:4])
