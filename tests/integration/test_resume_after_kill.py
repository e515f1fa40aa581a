"""A real process is killed with SIGKILL at random moments; each run is resumed to the same answer."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from tests.integration.crash.crash_job import ANSWER, WRITES, log_lines

ROOT = Path(__file__).parents[2]
KILLS = 3
"""How often each run is killed before it is let through; times the seeds, the crash test's total."""


class ForkServer:
    """Runs sittings one at a time, each in a process of its own."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(  # noqa: S603  our own script
            [sys.executable, "-m", "tests.integration.crash.crash_server", *options],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, order: dict[str, Any]) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return cast("int", self.read()["pid"])

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the fork server is gone"
        return cast("dict[str, Any]", json.loads(line))

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@dataclass
class Sitting:
    """What one process reported before it ended."""

    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def exit(self) -> int:
        return cast("int", self.messages[-1]["exit"])

    @property
    def finished(self) -> list[dict[str, Any]]:
        """Leaves only: a region is put together anew from what is in it."""
        return [m for m in self.messages if m.get("kind") in ("tool", "llm") and not m["restored"]]

    @property
    def refused(self) -> list[str]:
        return [node for m in self.messages for node in m.get("refused", [])]


@dataclass
class Story:
    """One run, over all its sittings."""

    server: ForkServer
    store: str
    log: Path
    in_flight: Literal["retry", "skip"]
    sittings: list[Sitting] = field(default_factory=list)

    def sit(self, *, kill_after: int | None = None, delay_s: float = 0.0) -> Sitting:
        """One process; killed `delay_s` after its `kill_after`-th report, if that is given."""
        pid = self.server.start(
            {
                "store": self.store,
                "log": str(self.log),
                "run_id": "r1",
                "in_flight": self.in_flight,
                "sitting": len(self.sittings),
            }
        )
        sitting = Sitting()
        self.sittings.append(sitting)
        while not sitting.messages or "exit" not in sitting.messages[-1]:
            if len(sitting.messages) == kill_after:
                time.sleep(delay_s)
                os.kill(pid, signal.SIGKILL)  # not waited for yet, so the pid is still its own
                kill_after = None
            sitting.messages.append(self.server.read())
        return sitting

    def check(self) -> None:
        acts = log_lines(self.log)
        self.check_nothing_finished_runs_again(acts)
        self.check_writes(acts)
        last = self.sittings[-1]
        assert [m for m in last.messages if "status" in m] == [
            {"status": "finished", "output": ANSWER, "error": "None"}
        ]
        assert not [m for s in self.sittings for m in s.messages if "crashed" in m]

    def check_nothing_finished_runs_again(self, acts: list[tuple[int, str]]) -> None:
        reported: set[str] = set()
        for index, sitting in enumerate(self.sittings):
            for message in sitting.finished:
                node = message["finished"]
                assert node not in reported, f"{node} was reported twice"
                reported.add(node)
                effect = f"llm {node}" if message["kind"] == "llm" else message["value"]
                later = [each for each in acts if each[0] > index and each[1] == effect]
                assert not later, f"{node} was reported in sitting {index} and ran again: {later}"

    def check_writes(self, acts: list[tuple[int, str]]) -> None:
        times = Counter(what for _, what in acts)
        refused = Counter(node for sitting in self.sittings for node in sitting.refused)
        for node, effect in WRITES.items():
            if self.in_flight == "retry":
                assert 1 <= times[effect] <= 1 + refused[node], f"{node}: {times[effect]} times"
            else:
                assert times[effect] <= 1, f"{node} happened {times[effect]} times"
                assert times[effect] == 1 or refused[node], f"{node} never happened"


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


def live_through_kills(story: Story, seed: int, reports: int) -> None:
    generator = random.Random(seed)
    kills = 0
    while kills < KILLS:
        sitting = story.sit(
            kill_after=generator.randrange(reports),
            delay_s=generator.choice([0.0, generator.uniform(0.0, 0.004)]),
        )
        kills += sitting.exit == -signal.SIGKILL  # one that was at its end may have got away
    assert story.sit().exit == 0
    story.check()


@pytest.fixture(scope="module")
def reports(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many reports a run that nobody disturbs makes before its last."""
    place = tmp_path_factory.mktemp("undisturbed")
    story = Story(server, str(place / "runs.db"), place / "log", "retry")
    sitting = story.sit()
    story.check()
    assert Counter(what for _, what in log_lines(story.log)).most_common(1)[0][1] == 1
    return len(sitting.messages) - 2


@pytest.mark.parametrize("in_flight", ["retry", "skip"])
@pytest.mark.parametrize("seed", range(12))
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_answer(
    server: ForkServer,
    reports: int,
    tmp_path: Path,
    seed: int,
    in_flight: Literal["retry", "skip"],
) -> None:
    story = Story(server, str(tmp_path / "runs.db"), tmp_path / "log", in_flight)
    live_through_kills(story, seed, reports)


@pytest.mark.parametrize("seed", range(3))
def test_a_run_in_postgresql_that_is_killed_comes_to_the_same_answer(
    postgres_url: str, tmp_path: Path, reports: int, seed: int
) -> None:
    server = ForkServer("postgresql")
    try:
        story = Story(server, postgres_url, tmp_path / "log", "retry")
        live_through_kills(story, seed, reports)
    finally:
        server.close()
