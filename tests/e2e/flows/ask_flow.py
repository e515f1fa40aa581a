"""One call of a language model."""

from agentrt import Prompt, llm, workflow


@llm(max_tokens=16, temperature=0.0)
def answer(question: str) -> Prompt[str]:
    return Prompt(question, system="Answer in one sentence.")


@workflow
def ask(question: str = "What is the capital of France?") -> str:
    return answer(question)
