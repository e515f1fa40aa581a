"""Record a backend's completions once, replay them byte for byte: no model, no network, no cost."""

import asyncio
import tempfile
from pathlib import Path

from agentrt import Prompt, Runtime, llm, workflow
from agentrt.testing import RecordingBackend, ScriptedBackend


@llm
def haiku(subject: str) -> Prompt[str]:
    return Prompt(f"A haiku about {subject}")


@workflow
def write(subject: str) -> str:
    return haiku(subject)


async def main(file: Path) -> None:
    model = ScriptedBackend(["old pond, a frog jumps"])  # answers once, then refuses
    recording = RecordingBackend(model, file)
    async with Runtime(recording) as runtime:
        poem = await runtime.run(write, "a pond")
        print("recorded:", poem)
    await recording.aclose()
    async with Runtime(f"replay:{file}") as runtime:
        poem = await runtime.run(write, "a pond")
        print("replayed:", poem)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder) / "haiku.jsonl"))
