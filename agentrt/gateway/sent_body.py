"""The body that goes to a server: the client's own bytes, and what is added to them. Pure."""

from __future__ import annotations

import json
import re

from agentrt.backends.hints import HintFields, joined
from agentrt.backends.json_shape import is_object
from agentrt.gateway.asked import Asked, JsonObject

_WITH_USAGE = ("chat/completions", "completions")
# Only where they end is asked for: a number may have more digits than Python reads.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
_SPACE = re.compile(r"[ \t\n\r]*")


def body_to_send(asked: Asked, hints: HintFields) -> bytes:
    """`asked.raw` with `hints` joined to it, and the wish for usage where the client has none.

    Fields are added at its end, and nothing else of it is touched; fields that the client has set
    too are left out where they stand.
    """
    added = _added(asked, hints)
    if not added:
        return asked.raw
    has_own = bool(asked.body.keys() & added.keys())
    if has_own or json.detect_encoding(asked.raw) != "utf-8":
        kept = _without(asked.raw, frozenset(added))
        return b"{" + b",".join([*kept, _written(added)[1:-1]]) + b"}"
    # Parsing and writing a long conversation again costs more than all the rest of forwarding it.
    body = asked.raw.rstrip()
    comma = b"," if asked.body else b""
    return body[:-1] + comma + _written(added)[1:]


def _added(asked: Asked, hints: HintFields) -> JsonObject:
    added: JsonObject = {}
    if hints.body:
        whole = joined(asked.body, hints)
        added = {name: whole[name] for name in hints.body if whole[name] != asked.body.get(name)}
    if asked.is_streamed and not asked.has_usage and asked.endpoint in _WITH_USAGE:
        options = asked.body.get("stream_options")
        own = options if is_object(options) else {}
        added["stream_options"] = {**own, "include_usage": True}
    return added


def _without(raw: bytes, names: frozenset[str]) -> list[bytes]:
    """The pairs of the object `raw`, each as it is written, but for those of `names`."""
    text = raw.decode(json.detect_encoding(raw), "surrogatepass")
    pairs: list[bytes] = []
    at = _after_space(text, text.index("{") + 1)
    while text[at] != "}":
        began = at
        name, at = _DECODER.raw_decode(text, at)
        at = _after_space(text, _after_space(text, at) + 1)  # the colon
        _, at = _DECODER.raw_decode(text, at)
        if name not in names:
            pairs.append(text[began:at].encode("utf-8", "surrogatepass"))
        at = _after_space(text, at)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    return pairs


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _written(fields: JsonObject) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
