"""`.map` calls a function for every item of a list that is known only at run time, all at once."""

import asyncio

from agentrt import Runtime, tool, workflow
from agentrt.testing import ScriptedBackend

together = asyncio.Barrier(3)  # opens when three calls are at it


@tool(effects="read")
async def list_pages(site: str) -> list[str]:
    """The pages of a site."""
    return [f"{site}/{page}" for page in ("about", "news", "jobs")]


@tool(effects="read", timeout_s=5)
async def fetch(page: str, language: str) -> str:
    """The text of a page."""
    await together.wait()
    return f"{page} in {language}"


@workflow
def crawl(site: str) -> list[str]:
    # Lists go by position; what is given by name is the same for every item.
    return fetch.map(list_pages(site), language="en")


if __name__ == "__main__":
    print(Runtime(ScriptedBackend()).run_sync(crawl, "example.org"))
