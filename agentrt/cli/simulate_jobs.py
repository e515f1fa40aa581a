"""A comparison's jobs on several cores: processes that do one simulation at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for_end

from agentrt.errors import AgentRTError
from agentrt.simulator.comparison import Workers, one_by_one
from agentrt.simulator.comparison_bench import Bench, Worker
from agentrt.simulator.comparison_work import Job, Result, Ticket, Work, job_text


def cores() -> int:
    """Those that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def workers(jobs: int) -> Workers:
    """So many processes; with one, all is done in this one."""
    if jobs == 1:
        return one_by_one
    return lambda bench, work, on_run: _in_processes(bench, work, on_run, jobs)


def _in_processes(bench: Bench, work: Work, on_run: Callable[[str], None], jobs: int) -> None:
    # Not forked: this process has threads.
    spawning = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=spawning, initializer=_begin, initargs=(bench,))
    under_way: dict[Future[Result], Ticket] = {}
    try:
        while True:
            while len(under_way) < jobs and (ticket := work.take()) is not None:
                on_run(job_text(ticket.job))
                with _interrupts_put_off():
                    under_way[pool.submit(_do, ticket.job)] = ticket
            if not under_way:
                break
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            # In the order they were begun: then what is begun next does not depend on a set's order.
            for future in [future for future in under_way if future in done]:
                work.give(under_way.pop(future), future.result())
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise AgentRTError(
                "a process that simulated was ended from outside, perhaps for its memory: "
                "fewer of them need less (--jobs)"
            ) from error
        raise
    pool.shutdown()


@contextmanager
def _interrupts_put_off() -> Generator[None]:
    """Ctrl-C comes after this, and never to processes begun in here.

    A terminal sends it to all of them; what they should do about it is for this one to say.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What a process of the pool works with.
_worker: Worker | None = None


def _begin(bench: Bench) -> None:
    """Make ready a process of the pool. It ends when its parent does, however that ends."""
    global _worker  # noqa: PLW0603  the one thing that a process of the pool has
    _worker = Worker(bench)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for_end([sentinel])
    os._exit(1)


def _do(job: Job) -> Result:
    if _worker is None:
        raise RuntimeError("a process of the pool was not made ready")
    return _worker.do(job)
