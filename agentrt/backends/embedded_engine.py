"""llama.cpp inside this process: loading it, and letting go of it. Blocking; for a thread."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrt.errors import BackendUnavailable, ModelUnavailable

_SILENT = -1
_WAIT_POLICY = "OMP_WAIT_POLICY"
# The engine looks up from its work between batches: for new requests, for cancelled ones, and to
# give sequences that decode their turn beside one that is in prefill. docs/embedded.md has figures.
_BATCH_TOKENS = 512
_CGROUP = Path("/sys/fs/cgroup")
_CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What llama.cpp is started with.

    Attributes:
        model: A GGUF file.
        slots: Sequences decoded at once.
        context_tokens: Prompt and completion of one sequence at most; memory is taken for all
            slots at the start.
        threads: Threads that compute; None: one for each physical core this process may use.
        cache_ram_mib: Memory for the prompts of sequences that lost their slot, in MiB; 0: none.
        save_folder: Where slots may be saved to, ending in a separator; empty: nowhere.
    """

    model: Path
    slots: int
    context_tokens: int
    threads: int | None = None
    cache_ram_mib: int = 1024
    save_folder: str = ""


class Engine:
    """A running engine: `url` answers until `close`. The key keeps other users of the machine out.

    Raises:
        BackendUnavailable: xllamacpp is not installed.
        ModelUnavailable: llama.cpp cannot load the file.
    """

    def __init__(self, settings: EngineSettings) -> None:
        try:
            xllamacpp = _import_engine()
        except ImportError as error:
            raise BackendUnavailable(
                "the embedded engine is not installed: pip install 'agentrt[local]'",
                retryable=False,
            ) from error
        self.api_key = secrets.token_urlsafe(32)
        self.version = importlib.metadata.version("xllamacpp")
        params = _params(xllamacpp.CommonParams(), settings, self.api_key)
        try:
            self._server: Any = xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            raise ModelUnavailable(
                f"llama.cpp cannot load {settings.model}: the file is damaged or of a kind it does"
                f" not know, or {settings.slots} x {settings.context_tokens} tokens do not fit into"
                f" memory ({error})"
            ) from error
        self.url: str = self._server.listening_address

    def close(self) -> None:
        """Stop decoding, end its threads, free its memory. Idempotent."""
        # The server has no method for it: letting go of the last reference stops and joins it.
        self._server = None


def default_threads() -> int:
    """Physical cores this process may use: affinity and cgroup quota counted in."""
    try:
        cpus = sorted(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return max(1, os.cpu_count() or 1)
    # Two hyperthreads of a core share its arithmetic units, so the second one only waits.
    cores = len({_siblings(cpu) for cpu in cpus})
    quota = _quota_cpus()
    return max(1, cores if quota is None else min(cores, round(quota)))


def _import_engine() -> Any:
    """Late, since it is an extra, and native code that only this backend needs; and once a process.

    Its threads wait for one another some hundred times a token. By default they do so spinning,
    which on a machine with other work costs a scheduler's time slice each time: measured on two busy
    cores, 1 to 3 tokens a second instead of 16 to 23. OpenMP reads how to wait when it is loaded.
    """
    is_ours = _WAIT_POLICY not in os.environ and "xllamacpp" not in sys.modules
    if is_ours:
        os.environ[_WAIT_POLICY] = "passive"
    try:
        return importlib.import_module("xllamacpp")
    finally:
        if is_ours:
            del os.environ[_WAIT_POLICY]


def _params(params: Any, settings: EngineSettings, api_key: str) -> Any:
    params.model.path = str(settings.model)
    params.n_parallel = settings.slots
    params.n_ctx = settings.slots * settings.context_tokens
    params.n_batch = params.n_ubatch = _BATCH_TOKENS
    params.kv_unified = False
    params.cache_ram_mib = settings.cache_ram_mib
    params.slot_save_path = settings.save_folder
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = (
        settings.threads or default_threads()
    )
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [api_key]
    # The web pages it can serve, and its own log, have no place in somebody's program.
    params.ui = False
    params.verbosity = _SILENT
    return params


def _siblings(cpu: int) -> str:
    try:
        return (_CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota_cpus() -> float | None:
    """CPUs' worth of time this container may take; None: no limit, or not known."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)
