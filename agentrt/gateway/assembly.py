"""`gateway`: from settings to an application that can be served. The one place where parts meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agentrt.clock import Clock, SystemClock
from agentrt.estimates.book import Estimates
from agentrt.gateway.app import GatewayApp, create_app
from agentrt.gateway.engines import Engines
from agentrt.gateway.health import Patience
from agentrt.gateway.hint_feedback import HintFeedback
from agentrt.gateway.live_program import Quiet
from agentrt.gateway.memory import Memory, Part, estimates_part
from agentrt.gateway.metrics import Metrics
from agentrt.gateway.model_list import ListingServer
from agentrt.gateway.post import GatewayLimits
from agentrt.gateway.prefix_watch import prefix_view
from agentrt.gateway.private_fields import PrivateFields
from agentrt.gateway.programs import Programs
from agentrt.gateway.programs_view import programs_view
from agentrt.gateway.recognition import Recognised, Recogniser
from agentrt.gateway.replicas import Replicas
from agentrt.gateway.request_log import PromptLog, RequestLog
from agentrt.gateway.salts import Salts, new_secret
from agentrt.gateway.services import Answered, Services
from agentrt.gateway.settings import GatewaySettings
from agentrt.gateway.tenants import Tenants
from agentrt.gateway.turns import Caller
from agentrt.runtime.scheduling import Scheduling
from agentrt.scheduler.policies import named
from agentrt.store.documents import Documents, MemoryDocuments
from agentrt.store.open import open_documents

NO_STORE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway that is ready to be served."""

    app: GatewayApp
    replicas: Replicas
    programs: Programs[Recognised]
    tenants: Tenants


@asynccontextmanager
async def gateway(
    settings: GatewaySettings,
    environ: Mapping[str, str],
    *,
    data_dir: Path | None = None,
    is_verbose: bool = False,
    clock: Clock | None = None,
) -> AsyncGenerator[Gateway]:
    """Everything that `settings` ask for, inside the block: replicas are looked for at once.

    Args:
        settings: Of the operator.
        environ: Where the engines' keys are.
        data_dir: The directory of the user's own store; None: the system's place for such data.
        is_verbose: Log every request.
        clock: What time it is.

    Raises:
        InputError: `GatewaySettings.check` has it, or an engine's key is not where it should be.
        StoreError: the store cannot be opened.
    """
    settings.check()
    clock = clock or SystemClock()
    log = RequestLog(is_verbose=is_verbose)
    parts = _parts(settings, environ, clock)
    services = parts.services(settings, log)
    limits = GatewayLimits(
        max_requests=settings.max_requests,
        max_body_bytes=settings.max_body_bytes,
        max_bodies_bytes=settings.max_bodies_bytes,
    )
    documents = await asyncio.to_thread(_documents, settings.store, data_dir)
    async with (
        aclosing(documents),
        _remembering(parts, documents),
        _beside(parts.metrics.watch_loop(), log.keep_summing(clock)),
        aclosing(parts.engines),
        parts.replicas,
    ):
        try:
            yield Gateway(
                app=create_app(services, limits),
                replicas=parts.replicas,
                programs=parts.programs,
                tenants=parts.tenants,
            )
        finally:
            parts.programs.close()


def _parts(settings: GatewaySettings, environ: Mapping[str, str], clock: Clock) -> _Parts:
    estimates = Estimates()
    engines = Engines(settings.replicas, environ)
    scheduling = _scheduling(settings, estimates)
    replicas = Replicas(
        engines.sources,
        clock=clock,
        scheduling=scheduling,
        patience=Patience(unavailable_s=settings.unavailable_s),
    )
    salts = Salts(new_secret(), sharing=_sharing(settings))
    recogniser = Recogniser()
    metrics = Metrics()
    programs = Programs(
        replicas,
        recogniser,
        clock=clock,
        quiet=Quiet(idle_s=settings.idle_s, expire_s=settings.expire_s),
        salt=salts.salt,
        observer=metrics,
    )
    metrics.watch(lambda: programs.live, replicas, clock.now)
    return _Parts(
        replicas=replicas,
        programs=programs,
        tenants=Tenants(settings.tenants, clock=clock),
        engines=engines,
        estimates=estimates,
        recogniser=recogniser,
        salts=salts,
        metrics=metrics,
        clock=clock,
    )


