"""The plan region: a plan that an LLM writes, its tasks, and the joiner that answers."""

from __future__ import annotations

from typing import assert_never

from agentrt.dsl.value_type import ValueType
from agentrt.errors import InvariantError, LimitExceeded, OutputError, RunError, SchemaError
from agentrt.ir.node import PlanNode
from agentrt.ir.request import Completion
from agentrt.planner.actions import (
    AskJoin,
    AskPlan,
    GiveAnswer,
    GiveUp,
    PlanAction,
    PlanLimits,
    RunTask,
)
from agentrt.planner.guesses import Guess
from agentrt.planner.join import Answer, JoinError, read_join
from agentrt.planner.memory import PlanMemory
from agentrt.planner.outcome import Outcome
from agentrt.planner.planning import Planning
from agentrt.planner.task import Reference, Task, references
from agentrt.runtime.executable import PlanStep
from agentrt.runtime.instance import Instance, PlanJoin, PlanTask, PlanWriting, Scope
from agentrt.runtime.regions import Broken, Done, Expand
from agentrt.runtime.regions import Outcome as RegionOutcome
from agentrt.scheduler.progress import Child

CUT = "cut"
"""The `finish_reason` of a plan whose stream broke off: what there is of it counts."""


PLAN_CACHE = "plan cache"
"""The `model` of a plan that no model was asked for."""


def child_id(instance_id: str, action: AskPlan | RunTask | AskJoin) -> str:
    """The id of the instance that performs `action` for a plan's instance."""
    match action:
        case AskPlan():
            name = f"repair[{action.repair}]" if action.repair else "llm"
        case RunTask():
            name = f"t{action.task.id}.{action.task.tool}"
        case AskJoin():
            name = f"join[{action.attempt}]" if action.attempt else "join"
        case _:
            assert_never(action)
    return f"{instance_id}[{action.plan}].{name}"


def limits_of(node: PlanNode) -> PlanLimits:
    """What its author has set."""
    return PlanLimits(
        max_replans=node.max_replans,
        max_repairs=node.max_repairs,
        max_join_retries=node.options.output_retries,
        max_tasks=node.max_tasks,
        max_total_tokens=node.max_total_tokens,
    )


