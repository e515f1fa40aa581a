"""An agent of the OpenAI Agents SDK; OPENAI_BASE_URL and OPENAI_API_KEY are all it is told.

Asked to `answer` a task, with `responses` as the SDK does by default, or with chat completions as
those have to who use another engine; to `stream` the answer; or to go away (`leave`) once that has begun.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import agents  # type: ignore[import-not-found, unused-ignore]  # only with [clients]
import httpx2


def weather(city: str) -> str:
    """The weather in a city, and what the gateway shows meanwhile."""
    page = os.environ["OPENAI_BASE_URL"].removesuffix("/v1") + "/programs"
    shown = httpx2.get(page, trust_env=False).json()["programs"]
    return json.dumps({"city": city, "weather": "sleet", "programs": shown})


async def main(model: str, how: str, tasks: list[str]) -> None:
    agents.set_tracing_disabled(True)  # its traces go to OpenAI, not to where its requests go
    # Named, as the SDK takes what stands before a slash in a model's name for a provider's.
    provider = agents.OpenAIProvider(use_responses=how == "responses")
    config = agents.RunConfig(model_provider=provider)
    agent: Any = agents.Agent(
        name="Reporter",
        instructions="Call a tool when you lack facts, then answer in one sentence.",
        model=model,
        model_settings=agents.ModelSettings(temperature=0),
        tools=[agents.function_tool(weather)],
    )
    async with asyncio.TaskGroup() as group:
        works = [group.create_task(work(agent, config, how, task)) for task in tasks]
    sys.stdout.write(json.dumps([work.result() for work in works]))


async def work(agent: Any, config: Any, how: str, task: str) -> Any:
    if how in {"answer", "responses"}:
        done = await agents.Runner.run(agent, task, run_config=config)
        return done.to_input_list()
    text = ""
    streaming = agents.Runner.run_streamed(agent, task, run_config=config)
    async for found in streaming.stream_events():
        if found.type == "raw_response_event" and found.data.type == "response.output_text.delta":
            text += found.data.delta
            if how == "leave":
                streaming.cancel()
    return {"text": text, "left_at": time.monotonic()}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
