"""A workflow called in a workflow becomes part of its graph; `.map` runs one for each item."""

from agentrt import Prompt, Runtime, llm, tool, workflow
from agentrt.testing import ScriptedBackend


@tool(effects="read")
def read(path: str) -> str:
    """The text of a file."""
    return f"(text of {path})"


@llm
def summarise(text: str) -> Prompt[str]:
    return Prompt(f"Summarise: {text}")


@llm
def combine(summaries: list[str]) -> Prompt[str]:
    return Prompt(f"Combine:\n\n{summaries}")


@workflow
def digest_one(path: str) -> str:
    return summarise(read(path))


@workflow
def digest(paths: list[str]) -> str:
    return combine(digest_one.map(paths))


if __name__ == "__main__":
    backend = ScriptedBackend({"summarise": "short", "combine": "all in all"})
    print(Runtime(backend).run_sync(digest, ["a.md", "b.md"]))
    print([request.node_id for request in backend.requests])
