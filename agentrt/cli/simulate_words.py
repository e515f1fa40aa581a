"""The words of `agentrt simulate`: loads, policies and numbers, checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agentrt.cli.failure import UsageError
from agentrt.errors import InputError
from agentrt.scheduler.policies import named
from agentrt.simulator.comparison import Contender
from agentrt.simulator.comparison_bench import Setup
from agentrt.simulator.engine_file import read_engine
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.loads import BURSTY_CV, Arriving, AsRecorded, Load, Oversubscription
from agentrt.simulator.workloads import Bursty, ClosedLoop, Poisson

BEST_CAP = "best-cap"
DEFAULT_ENGINE = "llama-3-8b-a100"
_DEFAULT_POLICY = "occupancy"
_LEAST = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateWords:
    """As given on the command line; None: not given."""

    workload: str
    format: str | None = None
    policy: str | None = None
    compare: str | None = None
    replicas: int = 1
    engine: str = DEFAULT_ENGINE
    kv_blocks: int | None = None
    held_blocks: int = 0
    rate: float | None = None
    at_once: int | None = None
    oversubscription: str | None = None
    arrivals: Arriving | None = None
    tenants: str | None = None
    deadline: str | None = None
    programs: int | None = None
    seed: int = 0
    seeds: int = 1
    jobs: int | None = None
    is_json: bool = False
    plot: Path | None = None


def contenders(words: SimulateWords) -> list[Contender]:
    """The policies, in the order they were named.

    Raises:
        UsageError: one that is not there, or is named twice.
    """
    if words.policy is not None and words.compare is not None:
        raise UsageError("--policy and --compare at once", hint="--compare takes several policies")
    if words.compare is None:
        labels = [(words.policy or _DEFAULT_POLICY).strip()]
    else:
        labels = _listed(words.compare)
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"--compare names {label!r} twice")
    return [_contender(label) for label in labels]


def _listed(text: str) -> list[str]:
    """Policies between commas; `a=1` after a comma is another parameter of the one before."""
    found: list[str] = []
    for part in text.split(","):
        piece = part.strip()
        if found and ":" in found[-1] and "=" in piece and ":" not in piece:
            found[-1] += f",{piece}"
        else:
            found.append(piece)
    return found


def _contender(label: str) -> Contender:
    if label == BEST_CAP:
        return Contender(label, None)
    if label.startswith(f"{BEST_CAP}:"):
        raise UsageError(f"{BEST_CAP} takes no parameters")
    try:
        named(label)  # now, not when others have run for minutes
    except InputError as error:
        raise UsageError(str(error), hint=f"{BEST_CAP} tries caps and takes the best") from error
    return Contender(label, partial(named, label))


def setup(words: SimulateWords) -> Setup:
    """The replicas."""
    return Setup(
        model=_engine(words.engine),
        kv_blocks=words.kv_blocks,
        replicas=words.replicas,
        held_blocks=words.held_blocks,
        tenants=tenants(words.tenants),
        deadlines=deadlines(words.deadline),
    )


def _engine(name: str) -> EngineModel:
    """A preset, or what `agentrt calibrate` wrote into a file."""
    model = PRESETS.get(name)
    if model is not None:
        return model
    try:
        return read_engine(Path(name).read_text(encoding="utf-8"))
    except InputError as error:
        raise UsageError(f"--engine {name}: {error}") from error
    except (OSError, ValueError):
        raise UsageError(
            f"no engine {name[:40]!r}",
            hint=f"there are: {', '.join(PRESETS)}; or a file of agentrt calibrate",
        ) from None


def tenants(text: str | None) -> dict[str, float]:
    """Shares by name, `a=1,b=9`; none if none are given."""
    return {} if text is None else _by_name("--tenants", text)


def deadlines(text: str | None) -> dict[str, float]:
    """Factors by tenant, `a=1.5,b=4`; a number alone is for all (`"*"`)."""
    if text is None:
        return {}
    if "=" not in text:
        return {"*": _positive("--deadline", _number("--deadline", text))}
    return _by_name("--deadline", text)


def _by_name(option: str, text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if not name or name in found:
            raise UsageError(
                f"{option}: expected NAME=NUMBER,..., each name once, got {text[:80]!r}"
            )
        found[name] = _positive(option, _number(option, value))
    return found


def loads(words: SimulateWords) -> list[Load] | None:
    """The loads that are asked for; None: none is, and the workload decides."""
    given: dict[str, object] = {
        "--rate": words.rate,
        "--at-once": words.at_once,
        "--oversubscription": words.oversubscription,
    }
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} at once", hint="give one of them")
    arrivals = words.arrivals or ("closed" if words.rate is None else "poisson")
    if words.rate is not None:
        rate = _positive("--rate", words.rate)
        if arrivals == "closed":
            raise UsageError("--rate is of arrivals at random", hint="--at-once N is a closed loop")
        return [Poisson(rate) if arrivals == "poisson" else Bursty(rate, BURSTY_CV)]
    if arrivals != "closed" and words.oversubscription is None:
        raise UsageError(
            f"--arrivals {arrivals} at what rate?", hint="--oversubscription or --rate"
        )
    if words.at_once is not None:
        return [ClosedLoop(words.at_once)]
    if words.oversubscription is not None:
        times = [_oversubscription(part) for part in words.oversubscription.split(",")]
        return [Oversubscription(value, arrivals) for value in dict.fromkeys(times)]
    return None


def default_load(arrivals_s: Sequence[float | None]) -> Load:
    """As recorded if every program's arrival is; else as many as fill the caches once."""
    return AsRecorded() if None not in arrivals_s else Oversubscription(1.0)


def _oversubscription(text: str) -> float:
    return _positive("--oversubscription", _number("--oversubscription", text))


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{option}: expected numbers between commas, got {text[:40]!r}") from None


def _positive(option: str, value: float) -> float:
    if not _LEAST <= value <= 1 / _LEAST:
        raise UsageError(
            f"{option} must be a positive number, not {value:g}",
            hint=f"from {_LEAST:g} to {1 / _LEAST:g}",
        )
    return value
