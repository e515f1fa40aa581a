"""Of every test: consecutive requests of one agent of one program extend the same prefix.

Watches what `ScriptedBackend`s are asked. A test in which a prompt breaks on purpose says so, and why:

    @pytest.mark.breaks_prefix("its agents are given another question under the same name")

A typed answer that does not fit is asked for again without tools, held to its schema: that agents do
everywhere, and only their messages are compared there.

Asked about are turns of agents, `fix[3].llm`: other calls of one program need have nothing in common.
A turn that is asked again (after an error, after a resume) may be any of those before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.ir.request import Completion, Request

_MARK: Final = "breaks_prefix"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{_MARK}(reason): requests of an agent need not extend one another here"
    )


class PrefixWatch:
    """Remembers of each agent at each backend what it was asked last.

    Attributes:
        broken: What did not go on from there, for people.
    """

    def __init__(self) -> None:
        self._last: WeakKeyDictionary[ScriptedBackend, dict[tuple[str, str], Request]] = (
            WeakKeyDictionary()
        )
        self.broken: list[str] = []

    def asked(self, backend: ScriptedBackend, request: Request) -> None:
        """A request has come."""
        agent, bracket, _ = request.node_id.removesuffix(".llm").rpartition("[")
        if not bracket or not request.node_id.endswith("].llm"):
            return
        last = self._last.setdefault(backend, {})
        before = last.get((request.program_id, agent))
        last[request.program_id, agent] = request
        if before is not None and (problem := _problem(before, request)):
            self.broken.append(f"{before.node_id} -> {request.node_id}: {problem}")


def _turn(request: Request) -> int:
    return int(request.node_id.removesuffix("].llm").rpartition("[")[2])


def _problem(before: Request, now: Request) -> str:
    shared = min(len(before.messages), len(now.messages))
    if _turn(now) > _turn(before) and len(now.messages) <= len(before.messages):
        return "a later turn has no more messages"
    for number in range(shared):
        if before.messages[number] != now.messages[number]:
            return f"message {number} became another"
    is_constrained = before.output_schema is not None or now.output_schema is not None
    return "" if before.tools == now.tools or is_constrained else "the tools became others"


@pytest.fixture(autouse=True)
def _prefixes_are_extended(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    mark = request.node.get_closest_marker(_MARK)
    if mark is not None:
        assert mark.args, "breaks_prefix needs a reason"
        assert mark.args[0], "breaks_prefix needs a reason"
        yield
        return
    watch = PrefixWatch()
    complete = ScriptedBackend.complete

    async def watched(self: ScriptedBackend, asked: Request, **options: Any) -> Completion:
        watch.asked(self, asked)
        return await complete(self, asked, **options)

    monkeypatch.setattr(ScriptedBackend, "complete", watched)
    yield
    if watch.broken:
        pytest.fail("prompts of an agent broke: " + "; ".join(watch.broken[:5]))
