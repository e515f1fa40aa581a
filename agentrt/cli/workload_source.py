"""The workload a command names: a file, a folder, or one that is made up."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TextIO

from agentrt.cli.failure import UsageError
from agentrt.errors import InputError
from agentrt.ir.workload import Workload
from agentrt.simulator.workloads import (
    FORMATS,
    format_of_lines,
    format_of_name,
    generate,
    preset,
    read_as,
)
from agentrt.simulator.workloads.presets import PRESETS

MADE = "made:"
_MADE_PROGRAMS = 100
_GZIP_MARK = b"\x1f\x8b"
_DATA = (".jsonl", ".csv", ".jsonl.gz", ".csv.gz")


def workload_source(
    name: str, *, format_name: str | None, programs: int | None
) -> Callable[[int], Workload]:
    """What gives the workload of a seed; nothing is read before that. It can be pickled.

    Args:
        programs: How many to make (100 by default), or to take of a file, the first ones.
    """
    if format_name is not None and format_name not in FORMATS:
        raise UsageError(
            f"no workload format {format_name[:40]!r}", hint=f"there are: {', '.join(FORMATS)}"
        )
    if name.startswith(MADE):
        kind = name.removeprefix(MADE)
        if format_name is not None:
            raise UsageError("--format is for files", hint=f"leave it out with {MADE}{kind}")
        return partial(_made, kind, programs or _MADE_PROGRAMS)
    if not Path(name).exists():
        made = ", ".join(MADE + kind for kind in PRESETS)
        raise UsageError(f"no workload {name!r}", hint=f"name a file, a folder, or one of: {made}")
    return partial(_from_disk, Path(name), format_name, programs)


# Functions with names, not lambdas: they are sent to other processes.
def _made(kind: str, programs: int, seed: int) -> Workload:
    return generate(preset(kind, programs=programs), seed=seed)


def _from_disk(path: Path, format_name: str | None, programs: int | None, seed: int) -> Workload:
    return _first(_read(path, format_name, seed), programs)


def _first(workload: Workload, programs: int | None) -> Workload:
    if programs is None or programs >= len(workload.programs):
        return workload
    return replace(workload, programs=workload.programs[:programs])


def _read(path: Path, format_name: str | None, seed: int) -> Workload:
    """What is on disk, with the file's name before whatever is wrong with it."""
    try:
        if path.is_dir():
            found, files = _folder(path, format_name)
            workload = read_as(found, _lines(files), seed=seed)
        elif format_name is not None:
            workload = read_as(format_name, _lines([path]), seed=seed)
        else:
            found, lines = format_of_lines(_lines([path]))
            workload = read_as(found, lines, seed=seed)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: compressed, and damaged or cut short: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    return replace(workload, name=workload.name or path.name)


def _folder(path: Path, format_name: str | None) -> tuple[str, list[Path]]:
    """The format of a folder and its files; a name that is forced takes those that have it."""
    home = path.resolve()
    names = {
        f"{home.name}/{file.relative_to(home).as_posix()}": file
        for file in sorted(home.rglob("*"))
        if file.is_file() and file.name.endswith(_DATA)
    }
    if not names:
        raise InputError("no .jsonl or .csv file in the folder, plain or .gz")
    if format_name is None:
        found, chosen = format_of_name(list(names))
        return found, [names[name] for name in chosen]
    fitting = [file for name, file in names.items() if _is_named(name, format_name)]
    return format_name, fitting or list(names.values())


def _is_named(name: str, format_name: str) -> bool:
    try:
        return format_of_name([name])[0] == format_name
    except InputError:
        return False


def _lines(files: list[Path]) -> Iterator[str]:
    """The lines of all files, one after another; gzip is told by how a file begins.

    Of several tables the heading counts once.
    """
    heading: str | None = None
    is_empty = True
    for path in files:
        with path.open("rb") as probe:
            is_gzip = probe.read(len(_GZIP_MARK)) == _GZIP_MARK
        with _opened(path, is_gzip=is_gzip) as file:
            for at, line in enumerate(file):
                is_empty = False
                if at == 0 and path.name.removesuffix(".gz").endswith(".csv"):
                    if line == heading:
                        continue
                    heading = line
                yield line
    if is_empty:
        raise InputError("it is empty")


def _opened(path: Path, *, is_gzip: bool) -> TextIO:
    if is_gzip:
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")
