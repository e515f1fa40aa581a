"""All estimates in one object: what a scheduler holds, feeds and asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentrt.estimates.batching import BatchEstimates
from agentrt.estimates.durations import NextCallEstimates, ToolUse
from agentrt.estimates.next_tool import END, START, NextToolEstimates
from agentrt.estimates.outputs import OutputEstimates
from agentrt.estimates.prefill import PRIOR, PrefillCost, PrefillEstimates
from agentrt.estimates.returns import ReturnEstimates
from agentrt.estimates.service import ServiceEstimates
from agentrt.estimates.stored_form import Json, a_field, a_list, a_text, of_version, unfit
from agentrt.estimates.turns import TurnEstimates
from agentrt.ir.request import Usage

VERSION = 2
_REPLICAS = 256


class Estimates:
    """What was learned of tools, workflows and replicas, and the queries on it.

    Each `observe` takes what one event of the scheduler tells, and is cheap; queries are on the
    parts. Deterministic: the same calls in the same order give the same answers.

    Attributes:
        next_call: Time from a completion to the next call.
        turns: Turns left.
        returns: Whether another call follows a tool.
        service: Service left, and the Gittins index.
        outputs: Completion tokens.
        next_tool: The tool that follows.
    """

    def __init__(self, *, prefill_prior: PrefillCost = PRIOR) -> None:
        self.next_call = NextCallEstimates()
        self.turns = TurnEstimates()
        self.returns = ReturnEstimates()
        self.service = ServiceEstimates()
        self.outputs = OutputEstimates()
        self.next_tool = NextToolEstimates()
        self._prefill: dict[str, PrefillEstimates] = {}
        self._batches: dict[str, BatchEstimates] = {}
        self._prefill_prior = prefill_prior

    def prefill(self, replica_id: str) -> PrefillEstimates:
        """What prefills cost on a replica; of one not seen yet, the prior."""
        return self._prefill.get(replica_id) or PrefillEstimates(self._prefill_prior)

    def batches(self, replica_id: str) -> BatchEstimates:
        """What calls at once bring on a replica; of one not seen yet, nothing is known."""
        return self._batches.get(replica_id) or BatchEstimates()

    def observe_completion(self, workflow: str, turn: int, completion_tokens: int) -> None:
        """Turn number `turn`, from 1, of a program of `workflow` has its answer."""
        self.outputs.observe(workflow, turn, completion_tokens)

    def observe_next_call(
        self, workflow: str, turn: int, uses: Sequence[tuple[ToolUse, float]], seconds: float
    ) -> None:
        """After turn `turn` and its tools the program's next call came.

        `uses` are the tools the turn called, each with the time from the completion to its return;
        `seconds` is the time from the completion to the call.
        """
        self.turns.observe(workflow, turn, is_last=False)
        self.next_call.observe_any(workflow, seconds)
        for use, _ in uses:
            self.returns.observe(workflow, use, came=True)
        if not uses:
            self.next_call.observe_no_tool(workflow, seconds)
        elif len(uses) == 1:
            self.next_call.observe(uses[0][0], seconds)
        else:
            self.next_call.observe_join(uses, seconds)
        if uses:
            last_return = max(own for _, own in uses)
            self.next_call.observe_after_tools(max(0.0, seconds - last_return))

    def observe_tool_started(self, workflow: str, last: str, tool: str) -> None:
        """A program whose last tool was `last` ("" if it had none) has called `tool`."""
        self.next_tool.observe(workflow, last or START, tool)

    def observe_program_finished(
        self, workflow: str, turn: int, *, last_tool: str, service: float
    ) -> None:
        """A program has ended after turn `turn`; 0 if it never came to one.

        Not to be told of a program that was cancelled: where it would have ended is not known.
        """
        if turn > 0:
            self.turns.observe(workflow, turn, is_last=True)
            self.next_tool.observe(workflow, last_tool or START, END)
        self.service.observe(workflow, service)

    def observe_prefill(
        self,
        replica_id: str,
        *,
        uncached_tokens: int,
        prompt_tokens: int,
        seconds: float,
        waited_s: float = 0.0,
    ) -> None:
        """A call had its first token `seconds` after it was sent, `waited_s` of which in a queue."""
        prefill = self._prefill.pop(replica_id, None) or PrefillEstimates(self._prefill_prior)
        self._prefill[replica_id] = prefill
        prefill.observe(
            uncached_tokens=uncached_tokens,
            prompt_tokens=prompt_tokens,
            seconds=seconds,
            waited_s=waited_s,
        )
        self._limit()

    def observe_batch(
        self,
        replica_id: str,
        usage: Usage,
        *,
        seconds: float,
        calls: float,
        computed_tokens: float,
    ) -> None:
        """After its first token an answer took `seconds` (`BatchEstimates.observe_answer`)."""
        batches = self._batches.pop(replica_id, None) or BatchEstimates()
        self._batches[replica_id] = batches
        batches.observe_call(
            computed_tokens=usage.prompt_tokens - usage.cached_tokens,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
        )
        batches.observe_answer(
            steps=usage.completion_tokens - 1,
            seconds=seconds,
            calls=calls,
            computed_tokens=computed_tokens,
        )
        self._limit()

    def merge(self, other: Estimates) -> None:
        """Add what `other` has seen."""
        self.next_call.merge(other.next_call)
        self.turns.merge(other.turns)
        self.returns.merge(other.returns)
        self.service.merge(other.service)
        self.outputs.merge(other.outputs)
        self.next_tool.merge(other.next_tool)
        for replica_id, theirs in other._prefill.items():
            ours = self._prefill.pop(replica_id, None) or PrefillEstimates(self._prefill_prior)
            ours.merge(theirs)
            self._prefill[replica_id] = ours
        for replica_id, more in other._batches.items():
            known = self._batches.pop(replica_id, None) or BatchEstimates()
            known.merge(more)
            self._batches[replica_id] = known
        self._limit()

    def to_json(self) -> Json:
        """Plain data, with the version of its form."""
        return {
            "version": VERSION,
            "next_call": self.next_call.to_json(),
            "turns": self.turns.to_json(),
            "returns": self.returns.to_json(),
            "service": self.service.to_json(),
            "outputs": self.outputs.to_json(),
            "next_tool": self.next_tool.to_json(),
            "prefill": [[name, prefill.to_json()] for name, prefill in self._prefill.items()],
            "batches": [[name, batches.to_json()] for name, batches in self._batches.items()],
        }

    @classmethod
    def from_json(cls, data: Json, *, prefill_prior: PrefillCost = PRIOR) -> Estimates:
        """What `to_json` gave. Raises `StoreError` for another version or anything else."""
        fields = of_version(data, VERSION)
        estimates = cls(prefill_prior=prefill_prior)
        estimates.next_call.load(a_field(fields, "next_call"))
        estimates.turns.load(a_field(fields, "turns"))
        estimates.returns.load(fields.get("returns", []))  # was not always there
        estimates.service.load(a_field(fields, "service"))
        estimates.outputs.load(a_field(fields, "outputs"))
        estimates.next_tool.load(a_field(fields, "next_tool"))
        for name, learned in _by_replica(a_field(fields, "prefill")):
            estimates._prefill[name] = PrefillEstimates.from_json(learned)
        for name, learned in _by_replica(a_field(fields, "batches")):
            estimates._batches[name] = BatchEstimates.from_json(learned)
        estimates._limit()
        return estimates

    def _limit(self) -> None:
        while len(self._prefill) > _REPLICAS:
            del self._prefill[next(iter(self._prefill))]
        while len(self._batches) > _REPLICAS:
            del self._batches[next(iter(self._batches))]


def _by_replica(data: Json) -> Iterator[tuple[str, Json]]:
    for entry in a_list(data):
        pair = a_list(entry)
        if len(pair) != len(("replica_id", "estimates")):
            raise unfit("a replica that is not a name and what is known of it")
        yield a_text(pair[0]), pair[1]
