"""`agentrt graph`: a workflow before it runs, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentrt.cli.failure import UsageError
from agentrt.cli.output import Answers, as_json, tell
from agentrt.cli.target import load_workflow

if TYPE_CHECKING:
    from agentrt.ir.graph import Graph

Format = Literal["mermaid", "svg", "json", "text"]


def draw_graph(target: str, form: Format, output: Path | None, answers: Answers) -> int:
    """Print the graph, or write it to `output`."""
    drawn = _drawn(load_workflow(target).workflow.trace().graph, form)
    if output is None:
        answers.text(drawn)
        return 0
    try:
        output.write_text(drawn if drawn.endswith("\n") else drawn + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    tell(f"wrote {output}")
    return 0


def _drawn(graph: Graph, form: Format) -> str:
    match form:
        case "mermaid":
            from agentrt.ir.render_mermaid import to_mermaid  # noqa: PLC0415

            return to_mermaid(graph)
        case "svg":
            from agentrt.ir.render_svg import to_svg  # noqa: PLC0415

            return to_svg(graph)
        case "text":
            from agentrt.ir.render_text import to_text  # noqa: PLC0415

            return to_text(graph)
        case "json":
            return as_json(graph.to_json(), indent=2)
