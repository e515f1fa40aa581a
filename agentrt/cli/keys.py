"""`agentrt keys`: new keys for a gateway's clients, and whose a key is."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from pydantic import ValidationError

from agentrt.cli.failure import FAILED, UsageError
from agentrt.cli.output import Answers
from agentrt.gateway.keys import hash_of, is_key_of, new_key
from agentrt.gateway.settings import TenantSettings
from agentrt.gateway.settings_file import read_settings

_MOST_CHARACTERS = 4096


def print_new_key(answers: Answers, tenant: str, *, is_json: bool) -> int:
    """Print a key and what is kept of it. Nothing is written anywhere."""
    try:
        TenantSettings(name=tenant)
    except ValidationError as error:
        raise UsageError(
            f"{tenant[:70]!r} is no name of a tenant",
            hint="letters, digits, and . _ - between them; at most 64",
        ) from error
    key = new_key()
    toml = f'[[tenant]]\nname = "{tenant}"\nkeys = ["{hash_of(key)}"]'
    if is_json:
        answers.json({"tenant": tenant, "key": key, "hash": hash_of(key), "toml": toml})
    else:
        answers.text(
            f"{key}\n\n# The key above is for the client, and shown this once. These lines are for the\n"
            f"# file of agentrt serve --config; a tenant may have several keys.\n{toml}"
        )
    return 0


def check_key(answers: Answers, config: Path, *, is_json: bool) -> int:
    """Print the tenant of the key on stdin; 1 where nobody has it.

    A key is no option: command lines are seen by others, and kept by shells.
    """
    key = getpass.getpass("key: ") if sys.stdin.isatty() else sys.stdin.read(_MOST_CHARACTERS)
    key = key.strip()
    if not key:
        raise UsageError(
            "there is no key on stdin", hint="agentrt keys check --config FILE < KEY_FILE"
        )
    tenants = read_settings(config, {}).tenants
    found = [
        tenant.name for tenant in tenants if any(is_key_of(key, hashed) for hashed in tenant.keys)
    ]
    name = found[0] if found else None
    if is_json:
        answers.json({"tenant": name, "hash": hash_of(key)})
    else:
        answers.text(name if name is not None else f"nobody's here; its hash is {hash_of(key)}")
    return 0 if found else FAILED
