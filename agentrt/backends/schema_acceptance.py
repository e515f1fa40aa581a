"""Which output schemas a server takes, as learnt from what it refused."""

from __future__ import annotations

import re

from agentrt.ir.schema import Schema, content_hash

# vLLM says "Grammar error: Unimplemented keys", OpenAI "Invalid schema for response_format": they
# take other schemas. A server that knows no structured output names the field it does not know.
_NAMES_FIELD = re.compile(r"response_format|json_schema", re.IGNORECASE)
_NAMES_SCHEMA = re.compile(r"invalid (?:json )?schema|grammar", re.IGNORECASE)
_ENOUGH_REFUSALS = 3
_MAX_REMEMBERED = 1000


class SchemaAcceptance:
    """Remembers refused schemas; gives up on all where the server takes none.

    Attributes:
        is_given_up: No schema is sent any more.
    """

    def __init__(self) -> None:
        self.is_given_up = False
        self._has_accepted = False
        self._refused: set[str] = set()

    def is_worth_sending(self, schema: Schema) -> bool:
        """Whether the server may take `schema`."""
        return not self.is_given_up and (
            not self._refused or content_hash(schema) not in self._refused
        )

    def accepted(self) -> None:
        """A request with a schema was answered."""
        self._has_accepted = True

    def refused(self, schema: Schema, said: str) -> None:
        """A request was refused with `schema`, in these words, and answered without."""
        if len(self._refused) < _MAX_REMEMBERED:
            self._refused.add(content_hash(schema))
        is_unknown = _NAMES_FIELD.search(said) is not None and _NAMES_SCHEMA.search(said) is None
        has_enough = len(self._refused) >= _ENOUGH_REFUSALS
        if not self._has_accepted and (is_unknown or has_enough):
            self.is_given_up = True
