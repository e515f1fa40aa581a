"""Test an agent without a model and without waiting: a script answers, and time jumps."""

import asyncio

from agentrt import Prompt, Runtime, llm, tool, workflow
from agentrt.testing import ScriptedBackend, VirtualClock


@tool(effects="read", timeout_s=60)
async def slow_search(query: str) -> str:
    """Takes its time."""
    await asyncio.sleep(30)
    return f"found {query}"


@llm
def answer(passage: str) -> Prompt[str]:
    return Prompt(f"Answer from: {passage}")


@workflow
def research(question: str) -> str:
    return answer(slow_search(question))


def test_the_model_is_asked_about_what_was_found() -> None:
    backend, clock = ScriptedBackend({"answer": "blue"}), VirtualClock()
    assert Runtime(backend, clock=clock).run_sync(research, "the sky") == "blue"
    assert backend.requests[0].messages[-1].content == "Answer from: found the sky"
    assert clock.now() == 30.0  # and yet nobody waited


if __name__ == "__main__":
    test_the_model_is_asked_about_what_was_found()
    print("passed")
