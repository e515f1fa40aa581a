"""Engines with known constants. `docs/engine-model.md` derives each number, and says how far off."""

from __future__ import annotations

from agentrt.simulator.engine_model import EngineModel

LLAMA_3_8B_A100 = EngineModel(
    name="llama-3-8b-a100",
    step_s=10.3e-3,
    prefill_token_s=8.6e-5,
    prefill_pair_s=3.4e-9,
    decode_sequence_s=4.3e-5,
    context_token_s=9.2e-8,
    swap_in_token_s=5.2e-6,
    kv_tokens=412_000,
)

LLAMA_3_8B_H100 = EngineModel(
    name="llama-3-8b-h100",
    step_s=6.6e-3,
    prefill_token_s=3.2e-5,
    prefill_pair_s=1.3e-9,
    decode_sequence_s=1.6e-5,
    context_token_s=5.6e-8,
    swap_in_token_s=2.6e-6,
    kv_tokens=412_000,
)

LLAMA_3_70B_8XA100 = EngineModel(
    name="llama-3-70b-8xa100",
    step_s=13.6e-3,
    prefill_token_s=1.13e-4,
    prefill_pair_s=2.6e-9,
    decode_sequence_s=5.7e-5,
    context_token_s=2.9e-8,
    swap_in_token_s=1.6e-6,
    kv_tokens=1_280_000,
)

LLAMA_3_70B_8XH100 = EngineModel(
    name="llama-3-70b-8xh100",
    step_s=8.8e-3,
    prefill_token_s=5.1e-5,
    prefill_pair_s=1.1e-9,
    decode_sequence_s=2.6e-5,
    context_token_s=1.7e-8,
    swap_in_token_s=8.2e-7,
    kv_tokens=1_280_000,
)

SMOLLM2_135M_EMBEDDED = EngineModel(
    name="smollm2-135m-embedded",
    step_s=1.25e-3,
    prefill_token_s=2.23e-3,
    prefill_pair_s=5.7e-7,
    decode_sequence_s=3.68e-3,
    context_token_s=4.0e-6,
    swap_in_token_s=3.0e-6,
    kv_tokens=16_384,
    max_batch_tokens=512,
    max_running=4,
    cache="slots",
    host_tokens=46_000,
)

PRESETS = {
    model.name: model
    for model in (
        LLAMA_3_8B_A100,
        LLAMA_3_8B_H100,
        LLAMA_3_70B_8XA100,
        LLAMA_3_70B_8XH100,
        SMOLLM2_135M_EMBEDDED,
    )
}
"""By name."""
