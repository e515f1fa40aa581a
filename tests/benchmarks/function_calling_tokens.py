"""Tokens without a tokenizer: what `function_calling` counts and streams by.

Text is cut as GPT-4's tokenizer pre-cuts it, and words again every six letters. Against the tokenizer
of Qwen2.5 (which is derived from GPT-4's): instructions +5 %, plans -2 to -4 %, lists of titles +4 %,
Wikipedia text -8 %, JSON of tool calls +8 %.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"(?:[^\r\n\w]|_)?[^\W\d_]{1,6}|\d{1,3}| ?(?:[^\s\w]|_){1,5}[\r\n]*|\s+", re.DOTALL
)


def tokens(text: str) -> list[str]:
    """The pieces of `text`; joined, they are it again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    return len(tokens(text))
