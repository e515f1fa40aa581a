"""`on_error="collect"`: a failing node skips what reads it; everything else goes on."""

import asyncio

from agentrt import Runtime, tool, workflow
from agentrt.testing import ScriptedBackend


@tool(effects="read", retries=0)
def fetch(city: str) -> float:
    """The temperature in a city."""
    if city == "Atlantis":
        raise LookupError("no such city")
    return 21.5


@workflow
def temperatures(cities: list[str]) -> list[float]:
    return fetch.map(cities)


async def main() -> None:
    async with Runtime(ScriptedBackend(), on_error="collect") as runtime:
        run = runtime.start(temperatures.bind(["Paris", "Atlantis", "Oslo"]))
        result = await run.wait()
    print(result.status, result.output)
    for node_id, error in result.errors.items():
        print(node_id, type(error).__name__, error)


if __name__ == "__main__":
    asyncio.run(main())
