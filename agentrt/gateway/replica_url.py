"""The URLs of replicas. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

_SCHEMES = {
    f"{kind}{scheme}"
    for kind in ("", "openai+", "vllm+", "sglang+")
    for scheme in ("http", "https")
}
_FORMS = "expected vllm+http://HOST:PORT, sglang+http://HOST:PORT or openai+https://HOST"


def split_replica_url(url: str) -> tuple[str, str]:
    """The kind of server (`openai` where the URL names none) and its URL as HTTP clients take it.

    Raises:
        ValueError: it is none, or holds a key. The message does not show the URL.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _SCHEMES or not url.isprintable() or " " in url:
        raise ValueError(f"this is no URL of a replica: {_FORMS}")
    kind, plus, plain = scheme.rpartition("+")
    try:
        parts = urlsplit(f"{plain}://{rest}")
        has_host = bool(parts.hostname)
        _ = parts.port  # parsed only when it is read
    except ValueError as error:
        raise ValueError(f"this is no URL of a replica: {_FORMS}") from error
    if not has_host:
        raise ValueError(f"this URL names no host: {_FORMS}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "a URL of a replica has no user, password or parameters: they end up in logs. "
            "api_key_env or api_key_file say where the engine's key is"
        )
    return (kind if plus else "openai"), f"{plain}://{rest}"
