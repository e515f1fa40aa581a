"""Which models are on this machine, and where.

A file appears under its name only when it is complete and its checksum was right (see `pull`), so
finding it again checks no more than that it exists and begins as a GGUF file does; hashing a
gigabyte at every start would cost seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agentrt.backends.models.catalogue import CATALOGUE, ModelEntry, find_model, preferred_file
from agentrt.errors import ModelUnavailable

_MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """A model that can be named, and where it lies if it is here.

    Attributes:
        path: None: not on this machine.
        size_bytes: On disk where it is here, else of the download; 0: unknown.
    """

    name: str
    path: Path | None
    size_bytes: int
    licence: str
    summary: str
    sources: tuple[str, ...]


def models_dir(cache_dir: Path | None = None) -> Path:
    """Where models are kept: below `cache_dir`, or below the user's cache directory."""
    if cache_dir is None:
        # Here, not at the top: `import agentrt` should not pay for it.
        import platformdirs  # noqa: PLC0415

        cache_dir = platformdirs.user_cache_path("agentrt")
    return cache_dir / "models"


def list_models(*, cache_dir: Path | None = None) -> list[ModelStatus]:
    """The catalogue in its order, then what was pulled from the hub besides, by name."""
    known = [_status(entry, _find(entry, models_dir(cache_dir))) for entry in CATALOGUE]
    pulled = map(_pulled, sorted(models_dir(cache_dir).glob("hf--*/*.gguf")))
    return [*known, *pulled]


def locate(name: str, *, cache_dir: Path | None = None) -> Path | None:
    """The file of the model called `name`, or None where it has not been pulled.

    Raises:
        ModelUnavailable: there is no such name.
    """
    return _find(find_model(name), models_dir(cache_dir))


def resolve(name_or_path: str, *, cache_dir: Path | None = None) -> Path:
    """The GGUF file that a name, or a path, stands for.

    Raises:
        ModelUnavailable: it is not on this machine; the message says how to get it.
    """
    if is_path(name_or_path):
        return _given_file(Path(name_or_path).expanduser())
    path = locate(name_or_path, cache_dir=cache_dir)
    if path is None:
        raise ModelUnavailable(
            f"the model {name_or_path} is not on this machine (looked in {models_dir(cache_dir)});"
            f" get it with `agentrt models pull {name_or_path}`"
        )
    return path


def is_path(name_or_path: str) -> bool:
    """Whether it names a file rather than a model."""
    return not name_or_path.startswith("hf:") and (
        name_or_path.lower().endswith(".gguf") or "/" in name_or_path or "\\" in name_or_path
    )


def is_gguf(path: Path) -> bool:
    """Whether a file is there and begins as a GGUF file does."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _given_file(path: Path) -> Path:
    if not path.is_file():
        raise ModelUnavailable(f"no file {path}")
    if not is_gguf(path):
        raise ModelUnavailable(f"{path} is not a GGUF file (or cannot be read)")
    return path


def _find(entry: ModelEntry, folder: Path) -> Path | None:
    path = folder / entry.file
    if entry.file.endswith("/"):
        chosen = preferred_file([found.name for found in path.glob("*.gguf")])
        if chosen is None:
            return None
        path /= chosen
    return path if is_gguf(path) else None


def _pulled(path: Path) -> ModelStatus:
    try:
        entry = find_model(_hub_name(path))
    except ModelUnavailable:
        entry = ModelEntry(name=str(path), file=path.name)  # a name that no hub's can be written as
    return _status(entry, path)


def _status(entry: ModelEntry, path: Path | None) -> ModelStatus:
    return ModelStatus(
        name=entry.name,
        path=path,
        size_bytes=path.stat().st_size if path else entry.size_bytes,
        licence=entry.licence,
        summary=entry.summary,
        sources=tuple(str(source) for source in entry.sources),
    )


def _hub_name(path: Path) -> str:
    owner, _, repo = path.parent.name.removeprefix("hf--").partition("--")
    return f"hf:{owner}/{repo}:{path.name}"
