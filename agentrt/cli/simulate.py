"""`agentrt simulate`: policies on a workload, on modelled engines."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from agentrt.cli.failure import UsageError
from agentrt.cli.output import Answers, tell
from agentrt.cli.simulate_result import result_json, result_text
from agentrt.cli.simulate_words import SimulateWords, contenders, default_load, loads, setup
from agentrt.cli.workload_source import workload_source
from agentrt.simulator.comparison import compare

_QUIET_S = 2.0


def simulate_workload(words: SimulateWords, answers: Answers) -> int:
    """Run it and print one table, or one JSON object."""
    asked = contenders(words)
    where = setup(words)
    given = loads(words)
    source = workload_source(words.workload, format_name=words.format, programs=words.programs)
    # A workload may be large: the one of the seed at work is kept, no other.
    workload_of = lru_cache(maxsize=1)(source)
    if words.plot is not None:
        _check_writable(words.plot)
    with _progress() as on_run:
        on_run(f"reading {words.workload}")
        if given is None:
            programs = workload_of(words.seed).programs
            given = [default_load([program.arrival_s for program in programs])]
        outcomes = compare(
            workload_of,
            asked,
            setup=where,
            loads=given,
            seeds=range(words.seed, words.seed + words.seeds),
            on_run=on_run,
        )
    block_tokens = workload_of(words.seed + words.seeds - 1).block_tokens
    if words.plot is not None:
        from agentrt.simulator.plot import plot_svg  # noqa: PLC0415  only where it is asked for

        words.plot.write_text(plot_svg(outcomes, title=words.workload), encoding="utf-8")
    if words.is_json:
        answers.json(result_json(words, outcomes, block_tokens))
    else:
        answers.text(result_text(words, outcomes, block_tokens))
    stuck = max(outcome.report.unfinished for outcome in outcomes)
    if stuck:
        tell(
            f"warning: {stuck} of {outcomes[0].report.programs} programs have a call that fits no "
            "replica; they are given up, and count in no time"
        )
    return 0


def _check_writable(path: Path) -> None:
    """Before minutes of work rather than after."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"--plot: cannot write {str(path)!r}")


@contextmanager
def _progress() -> Generator[Callable[[str], None]]:
    """What runs now, on stderr: live on a terminal, else a line for what takes long."""
    if not sys.stderr.isatty():
        lines = _Lines()
        try:
            yield lines
        finally:
            lines.stop()
        return
    from rich.console import Console  # noqa: PLC0415  rich is loaded only where it draws

    with Console(stderr=True).status("simulating") as status:
        yield status.update


class _Lines:
    """A line for each run that takes longer than two seconds, so short ones print none."""

    def __init__(self) -> None:
        self._pending: threading.Timer | None = None

    def __call__(self, text: str) -> None:
        self.stop()
        self._pending = threading.Timer(_QUIET_S, tell, (f"simulating {text}",))
        self._pending.daemon = True
        self._pending.start()

    def stop(self) -> None:
        """What runs now has ended."""
        if self._pending is not None:
            self._pending.cancel()
