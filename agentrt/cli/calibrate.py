"""`agentrt calibrate`: the constants of a running server's engine, for `agentrt simulate --engine`."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrt.cli.connection import environment_settings
from agentrt.cli.failure import UsageError
from agentrt.cli.interrupt import Interrupts
from agentrt.cli.output import Answers, tell
from agentrt.clock import SystemClock
from agentrt.simulator.engine_file import engine_json
from agentrt.simulator.engine_fit import Fit, fit
from agentrt.simulator.engine_model import EngineModel

if TYPE_CHECKING:
    from agentrt.backends.engine_limits import EngineLimits
    from agentrt.backends.engine_timing import Timings

_MOST_AT_ONCE = 16
_UNKNOWN_BATCH_TOKENS = 8192
_UNKNOWN_RUNNING = 256
_ROOM = 0.75
_POOR = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateWords:
    """As given on the command line; None: not given."""

    url: str | None
    model: str | None = None
    output: Path | None = None
    longest_tokens: int = 2048
    repeats: int = 3
    kv_tokens: int | None = None
    max_running: int | None = None
    max_batch_tokens: int | None = None
    host_tokens: int | None = None
    is_json: bool = False
    is_quiet: bool = False


def calibrate_engine(words: CalibrateWords, answers: Answers) -> int:
    """Time the server, fit, and print the constants with how far off they are."""
    if words.output is not None:
        _check_writable(words.output)
    return asyncio.run(_calibrate(words, answers))


async def _calibrate(words: CalibrateWords, answers: Answers) -> int:
    working = asyncio.create_task(_measure(words))
    with Interrupts(lambda: _cancel(working)) as interrupts:
        try:
            setup, limits, timings = await working
        except asyncio.CancelledError:
            if interrupts.signal is None:
                raise
            tell("nothing was written")
            return interrupts.exit_code
    found = fit(timings.batches, setup)
    written = engine_json(found.model, about=about(found, timings))
    if words.output is not None:
        words.output.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    if words.is_json:
        answers.json(written)
    else:
        answers.text("\n".join(lines(found, limits, words)))
    for note in (*timings.notes, *found.left_out):
        tell(f"note: {note}")
    tell(*warnings(found))
    return 0


def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()


async def _measure(words: CalibrateWords) -> tuple[EngineModel, EngineLimits, Timings]:
    from agentrt.backends.embedded import EmbeddedBackend  # noqa: PLC0415  loads HTTP clients
    from agentrt.backends.engine_limits import engine_limits  # noqa: PLC0415
    from agentrt.backends.engine_timing import EngineTimer, probes_for  # noqa: PLC0415
    from agentrt.backends.registry import connect  # noqa: PLC0415

    settings = environment_settings()
    model = words.model or settings.model
    backend = connect(words.url or settings.backend, model=model)
    if isinstance(backend, EmbeddedBackend):
        backend.drafting.give_up()  # the model of an engine knows no drafts, nor a start in between
    try:
        limits = await engine_limits(backend)
        models = (await backend.capabilities()).models
        name = model or (models[0] if models else "model")
        setup = setup_of(f"{name} at {backend.name}", limits, words)
        timer = EngineTimer(backend, SystemClock(), rng=random.SystemRandom())
        probes = probes_for(
            longest_tokens=_longest(words, limits),
            most_at_once=min(
                _MOST_AT_ONCE, words.max_running or limits.max_running or _MOST_AT_ONCE
            ),
        )
        with _progress(is_quiet=words.is_quiet) as on_probe:
            timings = await timer.measure(probes, repeats=words.repeats, on_probe=on_probe)
    finally:
        await backend.aclose()
    return setup, limits, timings


def setup_of(name: str, limits: EngineLimits, words: CalibrateWords) -> EngineModel:
    """The engine without its constants: what options say, else the server, else what is usual.

    Raises:
        UsageError: neither says how much KV there is room for, or what is said cannot be.
    """
    kv_tokens = words.kv_tokens or limits.kv_tokens
    if kv_tokens is None:
        raise UsageError(
            "the server does not say how many tokens its KV cache has room for",
            hint="its log does; give it as --kv-tokens",
        )
    max_running = words.max_running or limits.max_running or _UNKNOWN_RUNNING
    batch_tokens = words.max_batch_tokens or limits.max_batch_tokens or _UNKNOWN_BATCH_TOKENS
    host_tokens = words.host_tokens
    if host_tokens is None:
        host_tokens = kv_tokens if limits.cache == "slots" else 0
    try:
        return EngineModel(
            name=name,
            step_s=1.0,
            prefill_token_s=0.0,
            decode_sequence_s=0.0,
            context_token_s=0.0,
            kv_tokens=kv_tokens,
            max_batch_tokens=batch_tokens,
            max_running=max_running,
            cache=limits.cache,
            host_tokens=host_tokens,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def about(found: Fit, timings: Timings) -> dict[str, Any]:
    """Where the numbers are from, and how good they are."""
    return {
        "request_s": found.request_s,
        "held_out_error": found.held_out_error,
        "probes": [asdict(residual) | {"error": residual.error} for residual in found.residuals],
        "notes": [*timings.notes, *found.left_out],
    }


def lines(found: Fit, limits: EngineLimits, words: CalibrateWords) -> list[str]:
    """The constants for people, then every probe with what they say of it."""
    model = found.model
    said = {
        "kv_tokens": "option" if words.kv_tokens else "server",
        "max_running": _source(words.max_running, limits.max_running),
        "max_batch_tokens": _source(words.max_batch_tokens, limits.max_batch_tokens),
        "cache": "server" if limits.cache == "slots" else "assumed",
        "host_tokens": _source(words.host_tokens, None),
    }
    width = max(len(residual.what) for residual in found.residuals)
    table = [
        f"{residual.what.ljust(width)}  {residual.measured_s:9.3f}  {residual.predicted_s:9.3f}"
        f"  {residual.error:+7.1%}{'  held out' if residual.is_held_out else ''}"
        for residual in found.residuals
    ]
    error = found.held_out_error
    return [
        model.name,
        *(f"  {name:<18} {_milliseconds(value)}" for name, value in _constants(found)),
        *(f"  {name:<18} {getattr(model, name)}  ({source})" for name, source in said.items()),
        "",
        f"{'probe'.ljust(width)}   measured  predicted    error",
        *table,
        "",
        f"probes that were held out are predicted within {error:.1%} on average"
        if error is not None
        else "no probe was held out",
    ]


def _constants(found: Fit) -> list[tuple[str, float]]:
    model = found.model
    return [
        ("step_s", model.step_s),
        ("prefill_token_s", model.prefill_token_s),
        ("prefill_pair_s", model.prefill_pair_s),
        ("decode_sequence_s", model.decode_sequence_s),
        ("context_token_s", model.context_token_s),
        ("(a request)", found.request_s),
    ]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.4g} ms" if seconds >= 1e-6 else f"{seconds * 1e9:.3g} ns"  # noqa: PLR2004


def _source(option: int | None, server: int | None) -> str:
    if option is not None:
        return "option"
    return "assumed" if server is None else "server"


def warnings(found: Fit) -> list[str]:
    """What to say of constants that miss what they were not fitted to."""
    error = found.held_out_error
    if error is None or error <= _POOR:
        return []
    return [
        f"warning: probes that were held out are missed by {error:.0%} on average",
        "hint: the server had other work, or is not one engine: try again when it is idle",
    ]


def _longest(words: CalibrateWords, limits: EngineLimits) -> int:
    """With room for what is around it and for the answer."""
    if limits.context_tokens is None:
        return words.longest_tokens
    return min(words.longest_tokens, int(limits.context_tokens * _ROOM))


def _check_writable(path: Path) -> None:
    """Before minutes of work rather than after."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"-o: cannot write {str(path)!r}")


@contextmanager
def _progress(*, is_quiet: bool) -> Generator[Callable[[int, int, str], None]]:
    """Which probe is next: live on a terminal, else a line for every tenth of them."""
    if is_quiet:
        yield lambda _done, _total, _what: None
    elif not sys.stderr.isatty():
        yield _tell_tenths
    else:
        from rich.console import Console  # noqa: PLC0415  rich is loaded only where it draws

        with Console(stderr=True).status("loading") as status:
            yield lambda done, total, what: status.update(f"{done + 1} of {total}: {what}")


def _tell_tenths(done: int, total: int, what: str) -> None:
    if done % max(1, total // 10) == 0:
        tell(f"probe {done + 1} of {total}: {what}")
