"""What `agentrt calibrate` takes from its options, what from the server, and what it says of a fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentrt.backends.engine_limits import EngineLimits
from agentrt.cli.calibrate import CalibrateWords, lines, setup_of, warnings
from agentrt.cli.failure import UsageError
from agentrt.simulator.engine_fit import Fit, Residual
from agentrt.simulator.engine_presets import PRESETS

SLOTS = EngineLimits(
    kv_tokens=4000, max_running=4, max_batch_tokens=512, context_tokens=1000, cache="slots"
)


def words(**given: Any) -> CalibrateWords:
    return CalibrateWords(url="x", **given)


def limits_of(limits: EngineLimits, **given: Any) -> tuple[int, int, int, str, int]:
    model = setup_of("name", limits, words(**given))
    return (
        model.kv_tokens,
        model.max_running,
        model.max_batch_tokens,
        model.cache,
        model.host_tokens,
    )


def test_options_win_over_the_server_and_the_server_over_what_is_usual() -> None:
    assert limits_of(SLOTS) == (4000, 4, 512, "slots", 4000)
    assert limits_of(SLOTS, kv_tokens=8, max_running=2, max_batch_tokens=6, host_tokens=0) == (
        (8, 2, 6, "slots", 0)
    )
    assert limits_of(EngineLimits(kv_tokens=9)) == (9, 256, 8192, "paged", 0)


def test_what_nobody_says_and_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="how many tokens its KV cache") as raised:
        setup_of("name", EngineLimits(), words())
    assert "--kv-tokens" in raised.value.hint
    with pytest.raises(UsageError, match="do not fit a batch"):
        setup_of("name", SLOTS, words(max_running=9, max_batch_tokens=4))


def fit_of(error: float | None) -> Fit:
    residuals = [Residual("prompt of 64", 1.0, 1.1)]
    if error is not None:
        residuals.append(Residual("held", 1.0, 1.0 + error, is_held_out=True))
    model = replace(PRESETS["llama-3-8b-a100"], name="m", prefill_pair_s=3.4e-9)
    return Fit(model=model, request_s=0.01, residuals=tuple(residuals))


@pytest.mark.parametrize("error", [None, 0.0, 0.2, -0.2])
def test_constants_that_predict_what_was_held_out_come_without_a_warning(
    error: float | None,
) -> None:
    assert warnings(fit_of(error)) == []


def test_constants_that_miss_it_come_with_one() -> None:
    assert warnings(fit_of(-0.4))[0] == (
        "warning: probes that were held out are missed by 40% on average"
    )


def test_a_table_says_where_each_number_is_from() -> None:
    text = "\n".join(lines(fit_of(0.1), SLOTS, words(kv_tokens=7)))
    assert "prefill_token_s    0.086 ms" in text
    assert "prefill_pair_s     3.4 ns" in text
    assert "(option)" in text
    assert any(
        line.split() == ["held", "1.000", "1.100", "+10.0%", "held", "out"]
        for line in text.splitlines()
    )
    assert "predicted within 10.0% on average" in text
    assert "no probe was held out" in "\n".join(lines(fit_of(None), SLOTS, words()))
