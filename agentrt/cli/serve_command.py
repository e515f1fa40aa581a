"""The options of `agentrt serve`; its body is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentrt.cli.command import perform


def serve(  # noqa: PLR0913  one parameter an option
    *,
    replica: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="An engine: vllm+http://gpu0:8000. May be repeated."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Listen here; by default 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="By default 8300; 0 takes a free one.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A TOML file: replicas, tenants, limits. Flags win."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where what was learned is kept; none keeps nothing."),
    ] = None,
    policy: Annotated[
        str | None, typer.Option(metavar="P", help="What orders programs; by default occupancy.")
    ] = None,
    kv_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="What a KV cache has room for, if engines do not say."),
    ] = None,
    drain_s: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="What answers may still take at the end (30)."),
    ] = None,
    is_open: Annotated[
        bool, typer.Option("--open", help="Let in anybody who reaches it, with no key.")
    ] = False,
    log_prompts: Annotated[
        bool, typer.Option("--log-prompts", help="Log what clients ask; else no text is logged.")
    ] = False,
    is_verbose: Annotated[
        bool, typer.Option("--verbose", help="Log every request, not only what goes wrong.")
    ] = False,
    is_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout when it is ready.")
    ] = False,
) -> int:
    """Serve OpenAI's API in front of engines, and schedule whole programs. Ctrl-C drains."""
    from agentrt.cli.serve import ServeOptions, serve_gateway  # noqa: PLC0415

    options = ServeOptions(
        config=config,
        flags={
            "replicas": replica or None,
            "host": host,
            "port": port,
            "store": store,
            "policy": policy,
            "kv_tokens": kv_tokens,
            "drain_s": drain_s,
            "is_open": is_open or None,
            "log_prompts": log_prompts or None,
        },
        is_verbose=is_verbose,
        is_json=is_json,
    )
    return perform(lambda answers: serve_gateway(options, answers), is_json=is_json)
