"""What is known about kinds of servers before asking one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.backends.json_shape import is_array, is_object
from agentrt.ir.schema import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKind:
    """The defaults of one kind of server, and where it tells more.

    Attributes:
        owned_by: What `/v1/models` says for this kind.
        reports_cached_tokens: Whether answers say how much of the prompt was cached, unless set up
            otherwise.
        shares_prefixes: As in `Capabilities`, unless set up otherwise.
        has_metrics: Whether `/metrics` is there, unless set up otherwise.
        metrics_prefix: How the names of its metrics begin.
        info_path: A path that only this kind serves.
        limit_field: What the server calls the most tokens to write.
        grammar_path: Where in a request's body it takes a grammar in GBNF; empty: nowhere, as far as
            is known.
        dialects: Whose hints it understands, as in `EngineFields`.
        known_fields: Fields of a request's body beside the common ones that it knows for sure.
        takes_markers: Whether it takes Anthropic's `cache_control` on parts of messages.
        tells_fields: Whether it tells which fields it knows (`agentrt.backends.engine_features`).
        cached_tokens_hint: How its operator makes it report cached tokens.
        metrics_hint: How its operator makes it serve metrics.
    """

    name: str
    owned_by: str = ""
    reports_cached_tokens: bool = False
    shares_prefixes: bool = False
    has_metrics: bool = False
    metrics_prefix: str = ""
    info_path: str = ""
    limit_field: str = "max_tokens"
    grammar_path: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ()
    known_fields: tuple[str, ...] = ()
    takes_markers: bool = False
    tells_fields: bool = False
    cached_tokens_hint: str = ""
    metrics_hint: str = ""


GENERIC = ServerKind(name="openai")
OPENAI = ServerKind(
    name="api.openai.com",
    owned_by="openai",
    reports_cached_tokens=True,
    # Its newer models refuse max_tokens; all of them take this.
    limit_field="max_completion_tokens",
    dialects=("openai",),
    known_fields=("prompt_cache_key",),
)
# Hands markers on to providers that know them, and drops them before others.
OPENROUTER = ServerKind(name="openrouter.ai", reports_cached_tokens=True, takes_markers=True)
VLLM = ServerKind(
    name="vllm",
    owned_by="vllm",
    shares_prefixes=True,
    has_metrics=True,
    metrics_prefix="vllm:",
    info_path="/version",
    # xgrammar reads GBNF. Before 0.12 the field was `guided_grammar`.
    grammar_path=("structured_outputs", "grammar"),
    dialects=("vllm", "vllm-holds"),
    tells_fields=True,
    cached_tokens_hint="start vLLM with --enable-prompt-tokens-details",
)
SGLANG = ServerKind(
    name="sglang",
    owned_by="sglang",
    shares_prefixes=True,
    metrics_prefix="sglang:",
    info_path="/get_server_info",
    grammar_path=("ebnf",),
    dialects=("sglang",),
    tells_fields=True,
    cached_tokens_hint="start SGLang with --enable-cache-report",
    metrics_hint="start SGLang with --enable-metrics",
)
LLAMACPP = ServerKind(
    name="llama.cpp",
    owned_by="llamacpp",
    reports_cached_tokens=True,
    metrics_prefix="llamacpp:",
    info_path="/props",
    grammar_path=("grammar",),
    metrics_hint="start llama-server with --metrics",
)

KINDS = (VLLM, SGLANG, LLAMACPP)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelList:
    """What `/v1/models` says.

    Attributes:
        context_tokens: Of the first model that tells its context.
        kind: By who the models say owns them; None: nobody known.
    """

    names: tuple[str, ...] = ()
    context_tokens: int | None = None
    kind: ServerKind | None = None


def kind_of_host(host: str) -> ServerKind | None:
    """Of services that are known by their name; None: any server could be there."""
    if host.endswith("api.openai.com"):
        return OPENAI
    return OPENROUTER if host == "openrouter.ai" or host.endswith(".openrouter.ai") else None


# What says more than that is in error, and nobody could print it.
_MOST_TOKENS = 10**15


def read_models(data: Json) -> ModelList | None:
    """The body of `/v1/models`; None if it is something else."""
    entries = data.get("data") if is_object(data) else None
    if not is_array(entries):
        return None
    models = [entry for entry in entries if is_object(entry) and isinstance(entry.get("id"), str)]
    owners = {entry.get("owned_by") for entry in models if isinstance(entry.get("owned_by"), str)}
    contexts = [length for entry in models if (length := _context_tokens(entry)) is not None]
    return ModelList(
        names=tuple(entry["id"] for entry in models),
        context_tokens=contexts[0] if contexts else None,
        kind=next((kind for kind in KINDS if kind.owned_by in owners), None),
    )


def _context_tokens(entry: dict[str, Json]) -> int | None:
    """VLLM and SGLang say `max_model_len`; llama.cpp `meta.n_ctx` (of a slot) or `n_ctx_train`."""
    meta = entry.get("meta")
    places = [
        (entry, "max_model_len"),
        (entry, "context_length"),
        (meta, "n_ctx"),
        (meta, "n_ctx_train"),
    ]
    for place, key in places:
        length = place.get(key) if is_object(place) else None
        if isinstance(length, int) and not isinstance(length, bool) and 0 < length < _MOST_TOKENS:
            return length
    return None
