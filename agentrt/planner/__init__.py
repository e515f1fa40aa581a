"""Plans that a language model writes: read while it writes them, checked, run as soon as possible.

`Planning` is all of it for one question, without I/O: it says what to ask a model and which tool to
call, and is told how that went. `agentrt.runtime.planned.answer_with_plan` drives it with an async
completion function; `plan_and_run` in a workflow drives it with a runtime.

The method is that of LLMCompiler (Kim et al., ICML 2024, arXiv 2312.04511): docs/planner.md says
what is different here.
"""

from agentrt.planner.actions import (
    AskJoin,
    AskPlan,
    GiveAnswer,
    GiveUp,
    PlanAction,
    PlanLimits,
    RunTask,
)
from agentrt.planner.cache import CacheReport, PlanCache
from agentrt.planner.grammar import GrammarLimits, lines_grammar, plan_grammar
from agentrt.planner.guesses import Guess, GuessReport, PlanGuesses
from agentrt.planner.join import Answer, JoinError, Replan, Verdict, read_join
from agentrt.planner.memory import PlanMemory
from agentrt.planner.outcome import Outcome, failed
from agentrt.planner.planning import Planning
from agentrt.planner.prompt import planner_messages
from agentrt.planner.reader import (
    BadLine,
    Joined,
    PlanEvent,
    PlanReader,
    Remark,
    TaskReady,
    TooManyTasks,
)
from agentrt.planner.task import Reference, Task

__all__ = [
    "Answer",
    "AskJoin",
    "AskPlan",
    "BadLine",
    "CacheReport",
    "GiveAnswer",
    "GiveUp",
    "GrammarLimits",
    "Guess",
    "GuessReport",
    "JoinError",
    "Joined",
    "Outcome",
    "PlanAction",
    "PlanCache",
    "PlanEvent",
    "PlanGuesses",
    "PlanLimits",
    "PlanMemory",
    "PlanReader",
    "Planning",
    "Reference",
    "Remark",
    "Replan",
    "RunTask",
    "Task",
    "TaskReady",
    "TooManyTasks",
    "Verdict",
    "failed",
    "lines_grammar",
    "plan_grammar",
    "planner_messages",
    "read_join",
]
