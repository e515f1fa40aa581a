"""Recorded programs as the requests that their agents made, for `tests.benchmarks.recognition`."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from agentrt.ir.request import Completion, Message, ToolCall
from tests.benchmarks.recognition_replay import Program, Turn

_ROLES = re.compile(r"(?:\A|\n\n)(user|assistant|system|tool): ")
_MOST_SESSIONS = 40
_BLOCKS_A_MESSAGE = 8


def data_folder() -> Path:
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    return Path(os.environ.get("AGENTRT_DATA_DIR") or beside)


def turns_of(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """A turn for each of the agent's own messages, with all before it as the prompt."""
    return tuple(
        Turn(tuple(messages[:at]), Completion(text=message.content, tool_calls=message.tool_calls))
        for at, message in enumerate(messages)
        if message.role == "assistant" and at
    )


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _prompts(session: dict[str, Any]) -> Iterator[tuple[str, str]]:
    prompt = ""
    for turn in session["turns"]:
        prompt = prompt[: turn["keep"]] + turn["tail"]
        if prompt:
            yield prompt, turn["output"]


def _miniswe(path: Path, *, has_answers: bool) -> Iterator[Program]:
    for session in _records(path):
        messages: list[Message] = []
        turns: list[Turn] = []
        before = ""
        for prompt, answer in _prompts(session):
            messages.append(Message("user", prompt[len(before) :].strip("\n")))
            before = prompt
            turns.append(Turn(tuple(messages), Completion(text=answer)))
            if has_answers:
                messages.append(Message("assistant", answer))
        yield Program(session["session_id"], tuple(turns))


def _miniswe_text(path: Path) -> Iterator[Program]:
    """As prompts of `/v1/completions`: text that grows by answers and what the tools return."""
    for program in _miniswe(path, has_answers=True):
        turns: list[Turn] = []
        for turn in program.turns:
            text = "\n\n".join(f"{one.role}: {one.content}" for one in turn.messages)
            prompt = Message("user", f"{text}\n\nassistant: ")
            turns.append(Turn((prompt,), turn.completion, "completions"))
        yield Program(program.name, tuple(turns))


def _magagent(path: Path) -> Iterator[Program]:
    for session in _records(path):
        turns: list[Turn] = []
        for prompt, answer in _prompts(session):
            parts = _ROLES.split(prompt)
            pairs = zip(parts[1::2], parts[2::2], strict=True)
            messages = tuple(Message(role, content) for role, content in pairs)  # type: ignore[arg-type]  # the pattern has only roles
            turns.append(Turn(messages, Completion(text=answer)))
        yield Program(session["session_id"], tuple(turns))


def _tau_bench(path: Path) -> Iterator[Program]:
    for at, record in enumerate(_records(path)):
        yield Program(f"chat-{at}", turns_of([_openai(message) for message in record["traj"]]))


def _openai(message: dict[str, Any]) -> Message:
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    )
    return Message(message["role"], _text(message["content"]), calls, message.get("tool_call_id"))


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if "text" in part)
    return content or ""


def _swe_agent(path: Path) -> Iterator[Program]:
    for at, record in enumerate(_records(path)):
        messages: list[Message] = []
        for message in record["prompt_messages"]:
            if message["role"] == "assistant":
                break
            messages.append(_openai({**message, "tool_calls": None}))
        for step in record["steps"]:
            messages.append(Message("assistant", step["response"] or step["action"] or ""))
            messages.append(Message("user", step["observation"] or ""))
        yield Program(f"run-{at}", turns_of(messages))


def _openhands(path: Path) -> Iterator[Program]:
    for at, record in enumerate(_records(path)):
        messages: list[Message] = []
        for event in record["events"]:
            arguments = event.get("args", {})
            if event.get("action") == "system":
                messages.append(Message("system", arguments["content"]))
            elif event.get("action") == "recall":
                pass
            elif "action" in event and event["source"] == "user":
                messages.append(Message("user", arguments.get("content", "")))
            elif "action" in event:
                call = ToolCall(f"call-{at}-{event['id']}", event["action"], json.dumps(arguments))
                messages.append(Message("assistant", arguments.get("thought") or "", (call,)))
            elif messages and messages[-1].tool_calls:
                cause = messages[-1].tool_calls[0].id
                messages.append(Message("tool", event.get("content", ""), tool_call_id=cause))
        yield Program(record["instance_id"], turns_of(messages))


