from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.errors import InputError
from agentrt.simulator.engine_file import engine_json, read_engine
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.engine_presets import PRESETS

MODEL = PRESETS["llama-3-8b-a100"]


def text(**changed: object) -> str:
    data = engine_json(MODEL)
    return json.dumps(data | {"model": data["model"] | changed})


@pytest.mark.parametrize(
    "model", [*PRESETS.values(), replace(MODEL, cache="slots", host_tokens=100, name="é\n")]
)
def test_what_is_written_is_read(model: EngineModel) -> None:
    assert read_engine(json.dumps(engine_json(model, about={"url": "x"}))) == model


def test_what_an_older_file_does_not_say_is_the_default() -> None:
    data = engine_json(MODEL)
    del data["model"]["cache"], data["model"]["host_tokens"]
    assert read_engine(json.dumps(data)) == MODEL


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "agentrt calibrate"),
        ('{"kind": "other"}', "agentrt calibrate"),
        ('{"kind": "agentrt engine", "version": 2}', "version 2"),
        ('{"kind": "agentrt engine", "version": 1}', "without a model"),
        ('{"kind": "agentrt engine", "version": 1, "model": {}}', "missing"),
        (text(step_s="fast"), "step_s is 'fast'"),
        (text(step_s=float("nan")), "step_s is 'nan'"),
        (text(step_s=float("inf")), "step_s is 'inf'"),
        (text(step_s=0), "a step takes time"),
        (text(step_s=True), "step_s is 'True'"),
        (text(prefill_token_s=-1.0), "gives any back"),
        (text(kv_tokens=1.5), "kv_tokens is '1.5'"),
        (text(kv_tokens=-1), "kv_tokens is '-1'"),
        (text(kv_tokens=10**400), "kv_tokens is '1000"),
        (text(max_running=0), "do not fit a batch"),
        (text(cache="disk"), "cache is 'disk'"),
        (text(cache=[]), "cache is '\\[\\]'"),
        (text(name=None), "name is 'None'"),
        (text(turbo=1), "'turbo', which no engine has"),
    ],
)
def test_what_is_no_engine_is_refused_and_says_why(contents: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_engine(contents)


@given(st.text())
def test_any_text_is_read_or_refused(contents: str) -> None:
    with pytest.raises(InputError):
        read_engine(contents)
