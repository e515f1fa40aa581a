"""What a step of an inference engine costs, and how it is set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

EngineOrder: TypeAlias = Literal["fcfs", "priority"]
EngineCache: TypeAlias = Literal["paged", "slots"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineModel:
    """A model on its hardware. Seconds of a step are linear in what it does.

    Attributes:
        step_s: Of any step: weights read, kernels launched, the scheduler's own work.
        prefill_token_s: Of each prompt token computed.
        prefill_pair_s: Of each pair of a prompt token computed and one that it attends to.
        decode_sequence_s: Of each sequence that decodes a token.
        context_token_s: Of each token of context that decoding sequences read.
        swap_in_token_s: Of each token whose KV comes back from host memory.
        kv_tokens: Tokens that the KV cache has room for.
        max_batch_tokens: Tokens computed in one step at most, decoded ones included.
        max_running: Sequences worked on at once at most.
        cache: Whether blocks are shared by all sequences, as in vLLM, or each of `max_running` slots
            keeps the sequence it last had, in its own part of `kv_tokens`, as in llama.cpp.
        host_tokens: Tokens of KV that are also kept in host memory.
    """

    name: str
    step_s: float
    prefill_token_s: float
    prefill_pair_s: float = 0.0
    decode_sequence_s: float
    context_token_s: float
    swap_in_token_s: float = 0.0
    kv_tokens: int
    max_batch_tokens: int = 8192
    max_running: int = 256
    cache: EngineCache = "paged"
    host_tokens: int = 0

    def __post_init__(self) -> None:
        costs = (
            self.prefill_token_s,
            self.prefill_pair_s,
            self.decode_sequence_s,
            self.context_token_s,
            self.swap_in_token_s,
        )
        if not (self.step_s > 0 and min(costs) >= 0):
            raise ValueError(f"{self.name}: a step takes time, and nothing in it gives any back")
        if not 1 <= self.max_running <= self.max_batch_tokens:
            raise ValueError(
                f"{self.name}: {self.max_running} sequences do not fit a batch of "
                f"{self.max_batch_tokens} tokens"
            )
        if self.host_tokens < 0:
            raise ValueError(f"{self.name}: host memory holds {self.host_tokens} tokens")

    def decode_s(self, sequences: int, context_tokens: int, steps: int) -> float:
        """Seconds of `steps` steps in which each sequence decodes a token and grows by it."""
        grown = sequences * (steps * (steps - 1) // 2)
        return steps * (self.step_s + self.decode_sequence_s * sequences) + self.context_token_s * (
            steps * context_tokens + grown
        )

    def prefill_s(self, tokens: int, before: int) -> float:
        """Seconds that computing `tokens` prompt tokens behind `before` others adds to a step."""
        pairs = tokens * before + 0.5 * tokens * tokens
        return self.prefill_token_s * tokens + self.prefill_pair_s * pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How an engine is set up.

    Attributes:
        kv_blocks: Blocks of its KV cache; None: as many as the model's `kv_tokens` make.
        order: Whom it lets in first: who came first, or who has the highest priority.
        held_blocks: Blocks that holds may keep from being evicted, in all.
        host_blocks: Blocks of KV that are also kept in host memory; None: as many as the model's
            `host_tokens` make.
        watermark: Share of the blocks that stays free when a request joins others, so that what is
            let in is not thrown out at once.
    """

    block_tokens: int = 16
    kv_blocks: int | None = None
    order: EngineOrder = "fcfs"
    held_blocks: int = 0
    host_blocks: int | None = None
    watermark: float = 0.01

    def __post_init__(self) -> None:
        if self.block_tokens < 1 or not 0 <= self.watermark < 1:
            raise ValueError("an engine needs blocks of a token or more, and room to use them")
