"""Backends by URL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from agentrt.backends.base import Backend
from agentrt.errors import InputError

if TYPE_CHECKING:
    from agentrt.backends.openai_http import HttpSettings

URL_FORMS = """\
  local                         the embedded engine with its default model
  local:NAME_OR_PATH            ... with a model of the catalogue, or a GGUF file
  openai+http(s)://HOST[/v1]    any OpenAI-compatible server (plain http(s):// means the same)
  vllm+http(s)://HOST           a vLLM server
  sglang+http(s)://HOST         an SGLang server
  replay:FILE                   completions recorded earlier; no model is asked
  record:FILE=URL               ask the backend at URL and record its completions"""

_SCHEMES = {
    f"{kind}{scheme}": (kind.rstrip("+") or "openai", scheme)
    for kind in ("", "openai+", "vllm+", "sglang+")
    for scheme in ("http", "https")
}


def connect(
    url: str,
    *,
    model: str | None = None,
    settings: HttpSettings | None = None,
    environ: Mapping[str, str] | None = None,
) -> Backend:
    """The backend at `url`; nothing is sent before its first use. `URL_FORMS` lists the forms.

    The API key is `AGENTRT_API_KEY` of `environ` (by default the process's), whatever the server;
    `OPENAI_API_KEY` is used only for `https://api.openai.com` and its regional hosts, because a key
    meant for one company must not reach whatever server a URL names.

    `model` is needed where the server serves several; `settings` are for HTTP backends.

    Raises:
        InputError: `url` has none of the known forms.
    """
    kind, _, rest = url.partition(":")
    match kind:
        case "local":
            environ = os.environ if environ is None else environ
            return _embedded(rest if ":" in url else None, model, environ)
        case "replay" if rest:
            from agentrt.backends.recording import ReplayBackend  # noqa: PLC0415  heavy

            return ReplayBackend(Path(rest).expanduser())
        case "record" if "=" in rest:
            from agentrt.backends.recording import RecordingBackend  # noqa: PLC0415  heavy

            file, _, inner = rest.partition("=")
            if not file:
                raise _unknown(url)
            return RecordingBackend(
                connect(inner, model=model, settings=settings, environ=environ),
                Path(file).expanduser(),
            )
        case _ if kind in _SCHEMES:
            return _http(url, model, settings, os.environ if environ is None else environ)
        case _:
            raise _unknown(url)


def api_key_for(host: str, *, is_secure: bool, environ: Mapping[str, str]) -> str | None:
    """The key to send to `host`, or None: see `connect` for the rule."""
    key = environ.get("AGENTRT_API_KEY", "").strip()
    is_openai = host == "api.openai.com" or host.endswith(".api.openai.com")
    if not key and is_openai and is_secure:
        key = environ.get("OPENAI_API_KEY", "").strip()
    return key or None


def _embedded(name: str | None, model: str | None, environ: Mapping[str, str]) -> Backend:
    """`name` is None where the URL names no model; weights are where `AGENTRT_CACHE` says."""
    from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings  # noqa: PLC0415  heavy

    if name == "":
        raise InputError(f"local: names no model. Backends are given as\n{URL_FORMS}")
    if name and model is not None and model != name:
        raise InputError(f"the backend says model {name!r} and the model option says {model!r}")
    cache = environ.get("AGENTRT_CACHE")
    settings = EmbeddedSettings(cache_dir=Path(cache) if cache else None)
    return EmbeddedBackend(name or model, settings=settings)


def _http(
    url: str, model: str | None, settings: HttpSettings | None, environ: Mapping[str, str]
) -> Backend:
    from agentrt.backends.openai_http import OpenAIBackend  # noqa: PLC0415  heavy
    from agentrt.backends.server_kind import SGLANG, VLLM  # noqa: PLC0415  heavy

    kind, scheme = _SCHEMES[url.partition(":")[0]]
    parts = _split(url)
    host = parts.hostname
    if not host:
        raise _unknown(url)
    return OpenAIBackend(
        parts._replace(scheme=scheme).geturl(),
        model=model,
        api_key=api_key_for(host, is_secure=scheme == "https", environ=environ),
        settings=settings,
        kind={"vllm": VLLM, "sglang": SGLANG}.get(kind),
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed only when it is read
    except ValueError as error:
        raise _unknown(url) from error
    return parts


def _unknown(url: str) -> InputError:
    # The URL may hold a key: show only what stands before anything that could be one.
    shown = url if "@" not in url and "?" not in url else url.partition(":")[0] + ":..."
    return InputError(f"{shown!r} is no backend. Backends are given as\n{URL_FORMS}")
