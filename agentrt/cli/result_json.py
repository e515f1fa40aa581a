"""Runs and nodes as the JSON that `--json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from agentrt.cli.failure import describe
from agentrt.ir.report import NodeReport
from agentrt.ir.request import Usage

if TYPE_CHECKING:
    from agentrt.runtime.results import RunResult


def usage_json(usage: Usage) -> dict[str, int]:
    """The three counts, by their vocabulary names."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "completion_tokens": usage.completion_tokens,
    }


def nodes_json(nodes: Iterable[NodeReport]) -> list[dict[str, Any]]:
    """One object per node instance, times in seconds since the run started."""
    return [
        {
            "node_id": node.node_id,
            "kind": node.kind,
            "status": node.status,
            "started_s": node.started_s,
            "finished_s": node.finished_s,
            "duration_s": node.duration_s,
            "attempts": node.attempts,
            "usage": usage_json(node.usage),
            "is_restored": node.is_restored,
            "error": node.error,
        }
        for node in nodes
    ]


def result_json(result: RunResult[Any], *, workflow: str) -> dict[str, Any]:
    """A run that ended, however it ended."""
    return {
        "run_id": result.run_id,
        "workflow": workflow,
        "status": result.status,
        "output": result.output,
        "usage": usage_json(result.usage),
        "duration_s": result.duration_s,
        "nodes": nodes_json(result.nodes),
        "error": error_json(result.error),
        "errors": {node_id: error_json(error) for node_id, error in result.errors.items()},
    }


def error_json(error: BaseException | None) -> dict[str, Any] | None:
    """An error as `{"type", "message", ...}`."""
    return None if error is None else describe(error).to_json()
