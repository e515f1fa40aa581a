"""`run_many`: one workflow over many inputs at once; one that fails does not stop the others."""

import asyncio

from agentrt import Prompt, Runtime, llm, workflow
from agentrt.errors import RequestRejected
from agentrt.ir.request import Request
from agentrt.testing import ScriptedBackend


@llm
def capital(country: str) -> Prompt[str]:
    return Prompt(f"Capital of {country}?")


@workflow
def ask(country: str) -> str:
    return capital(country)


def script(request: Request) -> str | Exception:
    question = request.messages[-1].content
    answers = {"Capital of France?": "Paris", "Capital of Peru?": "Lima"}
    return answers.get(question, RequestRejected(f"cannot answer {question!r}"))


async def main() -> None:
    inputs = [{"country": name} for name in ("France", "Nowhere", "Peru")]
    async with Runtime(ScriptedBackend(script)) as runtime:
        for result in await runtime.run_many(ask, inputs, concurrency=2):
            print(result.status, result.output, result.error)


if __name__ == "__main__":
    asyncio.run(main())
