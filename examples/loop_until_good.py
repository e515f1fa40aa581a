"""`loop` repeats a step on its own result until a condition holds, at most `max_steps` times."""

from agentrt import Prompt, Runtime, llm, loop, tool, workflow
from agentrt.testing import ScriptedBackend


@llm
def draft(topic: str) -> Prompt[str]:
    return Prompt(f"Write a line about {topic}.")


@llm
def shorten(text: str) -> Prompt[str]:
    return Prompt(f"Make this shorter: {text}")


@tool(effects="none")
def fits(text: str) -> bool:
    """Whether the line fits a headline."""
    return len(text) <= 20


@workflow
def headline(topic: str) -> str:
    return loop(shorten, draft(topic), until=fits, max_steps=5)


if __name__ == "__main__":
    backend = ScriptedBackend(
        {
            "draft": "The sky is blue because air scatters light",
            "shorten": ["Air scatters blue light most", "Air scatters blue"],
        }
    )
    print(Runtime(backend).run_sync(headline, "the sky"))
    print([request.node_id for request in backend.requests])
