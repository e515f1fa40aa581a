"""What `agentrt doctor` says of drafting without a model: flags to set, the gain to expect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agentrt.cli.traffic import Exchange
from agentrt.estimates.drafting import DraftCounts, observed_speedup
from agentrt.estimates.lookup import replay_lookup, text_tokens

_NGRAMS = (2, 3, 4)
_LENGTH = 8
# Of a pass, for each drafted token: an accelerator with few requests at once, and one with many.
_IDLE, _BUSY = 0.02, 0.15
_FEW_TOKENS = 2_000
_WORTHWHILE = 1.05

VLLM, SGLANG = "vLLM", "SGLang"


@dataclass(frozen=True, slots=True)
class Expected:
    """Of one kind of program, with the n-gram that suits all of them best."""

    kind: str
    ngram: int
    counts: DraftCounts

    @property
    def gains(self) -> tuple[float, float]:
        """Decoding speed over that without drafts, on an idle and on a busy accelerator."""
        return observed_speedup(self.counts, _IDLE), observed_speedup(self.counts, _BUSY)


def expected_of(traffic: Iterable[Exchange]) -> list[Expected]:
    """What n-gram drafts would have come to: all kinds together first, then each if there are more."""
    by_ngram: dict[int, dict[str, DraftCounts]] = {ngram: {} for ngram in _NGRAMS}
    for kind, prompt, answer in traffic:
        before, tokens = text_tokens(prompt), text_tokens(answer)
        for ngram, counts in by_ngram.items():
            found = replay_lookup(before, tokens, ngram=ngram, length=_LENGTH)
            counts[kind] = counts.get(kind, DraftCounts()) + found
    totals = {ngram: sum(counts.values(), DraftCounts()) for ngram, counts in by_ngram.items()}
    # By the busy figure: what is drafted in vain costs most there.
    best = max(_NGRAMS, key=lambda ngram: observed_speedup(totals[ngram], _BUSY))
    kinds = by_ngram[best]
    rows = [Expected("all", best, totals[best])]
    return rows + [Expected(kind, best, kinds[kind]) for kind in kinds if len(kinds) > 1]


def flags(server: str, *, ngram: int = 3) -> str:
    """What to start `server` with, one of `VLLM` and `SGLANG`."""
    if server == VLLM:
        config = (
            f'{{"method":"ngram","num_speculative_tokens":{_LENGTH},'
            f'"prompt_lookup_max":{ngram},"prompt_lookup_min":{ngram}}}'
        )
        return f"--speculative-config '{config}'"
    return f"--speculative-algorithm NGRAM --speculative-num-draft-tokens {_LENGTH}"


def servers_of(server: str) -> tuple[str, ...]:
    """Whose flags to print for a server that names itself so; none if it drafts by itself."""
    named = server.lower()
    if "llama" in named:
        return ()
    found = tuple(one for one in (VLLM, SGLANG) if one.lower() in named)
    return found or (VLLM, SGLANG)


def advice_lines(server: str, expected: Sequence[Expected]) -> list[str]:
    """For people."""
    lines = ["drafting without a model (n-gram lookup):"]
    if expected:
        whole = expected[0]
        width = max(len(row.kind) for row in expected)
        lines += [
            f"  {row.kind.ljust(width)}  {row.counts.tokens:9,.0f} tokens"
            f"  {row.counts.share_taken:4.0%} of drafts right"
            f"  {row.gains[0]:.2f}x decoding speed expected, {row.gains[1]:.2f}x under load"
            for row in expected
        ]
        if whole.counts.tokens < _FEW_TOKENS:
            lines.append(f"  from under {_FEW_TOKENS:,} tokens: a rough guess")
        if max(whole.gains) < _WORTHWHILE:
            lines.append("  it does not pay for this traffic: leave it off")
            return lines
    ngram = expected[0].ngram if expected else 3
    lines += [f"  {one}: {flags(one, ngram=ngram)}" for one in servers_of(server)]
    if not servers_of(server):
        lines.append("  the embedded engine turns it on and off by itself")
    if not expected:
        lines.append("  what it would gain: --traffic RUN or FILE")
    return lines


def advice_json(server: str, expected: Sequence[Expected]) -> dict[str, Any]:
    """For programs."""
    ngram = expected[0].ngram if expected else 3
    return {
        "flags": {one: flags(one, ngram=ngram) for one in servers_of(server)},
        "expected": [
            {
                "kind": row.kind,
                "ngram": row.ngram,
                **asdict(row.counts),
                "share_taken": row.counts.share_taken,
                "speedup": row.gains[0],
                "speedup_under_load": row.gains[1],
            }
            for row in expected
        ],
    }
