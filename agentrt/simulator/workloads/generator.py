"""Workloads made up from parameters: the same parameters and seed, the same workload."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate

from agentrt.errors import InputError
from agentrt.ir.prefix import Chain
from agentrt.ir.workload import CallStep, ProgramTrace, Step, StepId, ToolStep, Workload
from agentrt.simulator.workloads.blocks import BlockIds
from agentrt.simulator.workloads.parameters import Parameters, SubAgents, WorkflowShape


def generate(parameters: Parameters, *, seed: int) -> Workload:
    """The workload, in closed loop; `with_arrivals` gives its programs times.

    Raises:
        InputError: parameters without shapes, or negative counts or shares.
    """
    _check(parameters)
    rng = random.Random(seed)
    ids = BlockIds()
    makers = [_Maker(shape, parameters.block_tokens, ids, rng) for shape in parameters.shapes]
    maker_weights = list(accumulate(shape.share for shape in parameters.shapes))
    tenants = [name for name, _ in parameters.tenants] or [""]
    tenant_weights = list(accumulate(share for _, share in parameters.tenants)) or [1.0]
    programs: list[ProgramTrace] = []
    for at in range(parameters.programs):
        maker = rng.choices(makers, cum_weights=maker_weights)[0]
        tenant = rng.choices(tenants, cum_weights=tenant_weights)[0]
        programs.append(
            ProgramTrace(
                program_id=f"{maker.shape.workflow}-{at}",
                workflow=maker.shape.workflow,
                tenant=tenant,
                steps=maker.program(),
            )
        )
    return Workload(
        name=parameters.name,
        block_tokens=parameters.block_tokens,
        programs=tuple(programs),
        modelled=(f"All of it is made up, from the parameters {parameters.name!r}, seed {seed}.",),
    )


def _check(parameters: Parameters) -> None:
    if parameters.programs < 0 or parameters.block_tokens < 1:
        raise InputError("programs must not be negative, and blocks have at least a token")
    shares = [shape.share for shape in parameters.shapes]
    if not shares or min(shares) < 0 or not sum(shares) > 0:
        raise InputError("there must be shapes, with shares that are not negative, nor all 0")
    tenants = [share for _, share in parameters.tenants]
    if tenants and (min(tenants) < 0 or not sum(tenants) > 0):
        raise InputError("tenants' shares must not be negative, nor all 0")
    for shape in parameters.shapes:
        uses = [tool.share for tool in shape.tools]
        if uses and (min(uses) < 0 or not sum(uses) > 0):
            raise InputError(f"{shape.workflow}: tools' shares must not be negative, nor all 0")


class _Maker:
    """Makes programs of one shape."""

    def __init__(
        self, shape: WorkflowShape, block_tokens: int, ids: BlockIds, rng: random.Random
    ) -> None:
        self.shape = shape
        self._block_tokens = block_tokens
        self._ids = ids
        self._rng = rng
        self._tool_weights = list(accumulate(tool.share for tool in shape.tools))
        self._system = ids.grown((), shape.system_tokens // block_tokens)
        own = shape.sub_agents.system_tokens if shape.sub_agents else None
        self._sub_system = ids.grown((), (own or 0) // block_tokens)

    def program(self) -> tuple[Step, ...]:
        shape, rng = self.shape, self._rng
        steps: list[Step] = []
        agent = _Agent(self._system, shape.system_tokens)
        turns = shape.turns.draw_count(rng, 1)
        after: tuple[StepId, ...] = ()
        for turn in range(turns):
            new = shape.task_tokens if turn == 0 else shape.new_tokens
            if turn and shape.restart_share and rng.random() < shape.restart_share:
                agent = _Agent(self._system, shape.system_tokens)
                new = shape.restart_tokens
            call = self._call(steps, agent, after, new.draw_count(rng))
            if turn + 1 < turns:
                after = self._between(steps, agent, call)
        return tuple(steps)

    def _between(self, steps: list[Step], agent: _Agent, call: StepId) -> tuple[StepId, ...]:
        """What runs between a call and the next of the same agent: sub-agents, tools or nothing."""
        subs = self.shape.sub_agents
        if subs is not None and self._rng.random() < subs.share:
            width = subs.width.draw_count(self._rng, 1)
            return (call, *(self._sub_agent(steps, subs, agent, call) for _ in range(width)))
        return self._tools(steps, call) or (call,)

    def _tools(self, steps: list[Step], call: StepId) -> tuple[StepId, ...]:
        shape, rng = self.shape, self._rng
        if not shape.tools or rng.random() >= shape.tool_share:
            return ()
        is_parallel = rng.random() < shape.parallel_share
        count = shape.parallel_tools.draw_count(rng, 2) if is_parallel else 1
        first = len(steps)
        for use in rng.choices(shape.tools, cum_weights=self._tool_weights, k=count):
            steps.append(  # noqa: PERF401  draws must come in this order
                ToolStep(
                    after=(call,),
                    tool=use.tool,
                    duration_s=use.duration_s.draw(rng),
                    argument_class=use.argument_class,
                )
            )
        return tuple(range(first, len(steps)))

    def _sub_agent(
        self, steps: list[Step], subs: SubAgents, parent: _Agent, call: StepId
    ) -> StepId:
        """A whole sub-agent, which begins when `call` has ended; its last call."""
        if subs.system_tokens is None:
            agent = _Agent(parent.chain, parent.tokens)
        else:
            agent = _Agent(self._sub_system, subs.system_tokens)
        last = call
        after: Sequence[StepId] = (call,)
        turns = subs.turns.draw_count(self._rng, 1)
        for turn in range(turns):
            new = subs.task_tokens if turn == 0 else self.shape.new_tokens
            last = self._call(steps, agent, tuple(after), new.draw_count(self._rng))
            if turn + 1 < turns:
                after = self._tools(steps, last) or (last,)
        return last

    def _call(
        self, steps: list[Step], agent: _Agent, after: tuple[StepId, ...], new_tokens: int
    ) -> StepId:
        """Add a call, and its prompt and answer to the agent's context."""
        # An empty prompt is no call.
        prompt_tokens = max(1, agent.tokens + new_tokens)
        answer = self.shape.completion_tokens.draw_count(self._rng, 1)
        prompt = self._ids.grown(agent.chain, prompt_tokens // self._block_tokens)
        agent.tokens = prompt_tokens + answer
        agent.chain = self._ids.grown(prompt, agent.tokens // self._block_tokens)
        steps.append(
            CallStep(
                after=after,
                prompt=prompt,
                prompt_tokens=prompt_tokens,
                completion_tokens=answer,
                context=agent.chain,
                gap_s=self.shape.gap_s.draw(self._rng) if after else 0.0,
            )
        )
        return len(steps) - 1


class _Agent:
    """A conversation as it grows."""

    __slots__ = ("chain", "tokens")

    def __init__(self, chain: Chain, tokens: int) -> None:
        self.chain = chain
        self.tokens = tokens
