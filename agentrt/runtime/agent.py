"""The agent region: turns of one LLM call and the tool calls it asks for."""

from __future__ import annotations

from dataclasses import replace

from agentrt.backends.written_calls import with_written_calls
from agentrt.errors import LimitExceeded, OutputError, RunError, SchemaError
from agentrt.ir.request import Completion, Message, Usage
from agentrt.ir.tool import ToolSpec
from agentrt.runtime.executable import AgentStep
from agentrt.runtime.instance import AgentCall, AgentTurn, Instance, Scope
from agentrt.runtime.llm_calls import first_messages
from agentrt.runtime.regions import Broken, Done, Expand, Outcome
from agentrt.scheduler.progress import Child


class AgentRegion:
    """An LLM with tools in a loop. The transcript only ever grows, so each turn extends a prefix."""

    def __init__(self, instance: Instance, step: AgentStep, scope: Scope) -> None:
        self._instance = instance
        self._step = step
        self._outer = scope
        self._turn = 0
        self._wrong_answers = 0
        self._usage = Usage()
        self._llm: Instance | None = None
        self._calls: list[Instance] = []
        self.transcript: list[Message] = []

    def begin(self) -> Outcome:
        system, user = self._step.prompt(self._outer.values)
        instructions = self._step.answer.instructions
        if instructions:
            instructions = f"When you are done: {instructions}"
        self.transcript.extend(first_messages(system, user, instructions))
        return self._next_turn()

    def advance(self) -> Outcome:
        if self._calls:
            return self._observe()
        if self._llm is None or not isinstance(self._llm.value, Completion):
            return Broken(RunError("the model's call failed", node_id=self._instance.id))
        return self._answered(self._llm, self._llm.value)

    @property
    def timeout_s(self) -> float | None:
        """How long it may take; None: not limited."""
        return self._step.node.timeout_s

    def out_of_time(self) -> LimitExceeded:
        """The error for an agent whose `timeout_s` is over."""
        return self._exceeded("timeout_s", f"{self._step.node.timeout_s:g} s")

    def _answered(self, llm: Instance, completion: Completion) -> Outcome:
        self._usage += llm.usage
        self._instance.usage = self._usage
        completion = with_written_calls(completion, self._offered(), turn=self._turn)
        completion = with_call_ids(completion, turn=self._turn)
        message = Message("assistant", completion.text, completion.tool_calls)
        self.transcript.append(message)
        if completion.tool_calls:
            return self._act(completion)
        try:
            return Done(self._step.answer.parse_answer(completion.text))
        except SchemaError as error:
            return self._ask_again(completion.text, error)

    def _offered(self) -> set[str]:
        """The tools there are; a typed answer that is asked for again is asked for without."""
        return set() if self._wrong_answers else {tool.name for tool in self._step.tools}

    def _act(self, completion: Completion) -> Outcome:
        """Calls of one turn overlap, but nothing overlaps a call that writes."""
        specs = {tool.name: tool.spec for tool in self._step.tools}
        children: list[tuple[Instance, Child]] = []
        since_write: list[str] = []
        last_write: tuple[str, ...] = ()
        counts: dict[str, int] = {}
        turn_id = f"{self._instance.id}[{self._turn}].llm"
        for call in completion.tool_calls:
            name = call.name if call.name in specs else "unknown"
            index = counts[name] = counts.get(name, -1) + 1
            instance_id = f"{self._instance.id}[{self._turn}].{name}[{index}]"
            if _must_be_alone(specs.get(call.name)):
                after = tuple(since_write) or last_write
                last_write, since_write = (instance_id,), []
            else:
                after = last_write
                since_write.append(instance_id)
            work = AgentCall(self._step, call, turn_id)
            instance = Instance(instance_id, work, None, self._instance)
            children.append((instance, Child(instance_id, after)))
        self._calls = [instance for instance, _ in children]
        return Expand(children)

    def _observe(self) -> Outcome:
        broken = [call.id for call in self._calls if call.status != "finished"]
        if broken:  # not a tool's failure, which is an observation: the store's, say
            message = f"{', '.join(broken)} could not be made"
            return Broken(RunError(message, node_id=self._instance.id))
        for instance in self._calls:
            if not isinstance(instance.work, AgentCall):
                continue
            self.transcript.append(
                Message("tool", str(instance.value), tool_call_id=instance.work.call.id)
            )
        self._calls = []
        self._turn += 1
        return self._next_turn()

    def _ask_again(self, text: str, error: SchemaError) -> Outcome:
        self._wrong_answers += 1
        if self._wrong_answers > self._step.node.options.output_retries:
            message = f"the answer does not fit {self._step.answer.name}: {error}"
            return Broken(OutputError(message, answer=text, node_id=self._instance.id))
        self.transcript.append(Message("user", f"{error}\n{self._step.answer.instructions}"))
        self._turn += 1
        return self._next_turn()

    def _next_turn(self) -> Outcome:
        node = self._step.node
        if self._turn >= node.max_turns:
            return Broken(self._exceeded("max_turns", f"{node.max_turns} turns"))
        if node.max_total_tokens is not None and self._usage.total_tokens >= node.max_total_tokens:
            limit = f"{node.max_total_tokens} tokens"
            return Broken(self._exceeded("max_total_tokens", limit))
        is_last = self._turn + 1 >= node.max_turns or self._is_last
        turn = AgentTurn(self._step, tuple(self.transcript), self._wrong_answers > 0, is_last)
        instance_id = f"{self._instance.id}[{self._turn}].llm"
        self._llm = Instance(instance_id, turn, None, self._instance)
        return Expand([(self._llm, Child(instance_id))])

    def _is_last(self, completion: Completion) -> bool:
        """Whether the agent ends with this answer to the turn under way."""
        node = self._step.node
        if node.max_total_tokens is not None:
            spent = self._usage.total_tokens + completion.usage.total_tokens
            if spent >= node.max_total_tokens:
                return True
        if with_written_calls(completion, self._offered(), turn=self._turn).tool_calls:
            return False
        if self._wrong_answers >= node.options.output_retries:
            return True
        try:
            self._step.answer.parse_answer(completion.text)
        except SchemaError:
            return False
        return True

    def _exceeded(self, limit: str, amount: str) -> LimitExceeded:
        return LimitExceeded(
            f"no answer within {amount}",
            limit=limit,
            transcript=self.transcript,
            node_id=self._instance.id,
        )


def with_call_ids(completion: Completion, *, turn: int) -> Completion:
    """`completion` as the transcript has it.

    Some models give their calls no id, or one id to all: answers need one each.
    """
    ids = [call.id for call in completion.tool_calls]
    if all(ids) and len(set(ids)) == len(ids):
        return completion
    calls = tuple(
        replace(call, id=f"call_{turn}_{index}") for index, call in enumerate(completion.tool_calls)
    )
    return replace(completion, tool_calls=calls)


def _must_be_alone(spec: ToolSpec | None) -> bool:
    return spec is not None and spec.effects == "write"
