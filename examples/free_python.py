"""Ordinary Python as one program: an OpenAI-shaped client, and tools with timeouts and records."""

import asyncio

from agentrt import Runtime, tool
from agentrt.testing import ScriptedBackend


@tool(effects="read", timeout_s=5)
async def look_up(word: str) -> str:
    """The meaning of a word."""
    return f"{word}: the bending of light"


async def main() -> None:
    async with Runtime(ScriptedBackend("Light bends in water.")) as runtime:
        async with runtime.program("explain") as program:
            found = await program.tool(look_up, "refraction")
            reply = await program.client.chat.completions.create(
                model="", messages=[{"role": "user", "content": f"Explain: {found}"}]
            )
            print(reply.choices[0].message.content)
        print([(node.node_id, node.status) for node in program.nodes])
        print(program.usage.prompt_tokens, "prompt tokens")


if __name__ == "__main__":
    asyncio.run(main())
