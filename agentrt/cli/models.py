"""`agentrt models`: what there is, and getting it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrt.cli.connection import environment_settings
from agentrt.cli.output import Answers, tell

if TYPE_CHECKING:
    from agentrt.backends.models import ModelStatus


def print_models(answers: Answers, *, is_json: bool) -> int:
    """Print a line for each model: its name, size, licence and whether it is here."""
    from agentrt.backends.models import DEFAULT_MODEL, list_models  # noqa: PLC0415

    models = list_models(cache_dir=environment_settings().cache_dir)
    if is_json:
        answers.json({"models": [_model_json(model) for model in models], "default": DEFAULT_MODEL})
        return 0
    width = max(len(model.name) for model in models)
    for model in models:
        here = "here" if model.path else "    "
        default = " (default)" if model.name == DEFAULT_MODEL else ""
        answers.text(
            f"{model.name.ljust(width)}  {here}  {_size(model.size_bytes):>7}  "
            f"{model.licence.ljust(12)}  {model.summary}{default}"
        )
    tell("agentrt models pull NAME gets one; any hf:owner/repo[:file] or .gguf path works too")
    return 0


def pull_model(answers: Answers, name: str, *, is_json: bool, is_quiet: bool) -> int:
    """Get a model, with a progress bar on a terminal; print where it lies."""
    from agentrt.backends.models import pull  # noqa: PLC0415  only this command's

    cache_dir = environment_settings().cache_dir
    if is_quiet or not sys.stderr.isatty():
        path = pull(name, cache_dir=cache_dir)
    else:
        path = _pull_with_bar(name, cache_dir)
    if is_json:
        answers.json({"name": name, "path": str(path), "size_bytes": path.stat().st_size})
    else:
        answers.text(str(path))
    return 0


def _pull_with_bar(name: str, cache_dir: Path | None) -> Path:
    from rich.console import Console  # noqa: PLC0415  rich is loaded only where it draws
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TransferSpeedColumn,
    )

    from agentrt.backends.models import pull  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)

        def on_progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        return pull(name, on_progress=on_progress, cache_dir=cache_dir)


def _model_json(model: ModelStatus) -> dict[str, Any]:
    return {
        "name": model.name,
        "path": str(model.path) if model.path else None,
        "size_bytes": model.size_bytes,
        "licence": model.licence,
        "summary": model.summary,
        "sources": list(model.sources),
    }


def _size(size_bytes: int) -> str:
    if not size_bytes:
        return "?"
    megabytes = size_bytes / 1e6
    return f"{megabytes:,.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"  # noqa: PLR2004  MB in a GB
