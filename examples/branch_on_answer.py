"""`branch` decides at run time which of two subgraphs runs; the other one never does."""

from agentrt import Prompt, Runtime, branch, llm, tool, workflow
from agentrt.testing import ScriptedBackend


@tool(effects="none")
def is_long(text: str) -> bool:
    """Whether a text needs the large model."""
    return len(text) > 40


@llm(tier="small")
def quick_answer(question: str) -> Prompt[str]:
    return Prompt(question, system="Answer in one word.")


@llm
def careful_answer(question: str) -> Prompt[str]:
    return Prompt(question, system="Think step by step.")


@workflow
def answer(question: str) -> str:
    return branch(
        is_long(question),
        then=lambda: careful_answer(question),
        otherwise=lambda: quick_answer(question),
    )


if __name__ == "__main__":
    backend = ScriptedBackend({"quick_answer": "Four.", "careful_answer": "First, ..."})
    print(Runtime(backend).run_sync(answer, "2 + 2?"))
    print([request.node_id for request in backend.requests])
