"""The process that llama.cpp runs in: started by `embedded_engine`, as a file, by itself.

It reads one line of JSON from standard input (what to load), writes one line of JSON to standard
output (where it listens, or what went wrong), and lives until standard input ends: so it goes with
the process that started it, however that one ends. It imports nothing of agentrt.
"""

import importlib
import json
import os
import select
import signal
import sys
from typing import Any

_SILENT = -1


def main() -> None:
    """Serve until standard input ends."""
    reply = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # the engine prints, and nobody here reads it
    os.dup2(nowhere, 2)
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    _end_with_input()
    try:
        server = _serve(asked)
        answer: dict[str, str] = {"url": server.listening_address}
    except Exception as error:  # noqa: BLE001  whatever it is, the one who asked has to hear of it
        answer = {"error": str(error) or type(error).__name__}
    try:
        reply.write(json.dumps(answer) + "\n")
        reply.close()
        if "url" in answer:
            sys.stdin.read()
    finally:
        # Letting go of the server would wait for what it is decoding, sometimes for ever.
        os._exit(0)


def _end_with_input() -> None:
    """Have the system end this process when its input ends, even while it loads.

    Loading can take minutes, or for ever, and no Python runs meanwhile, in whichever thread.
    """
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415  not everywhere

        signal.signal(signal.SIGIO, signal.SIG_DFL)  # which is the end
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([0], [], [], 0)[0]:  # it had ended before
            os._exit(0)


def _serve(asked: dict[str, Any]) -> Any:
    engine: Any = importlib.import_module("xllamacpp")  # an extra; native, and without types
    params = engine.CommonParams()
    params.model.path = asked["model"]
    params.n_parallel = asked["slots"]
    params.n_ctx = asked["slots"] * asked["context_tokens"]
    params.n_batch = params.n_ubatch = asked["batch_tokens"]
    params.kv_unified = False
    params.cache_ram_mib = asked["cache_ram_mib"]
    params.slot_save_path = asked["save_folder"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked["threads"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [asked["api_key"]]
    # The web pages it can serve, and its own log, have no place in somebody's program.
    params.ui = False
    params.verbosity = _SILENT
    if asked["draft_tokens"] > 0:
        # Of its kinds of lookup the one that looks at nothing but the request's own text: the others
        # keep what they saw, so that answers would come at a speed that depends on other requests.
        kinds = engine.common_speculative_type
        params.speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
        params.speculative.ngram_simple.size_n = asked["draft_ngram"]
        params.speculative.ngram_simple.size_m = asked["draft_tokens"]
    return engine.Server(params)


if __name__ == "__main__":
    main()
