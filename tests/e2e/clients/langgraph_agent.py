"""A LangGraph agent as its users write it; OPENAI_BASE_URL and OPENAI_API_KEY are all it is told.

Asked to `answer` a task, to `stream` the answer, or to go away (`leave`) once that has begun.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import httpx2
from langchain.agents import (  # type: ignore[import-not-found, unused-ignore]  # only with [clients]
    create_agent,
)
from langchain_openai import (  # type: ignore[import-not-found, unused-ignore]  # only with [clients]
    ChatOpenAI,
)


def weather(city: str) -> str:
    """The weather in a city, and what the gateway shows meanwhile."""
    page = os.environ["OPENAI_BASE_URL"].removesuffix("/v1") + "/programs"
    shown = httpx2.get(page, trust_env=False).json()["programs"]
    return json.dumps({"city": city, "weather": "sleet", "programs": shown})


async def main(model: str, how: str, tasks: list[str]) -> None:
    agent: Any = create_agent(ChatOpenAI(model=model, temperature=0), tools=[weather])
    async with asyncio.TaskGroup() as group:
        works = [group.create_task(work(agent, how, task)) for task in tasks]
    sys.stdout.write(json.dumps([work.result() for work in works]))


async def work(agent: Any, how: str, task: str) -> Any:
    asked = {"messages": [("user", task)]}
    if how == "answer":
        done = await agent.ainvoke(asked)
        return [message.model_dump(mode="json") for message in done["messages"]]
    text = ""
    stream = agent.astream(asked, stream_mode="messages")
    async for message, _ in stream:
        if message.type == "AIMessageChunk":
            text += message.content
            if how == "leave" and text:
                break
    await stream.aclose()
    return {"text": text, "left_at": time.monotonic()}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
