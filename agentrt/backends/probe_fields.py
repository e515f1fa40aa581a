"""What a server takes beside OpenAI's fields, in words: for `agentrt doctor`. Pure."""

from __future__ import annotations

from agentrt.ir.engine_fields import EngineFields

HOLDS_HINT = (
    "start vLLM with --scheduler-cls agentrt.backends.vllm_holds.HoldingScheduler, experimental "
    "(docs/engines.md)"
)
_ORDERS = {"lower_first": "lower first", "higher_first": "higher first"}


def field_checks(takes: EngineFields) -> list[tuple[str, bool, str]]:
    """One check for each thing that an engine may take or tell: its name, whether it does, more."""
    order = takes.priority
    ordered = _ORDERS[order] if order else "not taken: requests go by the order they come in"
    return [
        ("fields", bool(takes.body), ", ".join(takes.body) or "none of those that hints go into"),
        ("priority", order is not None, ordered),
        ("figures", bool(takes.metrics), ", ".join(takes.metrics) or "none of load and cache"),
        ("tokenizer", takes.has_tokenizer, "/tokenize" if takes.has_tokenizer else "no /tokenize"),
        (
            "kv_events",
            takes.has_kv_events,
            "published" if takes.has_kv_events else "not that it says; agentrt does without",
        ),
    ]
