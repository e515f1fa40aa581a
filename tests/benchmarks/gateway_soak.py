"""A gateway in front of engines that die, freeze and fail, for clients that leave and write nonsense.

    python -m tests.benchmarks.gateway_soak [--requests 10000] [--at-once 60] [--seed 1] [--json]

What is looked at, in between and at the end: nothing hangs; each request comes to an answer or an error
of its own; no slot leaks, neither here nor at the engines; every program ends; memory and open files
stay flat; the gateway counts what its clients saw; SIGTERM lets what is under way end, and ends it with 0.

Exits 1 where any of that does not hold. A seed makes the clients and the engines' troubles the same
again; what meets what still depends on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.soak_client import Post, send
from tests.benchmarks.soak_found import Found, Options, table
from tests.benchmarks.soak_programs import SENTINEL, Clients, Ledger
from tests.benchmarks.soak_world import MODELS, PageMissing, World, world

_SETTLED_WITHIN_S = 30.0
_PROBE_WITHIN_S = 10.0
_SHOW_EVERY_S = 10.0
_FORBIDDEN = (
    "Traceback",
    "InvariantError",
    "never retrieved",
    "Unclosed",
    "internal error",
    "Task was",
)
_COUNTED = ("chat/completions", "completions", "responses", "embeddings")


class Soak:
    """One soak."""

    def __init__(self, here: World, options: Options, *, is_shown: bool) -> None:
        self._world = here
        self._options = options
        self._is_shown = is_shown
        self._ledger = Ledger()
        self._troubles: Counter[str] = Counter()
        self._shown_at = 0.0
        self.found = Found(problems=self._ledger.problems)

    async def run(self) -> None:
        options, ledger, found = self._options, self._ledger, self.found
        began = time.monotonic()
        for number in range(1, options.rounds + 1):
            until = options.requests * number // options.rounds
            await self._round(number, until)
            await self._settle(f"after round {number}")
            memory = self._world.process.memory_info().rss / 2**20
            found.memory_mb.append((ledger.requests, memory))
            found.files.append((ledger.requests, self._world.process.num_fds()))
        await self._check_counts()
        await self._check_stop()
        self._check_log()
        found.requests, found.seconds = ledger.requests, time.monotonic() - began
        found.came, found.statuses = dict(ledger.came), dict(sorted(ledger.posts.items()))
        found.troubles = dict(self._troubles)

    async def _round(self, number: int, until: int) -> None:
        options, ledger, here = self._options, self._ledger, self._world
        clients = Clients(here.port, here.keys, ledger, lambda: ledger.requests < until)
        troubles = random.Random(f"{options.seed} {number}")
        watching = [
            asyncio.create_task(self._make_trouble(troubles, clients.more)),
            asyncio.create_task(self._watch()),
        ]
        try:
            async with asyncio.TaskGroup() as tasks:
                for at in range(options.at_once):
                    source = random.Random(f"{options.seed} {number} {at}")
                    tasks.create_task(clients.keep_asking(source, number * 1000 + at))
        finally:
            for task in watching:
                task.cancel()
            await asyncio.wait(watching)
        for task in watching:
            if not task.cancelled() and task.exception() is not None:
                self._problem(f"watching failed: {task.exception()!r}")

    async def _make_trouble(self, source: random.Random, more: Callable[[], bool]) -> None:
        """Kill an engine, or freeze it, and let it come back: as long as clients begin anything."""
        options = self._options
        while more():
            await asyncio.sleep(source.expovariate(1 / options.trouble_every_s))
            engine = source.choice(self._world.engines)
            if source.random() < 0.7:
                self._troubles["killed"] += 1
                await engine.kill()
                try:
                    await asyncio.sleep(source.choice(options.away_s))
                finally:
                    await asyncio.shield(engine.start())
            else:
                self._troubles["frozen"] += 1
                engine.freeze()
                try:
                    await asyncio.sleep(source.choice(options.freeze_s))
                finally:
                    engine.thaw()

    async def _watch(self) -> None:
        """How it goes, for people; pages answer all the time."""
        while True:
            await asyncio.sleep(1)
            try:
                programs = await self._world.programs()
            except PageMissing as missing:
                self._problem(str(missing))
                continue
            states = Counter(program["state"] for program in programs)
            self.found.most_queued = max(self.found.most_queued, states["queued"])
            if self._is_shown:
                self._show(states)

    def _show(self, states: Mapping[str, int]) -> None:
        ledger = self._ledger
        came = ", ".join(f"{count} {what}" for what, count in sorted(ledger.came.items()))
        now = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        line = f"{ledger.requests}/{self._options.requests} requests ({came}), programs: {now}"
        line = f"{line}, {len(ledger.problems)} problems"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{line}")
        elif time.monotonic() > self._shown_at + _SHOW_EVERY_S:
            self._shown_at = time.monotonic()
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    # -- at rest -----------------------------------------------------------------------------

    async def _settle(self, when: str) -> None:
        """Nobody asks for anything: nothing is under way, and all programs come to their ends."""
        here = self._world
        left = await _until(self._leftovers, _SETTLED_WITHIN_S)
        for problem in left:
            self._problem(f"{when}: {problem}")
        for model in MODELS:
            await self._probe(model, when)
        upstream = here.upstream()
        for engine in here.engines:
            told = await engine.page()
            # One is the question itself.
            if upstream[engine.port] != told["connections"] - 1:
                said = f"{upstream[engine.port]} connections here, {told['connections'] - 1} there"
                self._problem(f"{when}: {said}")

    async def _leftovers(self) -> list[str]:
        here = self._world
        left = [
            f"{program['program_id']} of {program['tenant']} is {program['state']}: {program['why']}"
            for program in await here.programs()
        ]
        for engine in here.engines:
            told = await engine.page()
            if told["open"]:
                left.append(f"{told['open']} requests are open at {engine.port}")
        for name, labels, value in await here.metrics():
            if name in {"agentrt_replica_running_calls", "agentrt_replica_waiting_calls",
                        "agentrt_replica_placed_programs"} and value:  # fmt: skip
                left.append(f"{name} {labels} is {value:g}")
            if name == "agentrt_replica_up" and not value:
                left.append(f"{labels} is down")
        return left

    async def _probe(self, model: str, when: str) -> None:
        """A request is answered at once."""
        name = f"probe-{when.replace(' ', '-')}-{model}"
        wish = {"tokens": 2}
        headers = {
            "Authorization": f"Bearer {self._world.keys['acme']}",
            "X-Soak": json.dumps(wish),
            "X-Request-ID": name,
            "X-Session-ID": name,
            "X-Session-Final": "1",
        }
        body = {"model": model, "messages": [{"role": "user", "content": name}]}
        post = Post(headers=headers, body=body)
        outcome = await send(self._world.port, post, within_s=_PROBE_WITHIN_S)
        self._ledger.note(Post(headers=headers, body=wish), outcome, name)
        if outcome.came != "answer":
            self._problem(f"{when}: the probe of {model} came to {outcome}")

    async def _check_counts(self) -> None:
        """The gateway's counts and the clients'."""
        counted: Counter[int] = Counter()
        for name, labels, value in await self._world.metrics():
            if name == "agentrt_requests_total" and labels["endpoint"] in _COUNTED:
                counted[int(labels["status"])] += int(value)
            if name == "agentrt_programs_ended_total":
                self.found.ended[labels["how"]] = int(value)
        seen, left = self._ledger.posts, self._ledger.left
        for status in sorted(seen.keys() | counted.keys()):
            most = seen[status] + left
            if not seen[status] <= counted[status] <= most:
                self._problem(f"{counted[status]} of {status} counted, {seen[status]} seen")
        total, all_seen = sum(counted.values()), sum(seen.values())
        if not all_seen <= total <= all_seen + left:
            self._problem(f"{total} requests counted, {all_seen} seen and {left} left")

    async def _check_stop(self) -> None:
        """What is under way is answered, and the process ends with 0."""
        wish = {"tokens": 20, "gap_s": 0.05}
        headers = {
            "Authorization": f"Bearer {self._world.keys['acme']}",
            "X-Soak": json.dumps(wish),
        }
        body = {"model": "alpha", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        posts = [
            Post(headers=headers | {"X-Request-ID": f"last-{at}"}, body=body) for at in range(8)
        ]
        async with asyncio.TaskGroup() as tasks:
            last = [tasks.create_task(send(self._world.port, post, within_s=60)) for post in posts]
            await asyncio.sleep(0.5)
            status = await self._world.stop(within_s=30)
        came = Counter(task.result().came for task in last)
        if status != 0 or came != {"answer": len(posts)}:
            self._problem(f"SIGTERM: exit status {status}, what was under way came to {came}")

    def _check_log(self) -> None:
        text = self._world.log.read_text(errors="replace")
        for word in _FORBIDDEN:
            if word in text:
                at = text.index(word)
                self._problem(f"the log has {word!r}: {text[max(at - 300, 0) : at + 1500]}")
        for secret in (SENTINEL, *self._world.keys.values()):
            if secret in text:
                self._problem("the log has a secret")
        if any(line.startswith("12:00:00 forged") for line in text.splitlines()):
            self._problem("the log has a line that a client wrote")

    def _problem(self, said: str) -> None:
        self._ledger.problems.append(said)


async def _until(left: Any, within_s: float) -> list[str]:
    """Ask until nothing is left; what still is after so long."""
    end = time.monotonic() + within_s
    while found := await left():
        if time.monotonic() > end:
            return list(found)
        await asyncio.sleep(0.25)
    return []


async def soak(folder: Path, options: Options, *, is_shown: bool = False) -> Found:
    """Run one; `problems` has all that should not be."""
    async with world(folder, kv_tokens=options.kv_tokens) as here:
        running = Soak(here, options, is_shown=is_shown)
        await running.run()
        return running.found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", dest="is_json")
    told = parser.parse_args()
    options = Options(
        requests=told.requests, at_once=told.at_once, seed=told.seed, rounds=told.rounds
    )
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(soak(Path(folder), options, is_shown=True))
        log = (Path(folder) / "gateway.log").read_text(errors="replace")
    if told.is_json:
        sys.stdout.write(json.dumps(asdict(found) | {"kb_a_request": found.kb_a_request}) + "\n")
    else:
        sys.stdout.write(table(found) + "\n")
    if found.problems:
        sys.stderr.write("".join(log.splitlines(keepends=True)[-50:]))
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
