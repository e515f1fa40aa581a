"""`Metrics`: what the gateway counts, for Prometheus. Tenants have labels of their own, programs have not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agentrt.errors import RateLimited
from agentrt.gateway.live_program import EndedProgram, LiveProgram
from agentrt.gateway.programs_view import STATES, ReplicaView, Schedulers
from agentrt.gateway.replicas import Replicas
from agentrt.gateway.services import Answered
from agentrt.gateway.turn_observer import Turn

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)
_LAGS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_LOOK_EVERY_S = 0.25
_MOST_LABELS = 64
OTHER = "other"

_OF_REPLICAS: tuple[tuple[str, str, Callable[[ReplicaView], float]], ...] = (
    ("up", "1: calls are sent there.", lambda view: view.is_up),
    ("running_calls", "Calls at work there.", lambda view: view.running),
    ("waiting_calls", "Calls that wait for room there.", lambda view: view.waiting),
    ("placed_programs", "Programs with a place there.", lambda view: view.programs),
    ("used_blocks", "KV blocks of programs with a place.", lambda view: view.used_blocks),
    ("capacity_blocks", "KV blocks there; 0: not known.", lambda view: view.capacity_blocks or 0),
)


class Metrics:
    """Counts what it is told, in a registry of its own. `page` is what `/metrics` answers."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        by = ("model", "tenant")
        self._models = _Labels()
        self._tenants = _Labels(most=1000)
        self._reasons = _Labels()
        self._turns: dict[tuple[str, str], _Turns] = {}
        self._requests = Counter(
            "agentrt_requests",
            "Requests that are over, by the status that the client got; 499: it had gone.",
            ("endpoint", *by, "status"),
            registry=registry,
        )
        self._duration = Histogram(
            "agentrt_request_seconds",
            "From a request's head to the last byte that the client took.",
            ("endpoint", "model"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._queue = Histogram(
            "agentrt_queue_seconds",
            "From when a request came until it was sent to a replica.",
            by,
            buckets=_SECONDS,
            registry=registry,
        )
        self._first_token = Histogram(
            "agentrt_time_to_first_token_seconds",
            "From when a request came until its answer began.",
            by,
            buckets=_SECONDS,
            registry=registry,
        )
        self._tokens = {
            kind: Counter(
                f"agentrt_{kind}_tokens",
                f"{kind.capitalize()} tokens, as replicas report them.",
                by,
                registry=registry,
            )
            for kind in ("prompt", "cached", "completion")
        }
        self._retries = _counter("retries", "Times that a request was sent again.", registry)
        self._sheds = _counter("sheds", "Requests refused as too many waited.", registry)
        self._disconnects = _counter(
            "disconnects", "Requests whose clients went before the answer.", registry
        )
        self._recognised = Counter(
            "agentrt_recognised",
            "Requests, by what told their program.",
            ("reason",),
            registry=registry,
        )
        self._ended = Counter(
            "agentrt_programs_ended", "Programs that have ended.", ("how",), registry=registry
        )
        self._lag = Histogram(
            "agentrt_event_loop_lag_seconds",
            "How late the event loop is.",
            buckets=_LAGS,
            registry=registry,
        )

    def page(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self.registry)

    def watch(
        self,
        live: Callable[[], tuple[LiveProgram, ...]],
        replicas: Replicas,
        now: Callable[[], float],
    ) -> None:
        """Have each page tell how programs and replicas are just then. Once."""
        self.registry.register(_Now(live, replicas, now))

    async def watch_loop(self) -> None:
        """Measure how late the event loop is: for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LOOK_EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)
            self._lag.observe(max(0.0, loop.time() - due))

    def observe(self, answered: Answered) -> None:
        """A request is over."""
        # Refused ones may name any model: only those that were forwarded are known to be one.
        model = self._models.label(answered.model) if answered.replica_id else ""
        tenant = self._tenants.label(answered.tenant)
        status = str(answered.status)
        self._requests.labels(answered.endpoint, model, tenant, status).inc()
        self._duration.labels(answered.endpoint, model).observe(answered.total_s)

    def recognised(self, reason: str) -> None:
        """A request's program is known."""
        self._recognised.labels(self._reasons.label(reason)).inc()

    def turned(self, turn: Turn) -> None:
        """A turn is over."""
        key = self._models.label(turn.model), self._tenants.label(turn.tenant)
        of = self._turns.get(key)
        if of is None:
            of = self._turns[key] = self._of(*key)
        sending = turn.sending
        if sending.attempts > 1:
            of.retries.inc(sending.attempts - 1)
        if sending.sent_at is not None:
            of.queue.observe(max(0.0, sending.sent_at - turn.came_at))
        if sending.begun_at is not None:
            of.first_token.observe(max(0.0, sending.begun_at - turn.came_at))
        if isinstance(turn.error, asyncio.CancelledError):
            of.disconnects.inc()
        elif isinstance(turn.error, RateLimited) and not sending.attempts:
            of.sheds.inc()
        of.prompt.inc(turn.usage.prompt_tokens)
        of.cached.inc(turn.usage.cached_tokens)
        of.completion.inc(turn.usage.completion_tokens)

    def _of(self, model: str, tenant: str) -> _Turns:
        return _Turns(
            queue=self._queue.labels(model, tenant),
            first_token=self._first_token.labels(model, tenant),
            prompt=self._tokens["prompt"].labels(model, tenant),
            cached=self._tokens["cached"].labels(model, tenant),
            completion=self._tokens["completion"].labels(model, tenant),
            retries=self._retries.labels(model),
            sheds=self._sheds.labels(model),
            disconnects=self._disconnects.labels(model),
        )

    def ended(self, program: EndedProgram) -> None:
        """A program is over."""
        self._ended.labels(program.how.value).inc()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turns:
    """What is counted of turns with one model, for one tenant: looking it up takes longer than counting."""

    queue: Histogram
    first_token: Histogram
    prompt: Counter
    cached: Counter
    completion: Counter
    retries: Counter
    sheds: Counter
    disconnects: Counter


class _Labels:
    """The values of a label, no more than so many of them."""

    def __init__(self, *, most: int = _MOST_LABELS) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, value: str) -> str:
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value


class _Now(Collector):
    """Gauges, looked up when they are asked for."""

    def __init__(
        self,
        live: Callable[[], tuple[LiveProgram, ...]],
        replicas: Replicas,
        now: Callable[[], float],
    ) -> None:
        self._live = live
        self._replicas = replicas
        self._now = now

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        schedulers = Schedulers(self._replicas, self._now())
        states = [schedulers.state(live) for live in self._live()]
        programs = GaugeMetricFamily("agentrt_programs", "Programs by state.", labels=("state",))
        for state in STATES:
            programs.add_metric((state,), states.count(state))
        yield programs
        views = [schedulers.replica(state) for state in self._replicas.states]
        for name, said, value in _OF_REPLICAS:
            gauge = GaugeMetricFamily(f"agentrt_replica_{name}", said, labels=("replica",))
            for view in views:
                gauge.add_metric((view.replica,), float(value(view)))
            yield gauge


def _counter(name: str, said: str, registry: CollectorRegistry) -> Counter:
    return Counter(f"agentrt_{name}", said, ("model",), registry=registry)
