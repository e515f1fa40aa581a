"""`TextRate`: what text comes to in tokens, learned from what servers count."""

from __future__ import annotations

_CHARACTERS_PER_TOKEN = 4.0
_PRIOR_TOKENS = 1_000
_TOKENS_REMEMBERED = 1_000_000


class TextRate:
    """How many characters make a token, as one model's tokenizer cuts what is sent to it."""

    def __init__(self) -> None:
        self._tokens = float(_PRIOR_TOKENS)
        self._characters = _CHARACTERS_PER_TOKEN * _PRIOR_TOKENS

    @property
    def characters_per_token(self) -> float:
        return self._characters / self._tokens

    def learn(self, characters: int, tokens: int) -> None:
        """A server has counted `tokens` in a prompt of `characters`; 0: it does not count."""
        if tokens <= 0:
            return
        self._tokens += tokens
        self._characters += characters
        if self._tokens > _TOKENS_REMEMBERED:
            self._tokens /= 2
            self._characters /= 2

    def tokens(self, characters: int) -> int:
        """Of a text that was not sent yet; at least one, as no prompt has none."""
        return max(1, round(characters / self.characters_per_token))
