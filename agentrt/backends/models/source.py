"""What the ways of getting a model share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

OnProgress: TypeAlias = Callable[[int, int | None], None]
"""Told (bytes so far, bytes in all or None if unknown)."""

CHUNK_BYTES = 1 << 20


class SourceFailed(Exception):  # noqa: N818  it reads as what happened; never leaves this package
    """This source does not have the model, or is out of reach; another may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A complete file under a temporary name.

    Attributes:
        sha256: The checksum it must have; None: nobody states one.
        file: The name to keep it under; None: the catalogue's.
    """

    path: Path
    sha256: str | None
    file: str | None = None


def check_sum(fetched: Fetched, report: OnProgress) -> None:
    """Raise `SourceFailed` unless the file has the checksum it must have."""
    if fetched.sha256 is None:
        return
    digest = hashlib.sha256()
    size = fetched.path.stat().st_size
    with fetched.path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            report(size, size)  # a chance to stop
    if digest.hexdigest() != fetched.sha256:
        raise SourceFailed(
            f"the checksum of {fetched.path.name} is wrong: expected {fetched.sha256},"
            f" got {digest.hexdigest()}"
        )
