"""Which format a file or folder is in, by its first line or its name, and reading it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from agentrt.errors import InputError
from agentrt.ir.schema import is_list, is_object
from agentrt.ir.workload import ProgramTrace, Workload
from agentrt.simulator.workloads import (
    azure,
    format,  # noqa: A004  the module of our own format, always named with its package
    lmcache_magagent,
    lmcache_miniswe,
    mooncake,
    openhands,
    swe_agent,
    tau_bench,
    weka,
)

_READERS: dict[str, Callable[[Iterable[str], int], Workload]] = {
    "agentrt": lambda lines, _: format.read(lines),
    "azure": lambda lines, _: azure.read(lines),
    "lmcache_magagent": lambda lines, _: lmcache_magagent.read(lines),
    "lmcache_miniswe": lambda lines, seed: lmcache_miniswe.read(lines, seed=seed),
    "mooncake": lambda lines, _: mooncake.read(lines),
    "openhands": lambda lines, _: openhands.read(lines),
    "swe_agent": lambda lines, seed: swe_agent.read(lines, seed=seed),
    "tau_bench": lambda lines, seed: tau_bench.read(lines, seed=seed),
    "weka": lambda lines, _: weka.read(lines),
}

FORMATS: tuple[str, ...] = tuple(_READERS)
"""The names that `read_as` and `--format` take."""

_FIELDS: tuple[tuple[str, frozenset[str]], ...] = (
    ("agentrt", frozenset({format.MARK})),
    ("weka", frozenset({"block_size", "requests"})),
    ("mooncake", frozenset({"timestamp", "input_length", "hash_ids"})),
    ("openhands", frozenset({"instance_id", "token_usages", "events"})),
    ("swe_agent", frozenset({"steps", "prompt_messages"})),
    ("tau_bench", frozenset({"task_id", "traj"})),
)
_LMCACHE = frozenset({"session_id", "turns"})

_NAMES: tuple[tuple[str, str], ...] = (
    ("miniswe", "lmcache_miniswe"),
    ("magagent", "lmcache_magagent"),
    ("weka", "weka"),
    ("mooncake", "mooncake"),
    ("conversation_trace", "mooncake"),
    ("tau_bench", "tau_bench"),
    ("swe_agent", "swe_agent"),
    ("openhands", "openhands"),
    ("azure", "azure"),
    ("agentrt", "agentrt"),
)


def read_as(name: str, lines: Iterable[str], *, seed: int = 0) -> Workload:
    """`lines` in the format of that name. `seed` decides what has to be made up.

    Raises:
        InputError: there is no such format, or the lines are not in it.
    """
    reader = _READERS.get(name)
    if reader is None:
        raise InputError(f"no workload format {name[:40]!r}; there are: {', '.join(FORMATS)}")
    return _with_unique_ids(reader(lines, seed))


def _with_unique_ids(workload: Workload) -> Workload:
    """A source may run one task twice under one name: the second becomes `name#2`."""
    taken = {program.program_id for program in workload.programs}
    if len(taken) == len(workload.programs):
        return workload
    used: set[str] = set()
    programs: list[ProgramTrace] = []
    for program in workload.programs:
        program_id, count = program.program_id, 1
        while program_id in used or (count > 1 and program_id in taken):
            count += 1
            program_id = f"{program.program_id}#{count}"
        used.add(program_id)
        programs.append(replace(program, program_id=program_id))
    return replace(workload, programs=tuple(programs))


def format_of_lines(lines: Iterable[str]) -> tuple[str, Iterable[str]]:
    """The format of a file, and its lines again, the first included.

    Raises:
        InputError: no format begins like this.
    """
    rest = iter(lines)
    head: list[str] = []
    for line in rest:
        head.append(line)
        if line.strip():
            break
    return _format_of(head[-1] if head else ""), chain(head, rest)


def format_of_name(paths: Sequence[str]) -> tuple[str, list[str]]:
    """The format of a folder, and which of the files in it to read, in order.

    `paths` are the folder's own name and what is in it, as `folder/file`.

    Raises:
        InputError: no name says a format, or several do.
    """
    data = sorted(path for path in paths if _is_data(path))
    found = {name: [p for p in data if _format_named(p) == name] for name in FORMATS}
    fitting = {name: files for name, files in found.items() if files}
    if len(fitting) != 1:
        problem = f"names of {len(fitting)} formats" if fitting else "no name of a format"
        raise InputError(f"{problem} among the files; name a file or one of: {', '.join(FORMATS)}")
    return next(iter(fitting.items()))


def _is_data(path: str) -> bool:
    plain = path.removesuffix(".gz")
    return plain.endswith((".jsonl", ".csv"))


def _format_named(path: str) -> str | None:
    # The file's own name first: a folder may hold several formats.
    parts = path.replace("\\", "/").lower().split("/")
    for part in reversed(parts):
        for mark, name in _NAMES:
            if mark in part:
                return name
    return None


def _format_of(line: str) -> str:
    if line.strip() == ",".join(azure.HEADER):
        return "azure"
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        data = None
    if is_object(data):
        for name, fields in _FIELDS:
            if fields <= data.keys():
                return name
        if data.keys() >= _LMCACHE:
            return _lmcache_set(data)
    raise InputError(f"not a workload that is known; there are: {', '.join(FORMATS)}")


def _lmcache_set(data: dict[str, Any]) -> str:
    """The sets differ in how prompts are written out: magagent's messages name their roles."""
    turns = data["turns"]
    first = turns[0] if is_list(turns) and turns else None
    tail = first.get("tail") if is_object(first) else None
    is_chat = isinstance(tail, str) and tail.startswith(("user: ", "assistant: ", "system: "))
    return "lmcache_magagent" if is_chat else "lmcache_miniswe"
