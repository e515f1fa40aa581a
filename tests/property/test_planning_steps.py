"""Whatever models write and tools do, and in whichever order: a question comes to an end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentrt.ir.request import Completion
from agentrt.ir.schema import canonical_json
from agentrt.planner import (
    Answer,
    AskJoin,
    AskPlan,
    GiveAnswer,
    GiveUp,
    JoinError,
    Outcome,
    PlanAction,
    PlanLimits,
    Planning,
    RunTask,
    failed,
    read_join,
)
from agentrt.planner.task import references
from tests.unit.planner.tool_set import HEIGHT, NOTE, SEARCH, TEXT, spec

DICE = replace(spec("dice", {}), is_deterministic=False)
ANY = spec("any", {"x": {}}, output={})
SEND = spec("send", {"to": TEXT, "what": {}}, effects="write")
TOOLS = (SEARCH, HEIGHT, NOTE, SEND, DICE, ANY)
CALLS = [
    *('search(query="a")', "search(query=$1)", "search(query=$2.name)", "search(query=4)"),
    *("height(of=$3)", "dice()", "any(x=$1[0])", "any(x=[$1, $2])", "nope()"),
    *('note(text="n")', "note(text=$1)", "note(text=3)"),
    *('send(to="b", what=$2)', "send(to=$3, what=1"),
]
lines = st.builds(
    "{}{}{}".format, st.integers(0, 6), st.sampled_from([" ", ". ", ") "]), st.sampled_from(CALLS)
) | st.sampled_from([*CALLS, "join", "join", "Thought: hm", "", "```"])
plans = st.lists(lines, max_size=7).map("\n".join)
verdicts = st.sampled_from(
    [
        '{"answer": "x"}',
        '{"verdict": {"replan": "more"}}',
        "hm",
        '{"replan": "more"}',
        '{"answer": 3}',
    ]
)
outcomes = st.sampled_from(
    [
        *(Outcome("text"), Outcome(["a"]), Outcome({"name": "b"}), Outcome(None)),
        *(failed("down"), failed("lost", is_final=True)),
    ]
)


class _Driver:
    """Performs actions in an order that is drawn, and holds each to what must be true of it."""

    def __init__(self, draw: st.DataObject) -> None:
        self.data = draw
        limits = PlanLimits(
            max_replans=draw.draw(st.integers(0, 2)),
            max_repairs=draw.draw(st.integers(0, 2)),
            max_join_retries=1,
            max_tasks=draw.draw(st.sampled_from([2, 64])),
            max_total_tokens=draw.draw(st.sampled_from([None, None, 30])),
        )
        self.planning = Planning(TOOLS, "why?", limits=limits)
        self.open: list[PlanAction] = []
        self.texts: dict[tuple[int, int], str] = {}
        self.final: dict[str, Outcome] = {}
        self.end: GiveAnswer | GiveUp | None = None

    def add(self, actions: list[PlanAction]) -> None:
        for action in actions:
            assert self.end is None, "nothing is asked for after the end"
            if isinstance(action, (GiveAnswer, GiveUp)):
                self.end = action
            else:
                self.open.append(action)
            if isinstance(action, RunTask):
                self._check(action)

    def _check(self, run: RunTask) -> None:
        assert not list(references(run.arguments))
        if run.task.tool not in (NOTE.name, SEND.name):
            return
        assert _call(run) not in self.final, "no write that may have happened is made again"
        here = [each for each in self.planning.ledger.here if each < run.task.id]
        assert all(self.planning.ledger.outcomes[each].is_ok for each in here)
        assert not any(isinstance(each, AskPlan) for each in self.open), "its plan is on record"

    def step(self) -> None:
        action = self.open[self.data.draw(st.integers(0, len(self.open) - 1))]
        match action:
            case AskPlan():
                self._write(action)
            case RunTask():
                self.open.remove(action)
                outcome = self.data.draw(outcomes)
                if outcome.is_final:
                    self.final[_call(action)] = outcome
                self.add(self.planning.task_ended(action.task.id, outcome))
            case AskJoin():
                self.open.remove(action)
                self._join(action)
            case _:
                raise AssertionError(action)

    def _write(self, ask: AskPlan) -> None:
        """A piece of the plan, or the end of it."""
        key = ask.plan, ask.repair
        if key not in self.texts:
            self.texts[key] = self.data.draw(plans)
            read = self.data.draw(st.integers(0, len(self.texts[key])))
            self.add(self.planning.received(self.texts[key][:read], of=ask))
            return
        self.open.remove(ask)
        is_cut = self.data.draw(st.booleans())
        self.add(self.planning.plan_ended(self.texts[key], is_cut=is_cut, tokens=10, of=ask))

    def _join(self, ask: AskJoin) -> None:
        said = Completion(text=self.data.draw(verdicts))
        try:
            verdict = read_join(said, answer=TEXT, may_replan=ask.may_replan)
        except JoinError as error:
            self.add(self.planning.join_rejected(said.text, str(error), tokens=5))
            return
        if isinstance(verdict, Answer):
            assert self.planning.ledger.is_settled
        self.add(self.planning.join_ended(verdict, said.text, tokens=5))


def _call(run: RunTask) -> str:
    return canonical_json([run.task.tool, run.arguments])


@given(st.data())
def test_a_question_comes_to_an_end(data: st.DataObject) -> None:
    driver = _Driver(data)
    driver.add(driver.planning.begin())
    seen: list[Any] = []
    while driver.open:
        before = list(driver.planning.transcript)
        driver.step()
        assert driver.planning.transcript[: len(before)] == before
        seen.append(driver.end)
        assert len(seen) < 500
    assert driver.end is not None
