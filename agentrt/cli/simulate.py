"""`agentrt simulate`: policies on a workload, on modelled engines."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from agentrt.cli.failure import UsageError
from agentrt.cli.output import Answers, tell
from agentrt.cli.simulate_jobs import cores, workers
from agentrt.cli.simulate_result import result_json, result_text
from agentrt.cli.simulate_words import SimulateWords, contenders, default_load, loads, setup
from agentrt.cli.workload_source import workload_source
from agentrt.simulator.comparison import Contender, compare
from agentrt.simulator.comparison_bench import Bench
from agentrt.simulator.loads import Load

_QUIET_S = 2.0


def simulate_workload(words: SimulateWords, answers: Answers) -> int:
    """Run it and print one table, or one JSON object."""
    asked = contenders(words)
    where = setup(words)
    given = loads(words)
    source = workload_source(words.workload, format_name=words.format, programs=words.programs)
    if words.plot is not None:
        _check_writable(words.plot)
    with _progress() as on_run:
        on_run(f"reading {words.workload}")
        kept = lru_cache(maxsize=1)(source)  # a workload may be large
        if given is None:
            given = [default_load([program.arrival_s for program in kept(words.seed).programs])]
        block_tokens = kept(words.seed).block_tokens
        jobs = _jobs(words, asked, given)
        if jobs > 1:
            kept.cache_clear()  # other processes read it, and cannot be sent what is kept
        outcomes = compare(
            Bench(source if jobs > 1 else kept, where, has_curves=words.plot is not None),
            asked,
            loads=given,
            seeds=range(words.seed, words.seed + words.seeds),
            on_run=on_run,
            workers=workers(jobs),
        )
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


def _jobs(words: SimulateWords, asked: Sequence[Contender], given: Sequence[Load]) -> int:
    """No more processes than there is to do at once; a sweep of caps is a few at once by itself."""
    if any(contender.make is None for contender in asked):
        return words.jobs or cores()
    return min(words.jobs or cores(), len(asked) * len(given) * words.seeds)


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
