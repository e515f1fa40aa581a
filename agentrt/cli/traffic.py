"""Prompts and answers as they were recorded: of a stored run, or of a file."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from agentrt.cli.connection import place
from agentrt.cli.failure import UsageError
from agentrt.errors import InputError
from agentrt.ir.schema import canonical_json, is_list, is_object

Exchange: TypeAlias = tuple[str, str, str]
"""What kind of program it was of, the prompt, the answer."""

_GZIP_MARK = b"\x1f\x8b"


def recorded_traffic(name: str, store: str | None = None) -> Iterator[Exchange]:
    """The exchanges of a file if there is one of that name, else of the stored run, one at a time.

    The prompts of a conversation have each other's text: together they are far longer than the file.

    Raises:
        UsageError: the file cannot be read.
        InputError: it is none that has text.
        StoreError: there is no such run.
    """
    path = Path(name)
    has_found = False
    for exchange in _of_file(path) if path.is_file() else _of_run(name, store):
        has_found = True
        yield exchange
    if not has_found:
        raise InputError(f"{name}: no answer with text in it")


def _of_run(run_id: str, store: str | None) -> Iterator[Exchange]:
    from agentrt.cli.stored import load_run  # noqa: PLC0415  loads the store
    from agentrt.runtime.stored_prompts import prompts_of  # noqa: PLC0415

    stored = asyncio.run(load_run(place(store), run_id))
    answers = {node.node_id: node.value for node in stored.nodes if node.status == "finished"}
    for node_id, prompt in prompts_of(stored).items():
        if node_id in answers:
            kind = f"{stored.run.workflow}.{node_id.split('[')[0]}"
            text = "".join(message.content for message in prompt.messages)
            yield kind, text, _text(answers[node_id])


def _of_file(path: Path) -> Iterator[Exchange]:
    # Not `splitlines`: JSON may have other line ends, such as U+2028, in the middle of a text.
    for number, line in enumerate(_text_in(path).split("\n"), 1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}: no lines of JSON: line {number}: {error}") from error
            yield from _of_line(value, f"{path}, line {number}")


def _text_in(path: Path) -> str:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if raw.startswith(_GZIP_MARK) else raw).decode()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (ValueError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: no lines of JSON: {error}") from error


def _of_line(line: Any, where: str) -> Iterator[Exchange]:
    """A recorded call, a conversation, a prompt with its answer, or a session of calls."""
    if not is_object(line):
        raise InputError(f"{where}: not an object")
    content = line.get("request")
    if is_object(content) and is_object(line.get("completion")):
        asked = content.get("messages")
        prompt = "".join(map(_answer, asked)) if is_list(asked) else ""
        yield _kind(line), prompt, _answer(line["completion"])
    elif is_list(line.get("messages")):
        yield from _of_conversation(_kind(line), line["messages"])
    elif is_list(line.get("turns")):
        yield from _of_session(_kind(line), line["turns"], where)
    elif isinstance(line.get("prompt"), str):
        yield _kind(line), line["prompt"], _text(line.get("answer", line.get("completion", "")))


def _of_conversation(kind: str, messages: list[Any]) -> Iterator[Exchange]:
    before = ""
    for message in messages:
        text = _answer(message)
        if text and message.get("role") == "assistant":
            yield kind, before, text
        before += text


def _of_session(kind: str, turns: list[Any], where: str) -> Iterator[Exchange]:
    """Each prompt is the beginning of the one before, and a tail."""
    prompt = ""
    for turn in turns:
        try:
            prompt = prompt[: int(turn["keep"])] + turn["tail"]
            yield kind, prompt, _text(turn["output"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{where}: a turn without keep, tail and output") from error


def _answer(message: Any) -> str:
    if not is_object(message):
        return ""
    calls = message.get("tool_calls")
    return _text(message.get("content", message.get("text"))) + (_text(calls) if calls else "")


def _kind(line: Any) -> str:
    named = (str(line[key]) for key in ("workflow", "kind", "node_id") if line.get(key))
    return next(named, "").split("[")[0]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical_json(value)
