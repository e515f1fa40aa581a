"""Whose programs are whose, and by when they should be done."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from agentrt.errors import InputError
from agentrt.ir.workload import ProgramTrace, Workload


def with_tenants(workload: Workload, shares: Mapping[str, float], *, seed: int) -> Workload:
    """The same programs, dealt out to tenants in proportion to `shares`: at least one to each.

    How many each has does not depend on the seed, which ones does.

    Raises:
        InputError: shares that are not positive, or fewer programs than tenants.
    """
    total = math.fsum(shares.values())
    if not shares or not min(shares.values()) > 0 or not total < math.inf:
        raise InputError("tenants' shares must be positive")
    programs = len(workload.programs)
    if programs < len(shares):
        raise InputError(f"{programs} programs are too few for {len(shares)} tenants")
    spare = programs - len(shares)  # one each is dealt out already
    wanted = {name: max(0.0, share / total * programs - 1) for name, share in shares.items()}
    scale = spare / (math.fsum(wanted.values()) or 1.0)
    counts = {name: 1 + int(want * scale) for name, want in wanted.items()}
    left = programs - sum(counts.values())
    for name in sorted(shares, key=lambda name: (counts[name] - 1 - wanted[name] * scale, name)):
        counts[name] += 1 if left > 0 else 0
        left -= 1
    names = [name for name, count in counts.items() for _ in range(count)]
    random.Random(seed).shuffle(names)
    return replace(
        workload,
        programs=tuple(
            replace(program, tenant=name)
            for program, name in zip(workload.programs, names, strict=True)
        ),
    )


def with_deadlines(
    workload: Workload,
    factors: Mapping[str, float],
    *,
    alone_s: Callable[[ProgramTrace], float],
) -> Workload:
    """The same programs, due within so many times what they take alone.

    Args:
        factors: By tenant; `"*"`: of all that are not named. Programs of others keep what they have.

    Raises:
        InputError: a factor that is not positive, or a tenant that has no programs.
    """
    tenants = {program.tenant for program in workload.programs}
    for tenant, factor in factors.items():
        if not 0 < factor < math.inf:
            raise InputError(f"a deadline of {factor:g} times what a program takes alone")
        if tenant not in {*tenants, "*"}:
            raise InputError(f"no program is of tenant {tenant[:40]!r}")

    def due(program: ProgramTrace) -> ProgramTrace:
        factor = factors.get(program.tenant, factors.get("*"))
        return program if factor is None else replace(program, deadline_s=factor * alone_s(program))

    return replace(workload, programs=tuple(due(program) for program in workload.programs))
