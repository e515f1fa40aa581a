"""What drafting by lookup would have got right in recorded text: prompt and answer, token by token.

Prompt lookup: where the last `ngram` tokens occurred before, what followed them there is the draft
(Saxena, "Prompt Lookup Decoding", 2023; llama.cpp's `ngram-simple`; vLLM's method `ngram`).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

from agentrt.estimates.drafting import DraftCounts

_PIECES = re.compile(r" ?[^\W\d_]{1,12}|\d{1,3}| ?[^\w\s]{1,3}|_|\s+")


def text_tokens(text: str) -> list[str]:
    """Text in pieces about as a tokenizer cuts it: words with the blank before them, marks, numbers.

    Only an approximation: real vocabularies cut rare words further, so drafts are a little shorter
    here in tokens than they would be.
    """
    return _PIECES.findall(text)


def replay_lookup(
    prompt: Sequence[Hashable], answer: Sequence[Hashable], *, ngram: int, length: int
) -> DraftCounts:
    """Decode `answer` after `prompt` with drafts of up to `length` tokens, looked up by `ngram`.

    The latest occurrence is taken that has a whole draft after it, as llama.cpp does. Takes time in
    proportion to the tokens, whatever they are.

    Raises:
        ValueError: `ngram` or `length` is below 1.
    """
    if ngram < 1 or length < 1:
        raise ValueError("a lookup is by one token or more, for one token or more")
    tokens = [*prompt, *answer]
    # Where what followed the n-gram begins.
    after: dict[tuple[Hashable, ...], int] = {}
    known = ngram
    at = len(prompt)
    drafted = accepted = 0
    while at < len(tokens):
        while known + length <= at:
            after[tuple(tokens[known - ngram : known])] = known
            known += 1
        found = after.get(tuple(tokens[at - ngram : at])) if at >= ngram else None
        right = 0
        if found is not None:
            # The last token of the answer comes from the pass itself: nothing is drafted for it.
            size = min(length, len(tokens) - at - 1)
            while right < size and tokens[found + right] == tokens[at + right]:
                right += 1
            drafted += size
            accepted += right
        at += right + 1
    return DraftCounts(len(answer), drafted, accepted)
