"""The `agentrt` command."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (by default the process's) and return the exit code."""
    # Here, so that `import agentrt.cli` costs nothing until a command line is to be read.
    from agentrt.cli.app import run_command_line  # noqa: PLC0415

    return run_command_line(argv)
