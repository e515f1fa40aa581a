"""llama.cpp in a process beside this one: starting it, and ending it. Blocking; for a thread."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from agentrt.errors import BackendUnavailable, InvariantError, ModelUnavailable

_GRACE_S = 2.0
# Its threads wait for one another some hundred times a token. By default they do so spinning, which
# on a machine with other work costs a scheduler's time slice each time: measured on two busy cores,
# 1 to 3 tokens a second instead of 16 to 23.
_WAIT_POLICY = "OMP_WAIT_POLICY"
# The engine looks up from its work between batches: for new requests, for cancelled ones, and to
# give sequences that decode their turn beside one that is in prefill. docs/embedded.md has figures.
BATCH_TOKENS = 512
# llama.cpp drafts only what is at least as long as what it looked up. Longer ones draft less often
# and are right more often: docs/drafting.md has figures.
DRAFT_NGRAM = 8
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
        draft_tokens: Of a draft that is looked up in the text so far; 0: no drafts.
        draft_ngram: So many tokens must have occurred before; at most `draft_tokens`.
    """

    model: Path
    slots: int
    context_tokens: int
    threads: int | None = None
    cache_ram_mib: int = 1024
    save_folder: str = ""
    draft_tokens: int = 0
    draft_ngram: int = DRAFT_NGRAM


class Engine:
    """A running engine: `url` answers until `close`. The key keeps other users of the machine out.

    llama.cpp runs in a process of its own: ended in the middle of decoding it can hang, and what
    makes it abort (a grammar, a damaged file) must not take the caller along.

    Raises:
        BackendUnavailable: xllamacpp is not installed.
        ModelUnavailable: llama.cpp cannot load the file.
    """

    def __init__(
        self, settings: EngineSettings, *, on_process: Callable[[Engine], None] | None = None
    ) -> None:
        """Returns when it is loaded, which takes as long as it takes.

        `on_process` is told of it as soon as there is a process: from then on `close`, in another
        thread, ends the loading.
        """
        if importlib.util.find_spec("xllamacpp") is None:
            raise BackendUnavailable(
                "the embedded engine is not installed: pip install 'agentrt[local]'",
                retryable=False,
            )
        self.api_key = secrets.token_urlsafe(32)
        self.version = importlib.metadata.version("xllamacpp")
        self._process = subprocess.Popen(  # noqa: S603  our own file, by our own interpreter
            [sys.executable, str(Path(__file__).with_name("embedded_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={_WAIT_POLICY: "passive"} | dict(os.environ),
            start_new_session=True,  # Ctrl-C is for the program, which then closes the engine
        )
        try:
            if on_process is not None:
                on_process(self)
            self.url = self._load(settings)
        except BaseException:
            self.close()
            raise

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process is still there; requests fail once it is not."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process, whatever it is doing. Idempotent; from any thread."""
        process = self._process
        _close(process.stdin)  # the end of its input is its end
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # Now at the latest whoever waited for its answer has let go of the pipe.
        _close(process.stdout)

    def _load(self, settings: EngineSettings) -> str:
        """Where it listens."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise InvariantError("the engine's process has no pipes")
        asked = asdict(settings) | {
            "model": str(settings.model),
            "threads": settings.threads or default_threads(),
            "batch_tokens": BATCH_TOKENS,
            "api_key": self.api_key,
        }
        try:
            stdin.write(json.dumps(asked).encode() + b"\n")
            stdin.flush()
            answer: dict[str, str] = json.loads(stdout.readline() or b"{}")
        except (OSError, ValueError):
            answer = {}
        if "url" in answer:
            return answer["url"]
        why = answer.get("error") or "its process ended"
        raise ModelUnavailable(
            f"llama.cpp cannot load {settings.model}: the file is damaged or of a kind it does"
            f" not know, or {settings.slots} x {settings.context_tokens} tokens do not fit into"
            f" memory ({why})"
        )


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with suppress(OSError):
            pipe.close()


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
