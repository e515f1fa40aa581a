"""An LLM function that returns `Prompt[T]` gives a `T`, checked; its attributes can be used at once."""

from pydantic import BaseModel

from agentrt import Prompt, Runtime, llm, workflow
from agentrt.testing import ScriptedBackend


class Ticket(BaseModel):
    title: str
    is_urgent: bool
    components: list[str]


@llm
def triage(mail: str) -> Prompt[Ticket]:
    return Prompt(mail, system="Turn the mail into a ticket.")


@llm
def reply(title: str, components: list[str]) -> Prompt[str]:
    return Prompt(f"We look into: {title}. Tell the teams, politely:\n\n{components}")


@workflow
def handle(mail: str) -> str:
    ticket = triage(mail)
    return reply(ticket.title, ticket.components)  # projections: no code runs in between


TICKET = '{"title": "login fails", "is_urgent": true, "components": ["auth", "web"]}'

if __name__ == "__main__":
    backend = ScriptedBackend({"triage": TICKET, "reply": "We are on it."})
    print(Runtime(backend).run_sync(handle, "I cannot log in!"))
    print(backend.requests[1].messages[-1].content)