def _documents(store: str | None, data_dir: Path | None) -> Documents:
    return MemoryDocuments() if store == NO_STORE else open_documents(store, data_dir=data_dir)


@asynccontextmanager
async def _remembering(parts: _Parts, documents: Documents) -> AsyncGenerator[None]:
    """What was learned is there inside the block, and kept from time to time, and at its end."""
    memory = Memory(documents, parts.learned, clock=parts.clock)
    await memory.restore()
    await memory.save()  # a secret that is new now is the same after whatever happens
    try:
        async with _beside(memory.keep_saving()):
            yield
    finally:
        await memory.save()


@asynccontextmanager
async def _beside(*loops: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """They run while the block does."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _sharing(settings: GatewaySettings) -> frozenset[str]:
    return frozenset(tenant.name for tenant in settings.tenants if tenant.may_share_cache)


def _scheduling(settings: GatewaySettings, estimates: Estimates) -> Scheduling:
    return Scheduling(
        estimates=estimates,
        policy=partial(named, settings.policy),
        kv_tokens=settings.kv_tokens,
        tenant_weights={tenant.name: tenant.weight for tenant in settings.tenants},
        max_waiting=settings.max_waiting,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a gateway's services are made of."""

    replicas: Replicas
    programs: Programs[Recognised]
    tenants: Tenants
    engines: Engines
    estimates: Estimates
    recogniser: Recogniser
    salts: Salts
    metrics: Metrics
    clock: Clock

    @property
    def learned(self) -> dict[str, Part]:
        """What is kept over a restart."""
        clock, recogniser, budgets = self.clock, self.recogniser, self.tenants.budgets
        return {
            "estimates": estimates_part(self.estimates),
            "budgets": Part(budgets.used, budgets.restore),
            "salt secret": Part(lambda: self.salts.secret, self.salts.restore),
            "conversations": Part(
                lambda: recogniser.snapshot(clock.now()),
                lambda state: recogniser.restore(state, clock.now()),
            ),
        }

    def services(self, settings: GatewaySettings, log: RequestLog) -> Services:
        programs, engines = self.programs, self.engines
        feedback = HintFeedback(engines.hinting)

        def observe(answered: Answered) -> None:
            self.metrics.observe(answered)
            feedback.observe(answered)
            log.observe(answered)

        guarded = PrivateFields(programs, _sharing(settings))
        return Services(
            turns=PromptLog(guarded) if settings.log_prompts else guarded,
            authenticate=self.tenants.authenticate,
            admitted=self.tenants.admitted,
            passthrough=lambda replica: engines.passthrough(replica.replica_id),
            hinting=engines.hints,
            isolating=engines.isolating,
            hints_refused=engines.hinting.refused,
            listing=self._listing,
            is_ready=self._is_ready,
            metrics=self.metrics.page,
            programs=self._programs_of,
            end_program=lambda caller, program: programs.end(program, tenant=caller.tenant),
            observe=observe,
            program_prefix=lambda caller, program, has_text: prefix_view(
                programs.live, program, tenant=caller.tenant, has_text=has_text
            ),
        )

    def _programs_of(self, caller: Caller) -> dict[str, Any]:
        return programs_view(
            self.programs.live,
            self.programs.ended,
            self.replicas,
            now=self.clock.now(),
            tenant=caller.tenant,
        )

    def _listing(self) -> list[ListingServer]:
        return [
            ListingServer(
                self.engines.passthrough(state.replica_id),
                state.capabilities.models if state.capabilities else (),
            )
            for state in self.replicas.states
            if state.is_up
        ]

    def _is_ready(self) -> bool:
        """By models, not by pools: those stay when a replica comes back with other models."""
        up = [state.capabilities for state in self.replicas.states if state.is_up]
        served = {model for found in up if found is not None for model in found.models}
        return bool(up) and served.issuperset(self.replicas.models.names)
