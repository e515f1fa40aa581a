"""Made-up agents: what holds of recorded ones can be tested without them, and at any number."""

from __future__ import annotations

import random

from agentrt.ir.request import Message, ToolCall
from tests.benchmarks.recognition_replay import Program
from tests.benchmarks.recognition_sets import turns_of

_WORDS = [
    "parser",
    "file",
    "test",
    "error",
    "line",
    "index",
    "cache",
    "token",
    "module",
    "import",
    "value",
    "return",
    "class",
    "check",
    "build",
    "config",
    "server",
    "client",
    "query",
    "table",
    "thread",
    "lock",
    "queue",
    "field",
    "type",
    "list",
    "array",
    "node",
    "graph",
]


def _sentence(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(words)).capitalize() + "."


def agents(programs: int, turns: int, *, seed: int, has_tools: bool = True) -> list[Program]:
    """Coding agents with one system prompt, some tasks in common, and many dull observations."""
    rng = random.Random(seed)
    system = Message("system", "\n".join(_sentence(rng, 12) for _ in range(20)))
    tasks = [_sentence(rng, 60) for _ in range(max(1, programs * 2 // 3))]
    made: list[Program] = []
    for at in range(programs):
        messages = [system, Message("user", tasks[at % len(tasks)])]
        for turn in range(turns):
            says = _sentence(rng, 12)
            seen = "" if rng.random() < 0.3 else _sentence(rng, 25)
            if has_tools:
                arguments = f'{{"command":"{_sentence(rng, 3)}"}}'
                call = ToolCall(f"call_{at}_{turn}", "bash", arguments)
                messages.append(Message("assistant", says, (call,)))
                messages.append(Message("tool", seen, tool_call_id=call.id))
            else:
                messages.append(Message("assistant", says))
                messages.append(Message("user", f"<output>{seen}</output>"))
        made.append(Program(f"agent-{at}", turns_of(messages)))
    return made
