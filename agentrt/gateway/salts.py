"""Cache salts: what keeps tenants' prompts apart in the caches of engines. Pure.

Only who knows the salt of a prompt can read, warm or time what is cached of it. Salts are made from a
secret of this gateway, so that no tenant can work out another's, and a client's own salt goes into
its tenant's: it parts the tenant's cache further, and never leads out of it.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256

from agentrt.ir.schema import Json

_SECRET_BYTES = 32
_SALT_DIGITS = 32
"""Hexadecimal: 128 bits, which nobody guesses."""


def new_secret() -> str:
    """A secret for a gateway that has none yet, to be kept where only it can read."""
    return secrets.token_hex(_SECRET_BYTES)


class Salts:
    """The salts of one gateway's tenants."""

    def __init__(self, secret: str, *, sharing: frozenset[str] = frozenset()) -> None:
        """Tenants in `sharing` have no salt: their prompts share what is cached, with one another."""
        self._secret = bytes.fromhex(secret)
        self._sharing = sharing

    @property
    def secret(self) -> str:
        """For the store, and nobody else."""
        return self._secret.hex()

    def restore(self, secret: Json) -> None:
        """Go on with the secret of an earlier process, whose contexts are still in the engines.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(secret, str) or len(secret) != 2 * _SECRET_BYTES:
            raise ValueError("this is no secret of a gateway")
        self._secret = bytes.fromhex(secret)

    def salt(self, tenant: str, own: str = "") -> str:
        """What the engine is told; empty: nothing.

        Args:
            tenant: Empty where the gateway serves anybody: clients' own salts are passed on then.
            own: The salt that the client asks for.
        """
        if not tenant or tenant in self._sharing:
            return own
        # Names of tenants have no zero byte, so nothing else is made of the same bytes.
        told = tenant.encode() + b"\0" + own.encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, told, sha256).hexdigest()[:_SALT_DIGITS]
