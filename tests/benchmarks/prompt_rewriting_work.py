"""Agent programs written the way people write them, and what steers a small model through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from agentrt import Prompt, agent, llm, loop, tool, workflow
from agentrt.backends.base import Backend, OnChunk
from agentrt.dsl.workflow import Workflow
from agentrt.ir.node import Layout
from agentrt.ir.request import Capabilities, Completion, Request, ToolCall, Usage

TURNS = 5
REVIEWERS = ("security", "performance", "style")
_RULES = " ".join(
    f"Rule {n}: when a report names component {n * 7 % 13}, check point {n * 5 % 11} of the handbook"
    " before you answer, and say which one it was."
    for n in range(24)
)
_INSTRUCTIONS = " ".join(
    f"Step {n}: weigh what the passages say of point {n * 3 % 7}, and leave out what they do not say."
    for n in range(14)
)


def _passages(question: str) -> list[str]:
    return [
        f"Passage {n} on {question}: " + f"the log of host {n} says that {question} came up. " * 6
        for n in range(3)
    ]


@tool(effects="read")
def clock(at: str) -> str:
    """The time."""
    return f"2026-11-20 10:{int(at) % 60:02}:{int(at) * 7 % 60:02}"


@tool(effects="none")
def retrieve(question: str) -> list[str]:
    """Passages on a question."""
    return _passages(question)


@tool(effects="read")
def write_note(text: str) -> str:
    """Keep a note for whoever reads the report after you, in a sentence or two of plain words."""
    return f"noted: {text}"


@tool(effects="read")
def search_logs(query: str, host: str = "any", limit: int = 20) -> str:
    """Search the logs of a host for lines that hold all words of the query, newest first."""
    return f"lines for {query}: " + f"10:00 {host} {query} was seen; " * 8


@tool(effects="read")
def read_file(path: str) -> str:
    """The text of a file in the repository, from its first line to its last."""
    return f"{path}: " + "value = compute(value)\n" * 10


@tool(effects="read")
def list_hosts(group: str = "all") -> str:
    """The hosts of a group, with the services that run on each of them."""
    return f"{group}: a1, a2, b1"


@tool(effects="none")
def begin(question: str) -> list[str]:
    """What is known before the first turn."""
    return [f"(the report says that {question})"]


@tool(effects="none")
def read_turn(run: str, done: list[str]) -> str:
    """What the clock is asked with."""
    return str(int(run) * 10 + len(done))


@tool(effects="none")
def note(done: list[str], thought: str) -> list[str]:
    """The transcript after a turn: a thought, and what was seen."""
    seen = f"Seen: {'10:00 timeout was seen; ' * 8}"
    return [*done, f"Thought: {thought}", seen]


@tool(effects="none")
def has_ended(done: list[str]) -> bool:
    """Whether all turns were taken."""
    return len(done) > 2 * TURNS


_TOOLS: list[Any] = [write_note, search_logs, read_file, list_hosts]
_ASKED = [
    ("search_logs", '{"query": "timeout"}'),
    ("read_file", '{"path": "app/main.py"}'),
    ("list_hosts", "{}"),
    ("search_logs", '{"query": "retry", "host": "a1"}'),
]


KINDS = ("summary", "agent", "reviewers", "scratchpad")

Program: TypeAlias = Workflow[..., Any]


def programs(layout: Layout) -> dict[str, Program]:
    """By kind: a summary of what was retrieved, an agent, three reviewers of one text, and an agent of
    the older sort, whose transcript is text and whose system prompt says the time anew each turn."""
    return {
        "summary": _summary(layout),
        "agent": _agent(layout),
        "reviewers": _reviewers(layout),
        "scratchpad": _scratchpad(layout),
    }


def _summary(layout: Layout) -> Program:
    @llm(layout=layout, max_tokens=24, temperature=0.0)
    def summarise(passages: list[str], question: str, now: str) -> Prompt[str]:
        return Prompt(
            f"{passages}\n\n{_INSTRUCTIONS}\n\nQuestion: {question}",
            system=f"You are an assistant for operators. The time is {now}.\n\n{_RULES}",
        )

    @workflow
    def summary(question: str, run: str) -> str:
        return summarise(retrieve(question), question, clock(run))

    return summary


def _agent(layout: Layout) -> Program:
    @agent(tools=_TOOLS, layout=layout, max_turns=TURNS, max_tokens=16, temperature=0.0)
    def triage(issue: str, run: str, now: str) -> Prompt[str]:
        return Prompt(
            f"Find out why {issue}.",
            system=f"Current time: {now}. Session {run}.\n\nYou are on call.\n\n{_RULES}",
        )

    @workflow
    def on_call(question: str, run: str) -> str:
        return triage(question, run, clock(run))

    return on_call


def _reviewers(layout: Layout) -> Program:
    @llm(layout=layout, max_tokens=16, temperature=0.0)
    def review(role: str, text: list[str], now: str) -> Prompt[str]:
        return Prompt(
            f"As a reviewer for {role}, it being {now}, read this.\n\n{text}\n\n{_INSTRUCTIONS}",
            system="You review reports.",
        )

    @workflow
    def reviews(question: str, run: str) -> list[str]:
        now = clock(run)
        found = retrieve(question)
        return [review(role, found, now) for role in REVIEWERS]

    return reviews


def _scratchpad(layout: Layout) -> Program:
    @llm(layout=layout, max_tokens=16, temperature=0.0)
    def think(issue: str, done: list[str], now: str) -> Prompt[str]:
        return Prompt(
            f"Find out why {issue}.\n\nDone so far:\n\n{done}\n\nThought:",
            system=f"You are on call. The time is {now}.\n\n{_RULES}",
        )

    @workflow
    def thinking(question: str, run: str) -> list[str]:
        def step(done: list[str]) -> list[str]:
            thought = think(question, done, clock(read_turn(run, done)))
            return note(done, thought)

        return loop(step, begin(question), until=has_ended, max_steps=TURNS)

    return thinking


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: what it cost, and what the model said before it was steered."""

    node_id: str
    run: str
    usage: Usage
    text: str


