"""A clock in the system message, where people write it."""

from datetime import UTC, datetime

from agentrt import Prompt, llm, tool, workflow


@tool(effects="read")
def now() -> str:
    return datetime.now(UTC).isoformat()


@llm(max_tokens=8)
def answer(question: str, time: str) -> Prompt[str]:
    return Prompt(question, system=f"It is {time}. " + "You answer in one word. " * 20)


@workflow
def clock(questions: list[str]) -> list[str]:
    return [answer(questions[number], now()) for number in range(6)]


@workflow
def other(question: str) -> str:
    return answer(question, now())
