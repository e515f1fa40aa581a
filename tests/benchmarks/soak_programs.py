"""What the clients of a soak do: programs of every kind, made of a seed."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.benchmarks.soak_answers import FAULTS, WORD
from tests.benchmarks.soak_client import LEAVING, Manner, Outcome, Post, send
from tests.benchmarks.soak_malformed import malformed
from tests.benchmarks.soak_world import MODELS, TENANTS

SENTINEL = "the-plan-is-to-sail-at-dawn"
WITHIN_S = 90.0
_HANGS = {"hang", "stall"}
_TASK = f"{SENTINEL} " + "word " * 400


@dataclass
class Ledger:
    """What all clients saw.

    Attributes:
        posts: Answers and errors to requests for answers, by status: all of these the gateway counts.
        left: How many of such requests their clients left: it may count each, or not have seen it.
        prompt_tokens: That whole answers said they took.
        problems: What must not be.
    """

    posts: Counter[int] = field(default_factory=Counter)
    came: Counter[str] = field(default_factory=Counter)
    left: int = 0
    prompt_tokens: int = 0
    requests: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, post: Post, outcome: Outcome, what: str) -> None:
        """A well-formed request for an answer is over."""
        self.requests += 1
        self.came[outcome.came] += 1
        if outcome.came in {"answer", "error"}:
            self.posts[outcome.status] += 1
        else:
            self.left += 1
        if outcome.came in {"late", "broken"}:
            self.problems.append(f"{what}: {outcome.came}: {outcome.why}")
        elif outcome.came == "answer":
            self.prompt_tokens += _prompt_tokens(outcome)
            _check(self, post, outcome, what)
        elif outcome.came == "error" and not _is_error(outcome):
            self.problems.append(
                f"{what}: {outcome.status} without an error: {outcome.body!r:.200}"
            )


@dataclass(frozen=True)
class Clients:
    """Attributes:
    more: Whether there is to be another request.
    """

    port: int
    keys: Mapping[str, str]
    ledger: Ledger
    more: Callable[[], bool]

    async def keep_asking(self, source: random.Random, number: int) -> None:
        """One program after another, until there are enough."""
        count = 0
        while self.more():
            count += 1
            name = f"{number}-{count}"
            kind = source.choices(
                (self._agent, self._fan_out, self._single, self._malformed), (6, 1, 4, 2)
            )[0]
            await kind(source, name)

    # -- programs ----------------------------------------------------------------------------

    async def _agent(self, source: random.Random, name: str) -> None:
        """Turns with tools between them, perhaps a sub-agent, and one of the ways to end."""
        tenant, model = source.choice(tuple(TENANTS)), source.choice(MODELS)
        session = f"s-{name}" if source.random() < 0.5 else ""
        end = source.choice(("final", "explicit", "quiet")) if session else "quiet"
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": f"You are agent {source.randrange(5)}."},
            {"role": "user", "content": f"{name} {_TASK}"},
        ]
        turns = source.randint(2, 6)
        for turn in range(turns):
            is_last = turn == turns - 1
            headers = {"X-Session-ID": session} if session else {}
            if is_last and end == "final":
                headers["X-Session-Final"] = "true"
            tools = () if is_last else ("bash",)
            outcome = await self._ask(
                source,
                f"{name}-{turn}",
                tenant,
                headers,
                model=model,
                messages=messages,
                tools=tools,
            )
            if outcome.came != "answer":
                break
            messages += _said(outcome, f"{name}-{turn}", tools)
            if session and source.random() < 0.2:
                await self._sub_agent(source, f"{name}-{turn}-sub", tenant, session, model)
            await asyncio.sleep(source.expovariate(50))
        if end == "explicit":
            headers = {"Authorization": f"Bearer {self.keys[tenant]}"}
            post = Post(path=f"/programs/{session}/end", headers=headers)
            ended = await send(self.port, post, within_s=WITHIN_S)
            if ended.status not in {200, 404}:
                self.ledger.problems.append(f"{name}: end: {ended}")

    async def _sub_agent(
        self, source: random.Random, name: str, tenant: str, parent: str, model: str
    ) -> None:
        headers = {"X-Session-ID": name, "X-Parent-Session-ID": parent}
        if source.random() < 0.5:
            headers["X-Session-Final"] = "true"
        messages = [{"role": "user", "content": f"{name} {_TASK}"}]
        await self._ask(source, name, tenant, headers, model=model, messages=messages)

    async def _fan_out(self, source: random.Random, name: str) -> None:
        """Calls of one program at once, with a prefix in common; some end it while others wait."""
        tenant, model = source.choice(tuple(TENANTS)), source.choice(MODELS)
        headers = {"X-Session-ID": f"f-{name}"}
        ends_at = source.choice((0, 7, 99))
        async with asyncio.TaskGroup() as tasks:
            for at in range(8):
                own = {"X-Session-Final": "1"} if at == ends_at else {}
                messages = [{"role": "user", "content": f"{name} {_TASK} {at}"}]
                call = self._ask(
                    random.Random(source.random()),
                    f"{name}-{at}",
                    tenant,
                    headers | own,
                    model=model,
                    messages=messages,
                )
                tasks.create_task(call)
            if ends_at == 7:
                await asyncio.sleep(0.02)
                own = {"Authorization": f"Bearer {self.keys[tenant]}"}
                await send(
                    self.port,
                    Post(path=f"/programs/f-{name}", method="DELETE", headers=own),
                    within_s=WITHIN_S,
                )

    async def _single(self, source: random.Random, name: str) -> None:
        tenant, model = source.choice(tuple(TENANTS)), source.choice(MODELS)
        path = source.choice(("completions", "responses", "embeddings", "chat/completions"))
        field_name = {"completions": "prompt", "chat/completions": "messages"}.get(path, "input")
        text: Any = f"{name} {_TASK}"
        if path == "chat/completions":
            text = [{"role": "user", "content": text}]
        await self._ask(
            source, name, tenant, {}, path=f"/v1/{path}", model=model, **{field_name: text}
        )

    async def _malformed(self, source: random.Random, name: str) -> None:
        tenant = source.choice(tuple(TENANTS))
        what, post, statuses, is_counted = malformed(source, self.keys[tenant])
        outcome = await send(self.port, post, within_s=WITHIN_S)
        self.ledger.requests += 1
        if is_counted and outcome.came in {"answer", "error"}:
            self.ledger.posts[outcome.status] += 1
        else:
            self.ledger.left += is_counted
        is_refused = not statuses and outcome.came in {"broken", "left"}
        if outcome.status not in (statuses or {400, 431}) and not is_refused:
            seen = f"{outcome.came} {outcome.status} {outcome.why} {outcome.body!r:.200}"
            self.ledger.problems.append(f"{name}: malformed ({what}): {seen}")

    # -- one request -------------------------------------------------------------------------

    async def _ask(
        self,
        source: random.Random,
        name: str,
        tenant: str,
        headers: Mapping[str, str],
        *,
        path: str = "/v1/chat/completions",
        tools: Sequence[str] = (),
        **body: Any,
    ) -> Outcome:
        """In a manner, and with a fault, of the seed's choosing."""
        is_streamed = path != "/v1/embeddings" and source.random() < 0.6
        manner: Manner = "polite"
        if source.random() < 0.12:
            manner = source.choice(LEAVING)
        elif source.random() < 0.04:
            manner = "slow"
        wish: dict[str, Any] = {"tokens": source.randint(2, 12), "gap_s": 0.002, "tools": tools}
        if manner == "slow":
            wish |= {"pad_bytes": 50_000, "gap_s": 0.0}
        fault = source.choice(FAULTS) if source.random() < 0.15 else ""
        if fault:
            wish |= {"fault": fault, "is_always": source.random() < 0.3}
        if fault in _HANGS or manner == "leaves queued":
            manner = "leaves queued"
        post = Post(
            path=path,
            headers={
                "Authorization": f"Bearer {self.keys[tenant]}",
                "X-Request-ID": name,
                "X-Soak": json.dumps(wish),
                **headers,
            },
            body=body | {"stream": is_streamed},
            manner=manner,
            leave_s=source.uniform(0, 0.3),
            is_reset=source.random() < 0.3,
        )
        outcome = await send(self.port, post, within_s=WITHIN_S)
        self.ledger.note(replace(post, body=wish), outcome, f"{name} {path} {manner} {fault!r}")
        return outcome


