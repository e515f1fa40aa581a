"""A stored run goes on where it stopped: what had finished is not done again."""

import asyncio
import tempfile

from agentrt import Runtime, tool, workflow
from agentrt.testing import ScriptedBackend

network = {"is_up": False}


@tool(effects="read")
def download(name: str) -> str:
    print("downloading", name)
    return f"contents of {name}"


@tool(effects="write", is_idempotent=True, retries=0)
def upload(contents: str) -> str:
    if not network["is_up"]:
        raise ConnectionError("the network is down")
    return f"uploaded {contents}"


@workflow
def copy(name: str) -> str:
    return upload(download(name))


async def main(store: str) -> None:
    async with Runtime(ScriptedBackend(), store=store) as runtime:
        failed = await runtime.start(copy.bind("data.csv")).wait()
        print(failed.status, failed.error)
    network["is_up"] = True
    async with Runtime(ScriptedBackend(), store=store) as runtime:
        print(await (await runtime.resume(failed.run_id, copy)).result())


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(f"{folder}/runs.db"))
