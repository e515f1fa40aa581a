"""From the Hugging Face hub, or a mirror of it (`HF_ENDPOINT`, `HF_TOKEN`, as its own library reads them)."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import httpx

from agentrt.backends.models.catalogue import HubFile, preferred_file
from agentrt.backends.models.source import CHUNK_BYTES, Fetched, OnProgress, SourceFailed

_CONNECT_S = 3.0
_READ_S = 30.0


def fetch_from_hub(
    source: HubFile, work: Path, report: OnProgress, *, endpoint: str | None = None
) -> Fetched:
    """Download `source` into `work`. The hub states the checksum of what it serves.

    Raises:
        SourceFailed: the hub is out of reach, has no such file, or has other bytes under its name.
    """
    try:
        import huggingface_hub  # noqa: PLC0415  the extra `local`
    except ImportError as error:
        raise SourceFailed("huggingface-hub is not installed (the extra `local`)") from error
    try:
        file = source.file or _choose_file(source.repo, endpoint)
        url = huggingface_hub.hf_hub_url(source.repo, file, endpoint=endpoint)
        stated = huggingface_hub.get_hf_file_metadata(  # pyright: ignore[reportUnknownMemberType]
            url, timeout=_CONNECT_S
        )
    except Exception as error:  # its errors stem from several HTTP libraries
        raise SourceFailed(f"the hub: {_first_line(error)}") from error
    # Files kept in LFS have their SHA-256 for an ETag; the small ones a Git hash.
    sha256 = stated.etag if re.fullmatch("[0-9a-f]{64}", stated.etag or "") else None
    if source.sha256 and sha256 and sha256 != source.sha256:
        raise SourceFailed(f"it has other bytes there: expected {source.sha256}, got {sha256}")
    path = work / PurePosixPath(file).name
    # The token goes to the hub only: a redirect to its storage carries a signature of its own.
    at_hub = stated.location == url or not stated.location
    token = huggingface_hub.get_token() if at_hub else None
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    _download(stated.location or url, path, headers=headers, size=stated.size, report=report)
    if stated.size is not None and path.stat().st_size != stated.size:
        raise SourceFailed(f"{path.stat().st_size} bytes came, the hub said {stated.size}")
    name = path.name if source.file is None else None
    return Fetched(path=path, sha256=source.sha256 or sha256, file=name)


def _choose_file(repo: str, endpoint: str | None) -> str:
    import huggingface_hub  # noqa: PLC0415

    info = huggingface_hub.HfApi(endpoint=endpoint).model_info(repo, timeout=_CONNECT_S)
    files = [str(item.rfilename) for item in info.siblings or []]
    chosen = preferred_file(files)
    if chosen is None:
        whole = [file for file in files if file.lower().endswith(".gguf")]
        raise SourceFailed(
            f"name one of its files, hf:{repo}:FILE: {', '.join(sorted(whole)) or 'it has no GGUF'}"
        )
    return chosen


def _download(
    url: str, path: Path, *, headers: dict[str, str], size: int | None, report: OnProgress
) -> None:
    """At most `size` bytes and a chunk more: an answer that does not end must not fill the disk."""
    timeout = httpx.Timeout(_READ_S, connect=_CONNECT_S)
    try:
        with (
            httpx.stream(
                "GET", url, headers=headers, timeout=timeout, follow_redirects=True
            ) as answer,
            path.open("wb") as file,
        ):
            answer.raise_for_status()
            length = answer.headers.get("Content-Length")
            total = int(length) if length else None
            done = 0
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                report(done, total)
                if size is not None and done > size:
                    break
    except httpx.HTTPError as error:
        # A signed address is a credential for a while, so it stays out of the message.
        raise SourceFailed(f"the download broke off ({type(error).__name__})") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
