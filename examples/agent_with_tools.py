"""`@agent`: a model calls tools, turn after turn, until it answers or a limit ends it."""

from agentrt import Prompt, Runtime, agent, tool, workflow
from agentrt.ir.request import Completion, ToolCall
from agentrt.testing import ScriptedBackend

STOCK = {"apples": 3, "pears": 0}


@tool(effects="read", retries=0)
def in_stock(product: str) -> int:
    """How many of a product there are."""
    return STOCK[product]  # what it raises goes back to the model


@agent(tools=[in_stock], max_turns=5)
def clerk(question: str) -> Prompt[str]:
    return Prompt(question, system="You work in a shop. Look before you answer.")


@workflow
def ask(question: str) -> str:
    return clerk(question)


TURNS: list[Completion | str] = [
    Completion(
        tool_calls=(
            ToolCall("1", "in_stock", '{"product": "apples"}'),
            ToolCall("2", "in_stock", '{"product": "plums"}'),
        )
    ),
    "Three apples; we do not sell plums.",
]

if __name__ == "__main__":
    backend = ScriptedBackend({"clerk": TURNS})
    print(Runtime(backend).run_sync(ask, "Apples and plums?"))
    print([message.content for message in backend.requests[1].messages if message.role == "tool"])
