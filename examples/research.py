"""The first program: two prompts and a tool, run on whatever backend is configured.

python examples/research.py          # the embedded model, or AGENTRT_BACKEND
"""

from typing import Annotated

from pydantic import Field

from agentrt import Prompt, llm, run, tool, workflow

# Limits that the backend can hold a model to while it writes.
Query = Annotated[str, Field(max_length=60)]
Queries = Annotated[list[Query], Field(min_length=3, max_length=3)]


@tool(effects="read", timeout_s=10)
async def search(query: str) -> str:
    """Return the best passage for `query`."""
    return f"{query}: air scatters blue light more than red light."


@llm(tier="small")
def queries(question: str) -> Prompt[Queries]:
    return Prompt(f"Write three search queries that together answer: {question}")


@llm(max_tokens=80)
def answer(question: str, passages: list[str]) -> Prompt[str]:
    return Prompt(f"{passages}\n\nQuestion: {question}", system="Answer from the passages only.")


@workflow
def research(question: str) -> str:
    return answer(question, search.map(queries(question)))


if __name__ == "__main__":
    print(run(research, "Why is the sky blue?"))