class Steered:
    """Another backend, whose answers to an agent's turns are replaced: a small model calls no tools.

    The model still reads each prompt and writes an answer, which is measured and not used.
    """

    def __init__(self, inner: Backend, *, salt: str = "") -> None:
        self._inner = inner
        self._salt = salt
        self.asked: list[Asked] = []

    @property
    def name(self) -> str:
        return self._inner.name

    async def capabilities(self) -> Capabilities:
        return await self._inner.capabilities()

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        extra: dict[str, Any] = {"cache_salt": self._salt} if self._salt else {}
        sent = replace(request, extra={**request.extra, **extra})
        completion = await self._inner.complete(sent, on_chunk=on_chunk)
        self.asked.append(
            Asked(request.node_id, request.program_id, completion.usage, completion.text)
        )
        if request.node_id.endswith("think"):
            return replace(completion, text="I should look at the logs of one more host.")
        turn = sum(message.role == "assistant" for message in request.messages)
        if not request.tools:
            return completion
        if turn >= TURNS - 1:
            return replace(completion, text="It was the timeout.", tool_calls=())
        name, arguments = _ASKED[turn % len(_ASKED)]
        call = ToolCall(f"call_{turn}", name, arguments)
        return replace(completion, text="", tool_calls=(call,), finish_reason="tool_calls")

    async def aclose(self) -> None:
        await self._inner.aclose()


def turns_of(asked: Sequence[Asked], run: str) -> list[Asked]:
    """The turns of the agent of one run, in order."""
    return sorted(
        (one for one in asked if one.run == run and one.node_id.startswith("triage[")),
        key=lambda one: int(one.node_id.partition("[")[2].partition("]")[0]),
    )