def _said(outcome: Outcome, name: str, tools: Sequence[str]) -> list[dict[str, Any]]:
    """What a client adds to its messages: what the answer was, and what its tools said."""
    text = _text(outcome)
    calls = [
        {
            "id": f"call-{name}-{at}",
            "type": "function",
            "function": {"name": tool, "arguments": '{"path": "a"}'},
        }
        for at, tool in enumerate(tools)
    ]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "ok " * 50} for call in calls
    ]
    if not calls:
        return [{"role": "assistant", "content": text}, {"role": "user", "content": "Go on."}]
    return [{"role": "assistant", "content": text, "tool_calls": calls}, *results]


def _events(outcome: Outcome) -> list[Any]:
    lines = outcome.body.decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def _is_stream(outcome: Outcome) -> bool:
    return "event-stream" in (outcome.headers or {}).get("content-type", "")


def _text(outcome: Outcome) -> str:
    """Of a chat's answer."""
    if not _is_stream(outcome):
        return str(outcome.json["choices"][0]["message"]["content"])
    choices = [event["choices"][0] for event in _events(outcome) if event.get("choices")]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def _check(ledger: Ledger, post: Post, outcome: Outcome, what: str) -> None:
    """It is the answer to this request, all of it, and to no other."""
    request_id = (post.headers or {})["X-Request-ID"]
    body = outcome.body.decode()
    named = request_id if "embeddings" in post.path else f"<{request_id}>"
    is_chat = post.path == "/v1/chat/completions"
    if named not in body:
        ledger.problems.append(f"{what}: the answer is another's: {body:.200}")
    elif is_chat and _text(outcome) != f"<{request_id}>" + WORD * post.body["tokens"]:
        ledger.problems.append(f"{what}: the answer is not whole: {body[-200:]}")


def _prompt_tokens(outcome: Outcome) -> int:
    """As the client was told; streams are told only where they asked for it, and none does."""
    if _is_stream(outcome):
        return 0
    usage = outcome.json.get("usage", {})
    return int(usage.get("prompt_tokens", 0))


def _is_error(outcome: Outcome) -> bool:
    if _is_stream(outcome):
        return b'"error"' in outcome.body
    try:
        return bool(outcome.json["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return False