def _fireact(path: Path) -> Iterator[Program]:
    for at, record in enumerate(_records(path)):
        messages = [Message(one["role"], one["content"]) for one in record["traj"]]
        yield Program(f"question-{at}", turns_of(messages))


def _weka(path: Path) -> Iterator[Program]:
    """Eight blocks a message; sub-agents are programs of their own: no text leads to them."""
    for at, record in enumerate(_records(path)):
        if at >= _MOST_SESSIONS:
            return
        own = [request for request in record["requests"] if request["type"] != "subagent"]
        chains = [(record["id"], own)]
        chains += (
            (f"{record['id']}/{request['agent_id']}", request["requests"])
            for request in record["requests"]
            if request["type"] == "subagent"
        )
        for name, requests in chains:
            for piece, turns in enumerate(_pieces(_block_turns(record["id"], requests))):
                yield Program(f"{name}#{piece}", tuple(turns))


def _pieces(turns: Iterable[Turn]) -> list[list[Turn]]:
    """Cut where less than half of the messages is kept: a block's hash covers all text before it."""
    pieces: list[list[Turn]] = []
    before: tuple[Message, ...] = ()
    for turn in turns:
        kept = sum(one == other for one, other in zip(before, turn.messages, strict=False))
        if not pieces or kept < len(before) / 2:
            pieces.append([])
        pieces[-1].append(turn)
        before = turn.messages
    return pieces


def _block_turns(scope: str, requests: Sequence[dict[str, Any]]) -> Iterator[Turn]:
    ids: list[int] = []
    for request in requests:
        del ids[request["keep"] :]
        for first, count in request["runs"]:
            ids.extend(range(first, first + count))
        full = len(ids) // _BLOCKS_A_MESSAGE * _BLOCKS_A_MESSAGE
        messages = tuple(
            Message(
                "assistant" if at // _BLOCKS_A_MESSAGE % 2 else "user",
                f"{scope}:{ids[at : at + _BLOCKS_A_MESSAGE]}",
            )
            for at in range(0, full, _BLOCKS_A_MESSAGE)
        )
        if messages:
            yield Turn(messages, Completion())


_READERS: dict[str, tuple[str, Callable[[Path], Iterator[Program]]]] = {
    "miniswe": ("lmcache_agent_trace/miniswe.jsonl.gz", lambda p: _miniswe(p, has_answers=True)),
    "miniswe, answers left out": (
        "lmcache_agent_trace/miniswe.jsonl.gz",
        lambda p: _miniswe(p, has_answers=False),
    ),
    "miniswe, as text": ("lmcache_agent_trace/miniswe.jsonl.gz", _miniswe_text),
    "magagent": ("lmcache_agent_trace/magagent.jsonl.gz", _magagent),
    "tau_bench": ("tau_bench_airline_gpt4o/trajectories.jsonl.gz", _tau_bench),
    "swe_agent": ("swe_agent_trajs/trajectories.jsonl.gz", _swe_agent),
    "openhands": ("openhands_multiswe/trajectories.jsonl.gz", _openhands),
    "fireact": ("fireact_hotpotqa/trajs.jsonl.gz", _fireact),
    "weka, blocks": ("claude_code_weka/traces.jsonl.gz", _weka),
}
SETS = tuple(_READERS)


def path_of(name: str) -> Path:
    return data_folder() / _READERS[name][0]


def recorded(name: str) -> list[Program]:
    """The programs of a set, as far as they have turns."""
    path, read = path_of(name), _READERS[name][1]
    return [program for program in read(path) if program.turns]
