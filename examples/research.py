"""The first program: two prompts and a tool, run on whatever backend is configured.

python examples/research.py          # the embedded model, or AGENTRT_BACKEND
"""

from agentrt import Prompt, llm, run, tool, workflow


@tool(effects="read", timeout_s=10)
async def search(query: str) -> str:
    """Return the best passage for `query`."""
    return f"{query}: air scatters blue light more than red light."


@llm(tier="small", max_tokens=100)
def queries(question: str) -> Prompt[list[str]]:
    return Prompt(f"Write three search queries that together answer: {question}")


@llm(max_tokens=100)
def answer(question: str, passages: list[str]) -> Prompt[str]:
    return Prompt(f"{passages}\n\nQuestion: {question}", system="Answer from the passages only.")


@workflow
def research(question: str) -> str:
    return answer(question, search.map(queries(question)))


if __name__ == "__main__":
    print(run(research, "Why is the sky blue?"))
