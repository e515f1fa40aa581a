"""The options of `agentrt keys`; bodies are imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentrt.cli.command import perform

keys_app = typer.Typer(
    help="Make keys for the clients of a gateway, or look up whose a key is.",
    epilog="\b\nExample:\n  agentrt keys new acme",
    rich_markup_mode=None,
    no_args_is_help=True,
)

_JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


@keys_app.command(epilog="\b\nExample:\n  agentrt keys new acme")
def new(
    tenant: Annotated[
        str, typer.Argument(metavar="TENANT", help="Whose key it is, as in the gateway's file.")
    ],
    *,
    is_json: _JsonOption = False,
) -> int:
    """Print a new key, this once, and the lines for the file of `agentrt serve --config`."""
    from agentrt.cli.keys import print_new_key  # noqa: PLC0415

    return perform(lambda answers: print_new_key(answers, tenant, is_json=is_json), is_json=is_json)


@keys_app.command(epilog="\b\nExample:\n  agentrt keys check --config gateway.toml < key.txt")
def check(
    *,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="The file with the tenants.")
    ],
    is_json: _JsonOption = False,
) -> int:
    """Say whose the key on stdin is; a terminal is asked for it."""
    from agentrt.cli.keys import check_key  # noqa: PLC0415

    return perform(lambda answers: check_key(answers, config, is_json=is_json), is_json=is_json)
