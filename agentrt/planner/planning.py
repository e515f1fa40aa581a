"""`Planning`: one question, from the first line of a plan to the answer. Events in, actions out.

It performs nothing and knows no time: whoever drives it asks models and calls tools, and says how
that went. The same events give the same actions.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentrt.errors import InvariantError
from agentrt.ir.request import Message
from agentrt.ir.schema import Schema
from agentrt.ir.tool import ToolSpec
from agentrt.planner.actions import AskJoin, AskPlan, GiveAnswer, GiveUp, PlanAction, PlanLimits
from agentrt.planner.grammar import GrammarLimits, lines_grammar, plan_grammar
from agentrt.planner.join import TEXT, Answer, Verdict, join_message, join_schema, replan_message
from agentrt.planner.ledger import Ledger
from agentrt.planner.outcome import Outcome
from agentrt.planner.prompt import planner_messages
from agentrt.planner.reader import (
    BadLine,
    Check,
    PlanEvent,
    PlanReader,
    TaskReady,
    TooManyTasks,
    frozen_tools,
)
from agentrt.planner.repair import continue_message, repair_message

MAX_GRAMMAR_TASKS = 16
"""Tasks of a plan that is written under a grammar, which is unrolled task by task."""


class Planning:
    """Call `begin` once, then say what happened; perform what each call returns.

    Attributes:
        transcript: The conversation with the model so far. It only ever grows.
        ledger: The tasks and how they ended.
    """

    def __init__(
        self,
        tools: Iterable[ToolSpec],
        question: str,
        *,
        answer: Schema = TEXT,
        instructions: str = "",
        limits: PlanLimits | None = None,
        check: Check | None = None,
    ) -> None:
        """Start with nothing asked.

        Args:
            tools: What plans may call; later changes of their schemas change nothing here.
            question: What is to be answered.
            answer: The JSON Schema of the answer.
            instructions: What the joiner is told about the answer, besides.
            limits: None: the defaults.
            check: Asked about each task that fits the schemas, before it runs.

        Raises:
            ValueError: two tools have one name, or a plan cannot call one by it.
        """
        self.tools = frozen_tools(tools)
        self.question = question
        self.transcript: list[Message] = []
        self.ledger = Ledger(self.tools)
        self._answer = answer
        self._instructions = instructions
        self._limits = limits or PlanLimits()
        self._check = check
        self._plan = 0
        self._repairs = 0
        self._tokens = 0
        self._text = ""
        self._is_writing = False
        self._asked: AskPlan | None = None
        self._is_closed = False
        self._is_whole: bool | None = None
        self._has_asked_join = False
        self._join_retries = 0
        self._too_many: int | None = None
        self._has_given_up = False
        self._reader = self._new_reader()

    def is_read(self, ask: AskPlan) -> bool:
        """Whether what the model, asked so, goes on writing has a meaning."""
        return ask is self._asked and not self._reader.is_over

    @property
    def reusable_plan(self) -> str | None:
        """The plan as `PlanCache` takes it; None unless it went through at the first try."""
        is_first = self._plan == 0 and self._repairs == 0 and self._is_whole is True
        ledger, here = self.ledger, self.ledger.here
        if not here or not is_first or not all(ledger.outcomes[i].is_ok for i in here):
            return None
        return "\n".join([*(str(ledger.tasks[task_id]) for task_id in here), "join"])

    def begin(self) -> list[PlanAction]:
        self.transcript.extend(planner_messages(self.tools, self.question))
        return self._ask_plan(self._grammar())

    def received(self, text: str, *, of: AskPlan | None = None) -> list[PlanAction]:
        """A piece of what was asked for by `of`; None: by the latest `AskPlan`."""
        if self._reader.is_over or (of is not None and of is not self._asked):
            return []
        self._text += text
        return self._read(self._reader.feed(text))

    def plan_ended(
        self, text: str, *, is_cut: bool = False, tokens: int = 0, of: AskPlan | None = None
    ) -> list[PlanAction]:
        """The answer to `AskPlan` is there, whether or not `received` has seen it in pieces.

        Args:
            text: All of it.
            is_cut: It stops in the middle: a limit on tokens, a connection that broke.
            tokens: Spent on it.
            of: What asked for it; None: the latest `AskPlan`. A plan that has joined may be answered
                for, and replaced, before the model that wrote it has stopped writing.
        """
        self._tokens += tokens
        if of is not None and of is not self._asked:
            return []
        actions: list[PlanAction] = []
        if text.startswith(self._text):
            actions += self.received(text[len(self._text) :])
        actions += self._read(self._reader.close(is_cut=is_cut))
        self._end_writing()
        if self._too_many is not None:
            return [self._give_up("max_tasks", f"the plan has more than {self._too_many} tasks")]
        has_ended = self._reader.is_joined or (not is_cut and bool(self.ledger.here))
        return [*actions, *self._mend(has_ended=has_ended)]

    def task_ended(self, task_id: int, outcome: Outcome) -> list[PlanAction]:
        """The call that `RunTask` asked for has ended."""
        self.ledger.ended(task_id, outcome)
        return self._advance()

    def join_rejected(self, text: str, why: str, *, tokens: int = 0) -> list[PlanAction]:
        """The answer to `AskJoin` is no verdict, or its answer does not fit: it is asked again."""
        self._tokens += tokens
        self._join_retries += 1
        if self._join_retries > self._limits.max_join_retries:
            return [
                self._give_up("max_join_retries", f"the joiner gave no answer that fits: {why}")
            ]
        self.transcript.append(Message("assistant", text))
        self.transcript.append(Message("user", f"That cannot be used: {why}. Write it again."))
        return self._ask_joiner()

    def join_ended(self, verdict: Verdict, text: str, *, tokens: int = 0) -> list[PlanAction]:
        """The answer to `AskJoin`; `text` as the model wrote it."""
        self._tokens += tokens
        if isinstance(verdict, Answer):
            return [GiveAnswer(verdict.value)]
        if self._plan >= self._limits.max_replans:
            raise InvariantError("the joiner wants another plan than it was allowed")
        self.transcript.append(Message("assistant", text))
        self.transcript.append(replan_message(self.ledger.next_id))
        self._plan += 1
        self.ledger.next_plan()
        self._repairs = 0
        self._is_closed = self._has_asked_join = False
        self._join_retries = 0
        self._is_whole = None
        self._reader = self._new_reader()
        return self._ask_plan(self._grammar())

    def _read(self, events: list[PlanEvent]) -> list[PlanAction]:
        for event in events:
            match event:
                case TaskReady(task):
                    self.ledger.add(task)
                case BadLine():
                    self.ledger.bad(event)
                case TooManyTasks(limit):
                    self._too_many = limit
                case _:
                    pass
        if self._reader.is_joined and not self._reader.bad:
            self._close(is_whole=True)
        return self._advance() if events else []

    def _advance(self) -> list[PlanAction]:
        """What may run now; the joiner, once everything has ended."""
        if self._too_many is not None or self._has_given_up:
            return []
        # A write waits for the end of the model's answer, not only for the join in it: then the plan
        # is on record, and a run that is resumed cannot come by another one.
        is_whole = None if self._is_writing and self._is_whole else self._is_whole
        actions: list[PlanAction] = [*self.ledger.runnable(is_whole=is_whole)]
        is_counted = self._limits.max_total_tokens is None or not self._is_writing
        if self._is_closed and not self._has_asked_join and self.ledger.is_settled and is_counted:
            actions += self._ask_join()
        return actions

    def _close(self, *, is_whole: bool) -> None:
        self._is_closed = True
        self._is_whole = is_whole
        self.ledger.mended()

    def _mend(self, *, has_ended: bool) -> list[PlanAction]:
        """Ask for what is bad or missing, or make do without it."""
        bad = self._reader.bad
        if has_ended and not bad:
            self._close(is_whole=True)
            return self._advance()
        self._reader.reopen(is_complete=has_ended)
        bad = self._reader.bad
        if self._repairs >= self._limits.max_repairs:
            for line in bad:
                self.ledger.give_up_on(line)
            self._close(is_whole=False)
            return self._advance()
        self._repairs += 1
        if not has_ended:
            next_id = max([self.ledger.next_id, *(1 + (line.id or 0) for line in bad)])
            self.transcript.append(continue_message(next_id))
            return self._ask_plan(self._grammar(next_id))
        self.transcript.append(repair_message(bad))
        wanted = sorted({line.id for line in bad if line.id is not None})
        return self._ask_plan(lines_grammar(self.tools, wanted, known=self.ledger.tasks))

    def _ask_plan(self, grammar: str) -> list[PlanAction]:
        if exceeded := self._out_of_tokens():
            return exceeded
        self._text = ""
        self._is_writing = True
        self._asked = AskPlan(
            plan=self._plan,
            repair=self._repairs,
            messages=tuple(self.transcript),
            grammar=grammar,
        )
        return [self._asked]

    def _ask_join(self) -> list[PlanAction]:
        self._has_asked_join = True
        self._end_writing()
        may_replan = self._plan < self._limits.max_replans
        results = self.ledger.shown(self._limits.max_result_characters)
        self.transcript.append(
            join_message(results, may_replan=may_replan, instructions=self._instructions)
        )
        return self._ask_joiner()

    def _ask_joiner(self) -> list[PlanAction]:
        if exceeded := self._out_of_tokens():
            return exceeded
        may_replan = self._plan < self._limits.max_replans
        schema = join_schema(self._answer, may_replan=may_replan)
        return [
            AskJoin(
                plan=self._plan,
                attempt=self._join_retries,
                messages=tuple(self.transcript),
                schema=schema,
                may_replan=may_replan,
            )
        ]

    def _end_writing(self) -> None:
        """What was read of the plan joins the conversation: as far as its join, no babble."""
        if self._is_writing:
            self._is_writing = False
            self.transcript.append(Message("assistant", self._text[: self._reader.read].rstrip()))

    def _out_of_tokens(self) -> list[PlanAction]:
        limit = self._limits.max_total_tokens
        if limit is None or self._tokens < limit:
            return []
        return [self._give_up("max_total_tokens", f"no answer within {limit} tokens")]

    def _give_up(self, limit: str, why: str) -> GiveUp:
        self._has_given_up = True
        return GiveUp(limit, why)

    def _grammar(self, first_id: int | None = None) -> str:
        room = self._limits.max_tasks - len(self.ledger.here) - len(self._reader.bad)
        return plan_grammar(
            self.tools,
            first_id=self.ledger.next_id if first_id is None else first_id,
            earlier=sorted(self.ledger.tasks),
            limits=GrammarLimits(max_tasks=min(room, MAX_GRAMMAR_TASKS)),
        )

    def _new_reader(self) -> PlanReader:
        return PlanReader(
            self.tools,
            earlier=self.ledger.tasks.values(),
            max_tasks=self._limits.max_tasks,
            check=self._check,
        )
