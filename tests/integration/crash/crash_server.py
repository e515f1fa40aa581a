"""Forks one child per sitting, so that each starts in milliseconds; every child is a process of its own.

A line of JSON on stdin starts a sitting. On stdout: `{"pid": ...}`, then what the child reports, then
`{"exit": ...}` once it is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any

from agentrt.errors import ResumeError, StoreError
from agentrt.ir.event import Event, NodeFinished
from agentrt.runtime import Runtime
from agentrt.store.open import open_store
from tests.integration.crash.crash_job import backend, job


def report(message: dict[str, Any]) -> None:
    os.write(1, (json.dumps(message) + "\n").encode())  # nothing is left in a buffer


def on_event(event: Event) -> None:
    if isinstance(event, NodeFinished):
        report(
            {
                "finished": event.node_id,
                "kind": event.kind,
                "value": event.value if isinstance(event.value, str) else None,
                "restored": event.is_restored,
            }
        )


async def sit(order: dict[str, Any]) -> None:
    store = open_store(order["store"])
    try:
        async with Runtime(backend(), store=store, on_event=on_event) as runtime:
            run_id = order["run_id"]
            try:
                await store.load(run_id)
            except StoreError:
                run = runtime.start(job.bind("Which?"), run_id=run_id)
            else:
                try:
                    run = await runtime.resume(run_id, job)
                except ResumeError as refusal:
                    report({"refused": refusal.nodes})
                    run = await runtime.resume(run_id, job, in_flight=order["in_flight"])
            result = await run.wait()
        report({"status": result.status, "output": result.output, "error": str(result.error)})
    finally:
        await store.aclose()


def child(order: dict[str, Any]) -> None:
    os.environ["CRASH_LOG"] = order["log"]
    os.environ["CRASH_SITTING"] = str(order["sitting"])
    asyncio.run(sit(order))


def serve() -> None:
    if "postgresql" in sys.argv:
        import psycopg  # noqa: F401, PLC0415  once, here, and not in every child
    import agentrt.store.sql  # noqa: F401, PLC0415  likewise

    job.trace()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            status = 1
            try:
                child(json.loads(line))
                status = 0
            except BaseException as error:
                report({"crashed": repr(error)})
                raise
            finally:
                os._exit(status)
        report({"pid": pid})
        _, status = os.waitpid(pid, 0)
        report({"exit": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    serve()
