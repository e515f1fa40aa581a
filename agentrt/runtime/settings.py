"""What the environment says, read once at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Defaults for whoever starts a runtime.

    Attributes:
        backend: Where LLM calls go: `AGENTRT_BACKEND`, else the embedded model.
        small_backend: Where calls of the small tier go: `AGENTRT_SMALL_BACKEND`; None: as above.
        model: The model to ask for: `AGENTRT_MODEL`; None: the backend's only one, or its default.
        store: Where runs are kept: `AGENTRT_STORE`; None: a SQLite file under `data_dir`; `none`:
            nowhere.
        cache_dir: Model weights: `AGENTRT_CACHE`, else the user's cache directory.
        data_dir: Runs: `AGENTRT_DATA`, else the user's data directory.
    """

    backend: str = "local"
    small_backend: str | None = None
    model: str | None = None
    store: str | None = None
    cache_dir: Path
    data_dir: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Empty variables count as not set."""

        def given(name: str) -> str | None:
            return environ.get(name) or None

        return cls(
            backend=given("AGENTRT_BACKEND") or "local",
            small_backend=given("AGENTRT_SMALL_BACKEND"),
            model=given("AGENTRT_MODEL"),
            store=given("AGENTRT_STORE"),
            cache_dir=Path(given("AGENTRT_CACHE") or platformdirs.user_cache_path("agentrt")),
            data_dir=Path(given("AGENTRT_DATA") or platformdirs.user_data_path("agentrt")),
        )
