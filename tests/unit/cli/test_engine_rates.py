import pytest

from agentrt.cli.engine_rates import measure_rates
from agentrt.cli.one_at_a_time import EngineRates
from agentrt.clock import VirtualClock
from agentrt.errors import BackendUnavailable
from agentrt.ir.request import Completion, Request, Usage
from agentrt.testing import ScriptedBackend


def engine(request: Request) -> Completion:
    """Counts 200 prompt tokens for a long prompt and 20 for a short one."""
    is_long = request.options.max_tokens == 1
    return Completion(
        text="x", usage=Usage(200 if is_long else 20, 0, request.options.max_tokens or 0)
    )


def latency(request: Request) -> float:
    """An engine of 400 tokens/s prefill and 96 tokens/s decode."""
    return 0.5 if request.options.max_tokens == 1 else 20 / 400 + 0.5


def test_rates_are_what_two_timed_requests_say() -> None:
    clock = VirtualClock()
    rates = clock.run(measure_rates(ScriptedBackend(engine, latency_s=latency), clock))
    assert rates is not None
    assert (rates.prefill, rates.decode) == pytest.approx((400, 96))


def test_no_two_probes_ask_the_same_so_no_cache_answers() -> None:
    clock = VirtualClock()
    backend = ScriptedBackend(engine, latency_s=latency)
    clock.run(measure_rates(backend, clock))
    clock.run(measure_rates(backend, clock))
    assert len({request.messages for request in backend.requests}) == 4


@pytest.mark.parametrize(
    "backend",
    [
        ScriptedBackend(engine, latency_s=5.0),
        ScriptedBackend([BackendUnavailable("gone")]),
        ScriptedBackend(lambda _: Completion(text="x"), latency_s=0.1),
        ScriptedBackend(engine),
    ],
    ids=["slow", "gone", "counts nothing", "takes no time"],
)
def test_an_engine_that_cannot_be_measured_gets_no_rates(backend: ScriptedBackend) -> None:
    clock = VirtualClock()
    rates: EngineRates | None = clock.run(measure_rates(backend, clock))
    assert rates is None
