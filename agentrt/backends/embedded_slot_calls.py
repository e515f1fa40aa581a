"""What is asked of the embedded engine about its slots, beside requests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from agentrt.backends.embedded_saves import SaveArea
from agentrt.backends.embedded_states import Saved
from agentrt.backends.http_connection import HttpConnection
from agentrt.backends.wire import (
    message_json,
    parse_completion,
    parse_json,
    request_body,
    tool_json,
)
from agentrt.errors import BackendError
from agentrt.ir.prompt_break import common_length
from agentrt.ir.request import Message, Request


class SlotCalls:
    """All of them raise `BackendError` where the engine refuses or is gone."""

    def __init__(self, connection: HttpConnection, saves: SaveArea) -> None:
        self._connection = connection
        self._saves = saves

    async def evaluate(self, slot_id: int, prompt: str) -> int:
        """Compute a rendered prompt in a slot; how many tokens were not there."""
        body = {"prompt": prompt, "n_predict": 0, "id_slot": slot_id, "cache_prompt": True}
        answer = await self._post("completion", body)
        return int(answer["timings"]["prompt_n"])

    async def compute(self, slot_id: int, request: Request) -> int:
        """Compute the prompt of `request` in a slot; how many tokens were not there.

        In the very form in which it is asked afterwards, less what constrains its answer.
        """
        plain = replace(request, output_schema=None, grammar=None)
        body = request_body(plain, model="") | {"max_tokens": 0, "id_slot": slot_id}
        answer = await self._post("v1/chat/completions", body)
        usage = parse_completion(answer, url=self._connection.url).usage
        return usage.prompt_tokens - usage.cached_tokens

    async def save(self, slot_id: int, *, computed_tokens: int = 0) -> Saved:
        """Write what a slot holds to a new file.

        Raises:
            OSError: there is no room for one.
        """
        file = self._saves.create()
        saving = asyncio.create_task(self._post(f"slots/{slot_id}?action=save", {"filename": file}))
        try:
            # Broken off here, the engine may still be about to write it: so it is heard out.
            answer = await asyncio.shield(saving)
        except BaseException:
            saving.add_done_callback(lambda done: self._remove_if_answered(file, done))
            raise
        return Saved(
            file=file, size_bytes=int(answer["n_written"]), computed_tokens=computed_tokens
        )

    def _remove_if_answered(self, file: str, saving: asyncio.Task[dict[str, Any]]) -> None:
        """Where the engine was lost instead, only its end is certain: see `MemoryFiles`."""
        error = asyncio.CancelledError() if saving.cancelled() else saving.exception()
        if error is None or (isinstance(error, BackendError) and error.status is not None):
            self._saves.remove(file)

    async def restore(self, slot_id: int, file: str) -> None:
        """Have a slot hold what was saved."""
        await self._post(f"slots/{slot_id}?action=restore", {"filename": file})

    async def clear(self, slot_id: int) -> None:
        """Have a slot hold nothing that any prompt begins with."""
        # What was in it goes to the engine's memory: so it does whenever a prompt is unlike the last.
        await self._post("completion", {"prompt": "x", "n_predict": 0, "id_slot": slot_id})

    async def rendered_prefix(self, request: Request) -> str:
        """The tokens that every request with these tools and system messages begins with."""
        system = [message for message in request.messages if message.role == "system"]
        prompts: list[str] = []
        for question in ("a", "b"):
            messages = [*system, Message("user", question)]
            body = {
                "messages": [message_json(message) for message in messages],
                **({"tools": [tool_json(tool) for tool in request.tools]} if request.tools else {}),
            }
            prompts.append(str((await self._post("apply-template", body))["prompt"]))
        return prompts[0][: common_length(*prompts)]

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"{self._connection.root_url}/{path}"
        async with self._connection.exchange("POST", url, body) as exchange:
            answer: dict[str, Any] = parse_json(await self._connection.read(exchange))
        return answer