class PlanRegion:
    """A question, from the first line of a plan to the answer.

    Unlike other regions it unrolls while its children run: `received` and `child_ended` are told
    what happens, and `advance` only asks what came of it.
    """

    def __init__(self, instance: Instance, step: PlanStep, scope: Scope, plans: PlanMemory) -> None:
        self._plans = plans
        self._instance = instance
        self._step = step
        self._outer = scope
        self._answer: Done | None = None
        self._error: RunError | None = None
        self._planning: Planning | None = None

    @property
    def planning(self) -> Planning:
        if self._planning is None:
            raise InvariantError(f"{self._instance.id!r} has not begun")
        return self._planning

    def begin(self) -> RegionOutcome:
        system, question = self._step.prompt(self._outer.values)
        self._planning = Planning(
            [tool.spec for tool in self._step.tools],
            question,
            answer=self._step.answer.schema,
            instructions=system or "",
            limits=limits_of(self._step.node),
            check=self._problem,
        )
        return self._expanded(self._planning.begin())

    def received(self, text: str, ask: AskPlan) -> Expand:
        """What to add now that the planner, asked so, has written `text`."""
        return self._expanded(self.planning.received(text, of=ask))

    def child_ended(self, child: Instance) -> Expand:
        """What to add now that `child` has its value."""
        work = child.work
        match work:
            case PlanWriting() if isinstance(child.value, Completion):
                self._instance.usage += child.usage
                is_cut = child.value.is_cut or child.value.finish_reason == CUT
                return self._expanded(
                    self.planning.plan_ended(
                        child.value.text,
                        is_cut=is_cut,
                        tokens=child.usage.total_tokens,
                        of=work.ask,
                    )
                )
            case PlanTask() if isinstance(child.value, Outcome):
                return self._expanded(self.planning.task_ended(work.run.task.id, child.value))
            case PlanJoin() if isinstance(child.value, Completion):
                self._instance.usage += child.usage
                return self._expanded(self._joined(work.ask, child.value, child.usage.total_tokens))
            case _:
                raise InvariantError(f"{child.id!r} is no child of a plan, or has no value of one")

    def advance(self) -> RegionOutcome:
        if self._answer is not None:
            return self._answer
        # The model's call failed, where the run goes on in spite of it.
        return Broken(
            self._error or RunError("a call of the plan failed", node_id=self._instance.id)
        )

    @property
    def timeout_s(self) -> float | None:
        """How long it may take; None: not limited."""
        return self._step.node.timeout_s

    def out_of_time(self) -> LimitExceeded:
        """The error for a question whose `timeout_s` is over."""
        return self._exceeded("timeout_s", f"no answer within {self._step.node.timeout_s:g} s")

    def _joined(self, ask: AskJoin, completion: Completion, tokens: int) -> list[PlanAction]:
        answer: ValueType[object] = self._step.answer
        try:
            verdict = read_join(completion, answer=answer.schema, may_replan=ask.may_replan)
            if isinstance(verdict, Answer):
                self._answer = Done(answer.from_json(verdict.value))
                self._keep_plan()
        except (JoinError, SchemaError) as error:
            again = self.planning.join_rejected(completion.quoted(), str(error), tokens=tokens)
            if any(isinstance(action, GiveUp) for action in again):
                message = f"the answer does not fit {answer.name}: {error}"
                self._error = OutputError(
                    message, answer=completion.text, node_id=self._instance.id
                )
                return []
            return again
        return self.planning.join_ended(verdict, completion.text, tokens=tokens)

    def cached_plan(self, ask: AskPlan) -> str | None:
        """A plan that answered a question of the same shape, where the author allows that."""
        if ask.plan or ask.repair or not self._step.node.reuses_plans:
            return None
        return self._plans.cache.find(self.planning.tools, self.planning.question)

    def guesses(self, ask: AskPlan) -> list[Guess]:
        """What to call while the plan is being written, where the author allows that."""
        if ask.plan or ask.repair or not self._step.node.guesses_reads:
            return []
        return self._plans.guesses.calls(self.planning.tools, self.planning.question)

    @property
    def first_writing(self) -> str:
        """The id of the instance that writes the first plan: whose the guesses are."""
        return f"{self._instance.id}[0].llm"

    def may_take(self, run: RunTask) -> bool:
        """Whether a call that was made before there was a plan does for `run`.

        Not where the plan writes before it reads: what was read is from before that.
        """
        if not self._step.node.guesses_reads:
            return False
        effects = {tool.name: tool.spec.effects for tool in self._step.tools}
        tasks = self.planning.ledger.tasks.values()
        is_after_write = any(
            effects[each.tool] == "write" and each.id < run.task.id for each in tasks
        )
        return effects[run.task.tool] == "none" or not is_after_write

    def count_guesses(self, *, started: int = 0, taken: int = 0) -> None:
        self._plans.guesses.count(started=started, taken=taken)

    def _keep_plan(self) -> None:
        planning, node = self.planning, self._step.node
        plan = planning.reusable_plan
        if plan is not None and node.reuses_plans:
            self._plans.cache.add(planning.tools, planning.question, plan)
        if plan is not None and node.guesses_reads:
            self._plans.guesses.learn(planning.tools, planning.question, plan)

    def _expanded(self, actions: list[PlanAction]) -> Expand:
        children: list[tuple[Instance, Child]] = []
        for action in actions:
            match action:
                case GiveAnswer():
                    pass  # `_joined` has it as a value of its type
                case GiveUp(limit, why):
                    self._error = self._exceeded(limit, why)
                case _:
                    children.append(self._child(action))
        return Expand(children)

    def _child(self, action: AskPlan | RunTask | AskJoin) -> tuple[Instance, Child]:
        work: PlanWriting | PlanTask | PlanJoin
        match action:
            case AskPlan():
                work = PlanWriting(self._step, action)
            case RunTask():
                work = PlanTask(self._step, action)
            case AskJoin():
                work = PlanJoin(self._step, action)
            case _:
                assert_never(action)
        instance_id = child_id(self._instance.id, action)
        instance = Instance(instance_id, work, None, self._instance)
        return instance, Child(instance.id)

    def _problem(self, task: Task) -> str | None:
        """What the tool's own types say against arguments that are known already."""
        tool = next(tool for tool in self._step.tools if tool.name == task.tool)
        for name, value in task.arguments.items():
            if isinstance(value, Reference) or any(references(value)):
                continue
            try:
                tool.parameters[name].from_json(value)
            except SchemaError as error:
                return f"{name}: {error}"
        return None

    def _exceeded(self, limit: str, why: str) -> LimitExceeded:
        transcript = () if self._planning is None else tuple(self._planning.transcript)
        return LimitExceeded(why, limit=limit, transcript=transcript, node_id=self._instance.id)
