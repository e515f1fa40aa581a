"""Keys of clients: how they are made, and how they are kept.

Only hashes are kept. A plain SHA-256 is right for these keys, and for no password: a key has 256 random
bits, so nobody finds it by trying, however fast the hash is; and a slow one would cost every request.
Looking a hash up tells nobody anything by its timing: who has no key cannot choose its hash.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from hashlib import sha256

KEY_PREFIX = "agentrt-"
HASH_FORM = re.compile(r"sha256:[0-9a-f]{64}")

_KEY_BYTES = 32
_MOST_CHARACTERS = 512
_BEARER = "bearer "
_OTHER_HEADERS = ("x-api-key", "api-key")


def new_key() -> str:
    """A key that nobody has yet."""
    return KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)


def hash_of(key: str) -> str:
    """What is kept of `key`: `sha256:` and 64 digits."""
    # Headers may hold anything, half surrogate pairs too.
    return "sha256:" + sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def is_key_of(key: str, hashed: str) -> bool:
    """Whether `hashed` was made of `key`, in the same time whatever the answer is."""
    return hmac.compare_digest(hash_of(key).encode(), hashed.encode("utf-8", "surrogatepass"))


def key_in(headers: Mapping[str, str]) -> str | None:
    """The key that a request came with; None: it came with none.

    Args:
        headers: By their names in lower case.
    """
    authorization = headers.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        found = authorization[len(_BEARER) :].strip()
        if found:
            return found[: _MOST_CHARACTERS + 1]  # longer than any key: not worth hashing all of it
    for name in _OTHER_HEADERS:
        found = headers.get(name, "").strip()
        if found:
            return found[: _MOST_CHARACTERS + 1]
    return None
