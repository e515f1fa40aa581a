"""Who runs at an engine, with which blocks; who waits for a place, and who loses theirs."""

from __future__ import annotations

from agentrt.errors import InvariantError
from agentrt.ir.prefix import Chain
from agentrt.simulator.engine_blocks import Blocks
from agentrt.simulator.engine_model import EngineModel, EngineSettings
from agentrt.simulator.engine_request import CallId
from agentrt.simulator.engine_sequence import DecodeBatch, Sequence, blocks_of, private_blocks
from agentrt.simulator.engine_waiting import WaitingLine


class Places:
    """The running sequences: those whose prompts are being computed, and those that decode."""

    def __init__(self, model: EngineModel, settings: EngineSettings) -> None:
        self._model = model
        self._block_tokens = settings.block_tokens
        total = settings.kv_blocks
        if total is None:
            total = model.kv_tokens // settings.block_tokens
        host_blocks = settings.host_blocks
        if host_blocks is None:
            host_blocks = model.host_tokens // settings.block_tokens
        self.blocks = Blocks(total, held_limit=settings.held_blocks, host_blocks=host_blocks)
        self.waiting = WaitingLine(settings.order)
        self.running: dict[CallId, Sequence] = {}
        self.batch = DecodeBatch(settings.block_tokens)
        self.swapped_in_tokens = 0
        self._prefilling: dict[CallId, Sequence] = {}
        self._watermark = int(settings.watermark * total)

    @property
    def most_blocks(self) -> int:
        """Blocks that one sequence can have."""
        return self.blocks.total

    @property
    def cached_blocks(self) -> int:
        """Blocks of cached prefixes."""
        return self.blocks.prefixes.used_blocks

    @property
    def is_full(self) -> bool:
        """Whether as many run as the engine has places for."""
        return len(self.running) >= self._model.max_running

    def decode(self, steps: int) -> list[Sequence]:
        """Take `steps` steps; those who have all of their answer then, in the order they came."""
        self.blocks.take_private(self.batch.blocks_for(steps))
        self.batch.advance(steps)
        return self.batch.take_ended()

    def decode_on(self, sequence: Sequence) -> None:
        """Have a sequence decode whose prompt is computed."""
        del self._prefilling[sequence.request.call_id]
        self.batch.join(sequence)

    def give_up(self, sequence: Sequence) -> Chain:
        """Take a sequence out of the running; what stays cached of it."""
        self._leave(sequence)
        if sequence.reference is None:
            raise InvariantError(f"call {sequence.request.call_id!r} runs without its blocks")
        tokens = max(sequence.computed, sequence.target)
        self.blocks.take_private(-private_blocks(sequence, tokens, self._block_tokens))
        self.blocks.prefixes.release(sequence.reference)
        sequence.reference = None
        if sequence.computed < sequence.target:
            promised = sequence.chain_of(sequence.target, self._block_tokens)
            self.blocks.prefixes.correct(promised, sequence.computed // self._block_tokens)
        context = sequence.chain_of(sequence.computed, self._block_tokens)
        self.blocks.keep(context)
        return context

    def preempt_for_growth(self) -> list[Sequence]:
        """See that those who decode have blocks for a step; who had to make room, and waits now."""
        preempted: list[Sequence] = []
        while self.batch.blocks_for(1) > self.blocks.available:
            if self.blocks.break_hold():
                continue
            sequence = max(self.running.values(), key=self.waiting.rank)
            self.give_up(sequence)
            self.waiting.add(sequence)
            preempted.append(sequence)
        return preempted

    def let_in(self) -> list[Sequence]:
        """Let in who waits, in order, as long as there are places, tokens and blocks."""
        admitted: list[Sequence] = []
        tokens = self._tokens_left() - sum(
            sequence.target - sequence.computed for sequence in self._prefilling.values()
        )
        growth = self.batch.blocks_for(1)
        while tokens > 0 and not self.is_full:
            sequence = self.waiting.first()
            if sequence is None or not self._admit(sequence, growth):
                break
            admitted.append(sequence)
            tokens -= sequence.target - sequence.computed
        return admitted

    def prompt_chunks(self) -> tuple[list[tuple[Sequence, int]], float]:
        """What of the prompts the next step computes, and the seconds that adds to it."""
        left, seconds = self._tokens_left(), 0.0
        chunks: list[tuple[Sequence, int]] = []
        for sequence in self._prefilling.values():
            if left <= 0:
                break
            tokens = min(left, sequence.target - sequence.computed)
            left -= tokens
            swapped = sequence.to_swap_in * self._block_tokens
            seconds += self._model.prefill_s(tokens, sequence.computed)
            seconds += self._model.swap_in_token_s * swapped
            chunks.append((sequence, tokens))
        return chunks, seconds

    def _leave(self, sequence: Sequence) -> None:
        if sequence.joined_step is not None:
            self.batch.leave(sequence)
        del self.running[sequence.request.call_id]
        self._prefilling.pop(sequence.request.call_id, None)

    def _tokens_left(self) -> int:
        return self._model.max_batch_tokens - self.batch.sequences

    def _admit(self, sequence: Sequence, growth: int) -> bool:
        """Give a sequence its blocks and a place, if there is room."""
        target = sequence.request.prompt_tokens + sequence.generated
        chain = sequence.chain_of(target, self._block_tokens)
        wanted = blocks_of(target, self._block_tokens)
        while True:
            cached, referenced = self.blocks.prefixes.probe(chain)
            spare = growth + self._watermark if self.running else 0
            if wanted - referenced + spare <= self.blocks.available:
                break
            if self.running or not self.blocks.break_hold():
                return False
        self._enter(sequence, chain, target, cached)
        self.blocks.prefixes.insert(chain)
        sequence.reference = self.blocks.prefixes.acquire(chain)
        self.blocks.take_private(private_blocks(sequence, target, self._block_tokens))
        return True

    def _enter(self, sequence: Sequence, chain: Chain, target: int, cached: int) -> None:
        """Let the first who waits run, with `cached` blocks of its prompt at hand."""
        self.waiting.take_first()
        # The last token of a prompt is always computed: its answer is sampled from it.
        most = (target - 1) // self._block_tokens
        hit = min(cached, most)
        sequence.to_swap_in = max(0, min(self.blocks.host.match(chain), most) - hit)
        self.swapped_in_tokens += sequence.to_swap_in * self._block_tokens
        sequence.target = target
        sequence.computed = (hit + sequence.to_swap_in) * self._block_tokens
        call_id = sequence.request.call_id
        self.running[call_id] = self._prefilling[call_id] = sequence
