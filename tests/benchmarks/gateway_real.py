"""Programs on a real vLLM: alone, under fixed caps, behind the gateway, behind the peers.

    python -m tests.benchmarks.gateway_real --vllm http://127.0.0.1:8000 [--vllm ...] [--keep FILE]
        [--thunderagent CHECKOUT --thunderagent-python PYTHON] [--sglang-router PATH] [--vllm-router PATH]

Programs of `made:tiny-agents`, all alike, and of `made:small-browser`, which are not, whose contexts
together are 4 times, and half, the KV cache of the servers (which should be started for nothing else, with
prefix caching and --enable-prompt-tokens-details). All contenders in one invocation, each started afresh for
each replay, order rotated. Each repetition draws other programs, the same for all contenders: one cap is to
be good for all of them. Each replay has text of its own, so that none finds another's cache, and begins when
the servers are idle. With `--keep` each replay is written down as it ends, and the next invocation with the
same words goes on after it. Ctrl-C prints what there is. Peers that are not here are left out and named.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from agentrt.errors import BackendError
from agentrt.runtime.workload_endpoint import EndpointOptions, HttpEndpoint
from agentrt.runtime.workload_least import least_prefill_tokens
from tests.benchmarks.gateway_real_contenders import (
    ALONE,
    GATEWAY,
    Contender,
    Rivals,
    contenders,
    on_path,
)
from tests.benchmarks.gateway_real_replays import Load, Setting, load_of, measured, tell, warm
from tests.benchmarks.gateway_real_report import (
    NOT_SHOWN,
    Row,
    read_rows,
    row_line,
    summary,
    table,
    target_lines,
    targets,
    told,
)
from tests.benchmarks.gateway_real_servers import Servers

PRESSED, IDLE = 4.0, 0.5


async def run(options: argparse.Namespace, rows: list[Row]) -> None:
    """Every replay that `rows` does not have, added to it as it ends; SIGTERM ends it as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    roots = [url.rstrip("/").removesuffix("/v1") for url in options.vllm]
    async with AsyncExitStack() as stack:
        endpoints = [HttpEndpoint(root, EndpointOptions(model=options.model)) for root in roots]
        for endpoint in endpoints:
            stack.push_async_callback(endpoint.aclose)
        found = [await endpoint.open() for endpoint in endpoints]
        kv_tokens = options.kv_tokens or sum(each.kv_tokens or 0 for each in found)
        if not kv_tokens:
            sys.exit("the servers do not say what their KV caches have room for: give --kv-tokens")
        setting = Setting(
            servers=Servers(roots),
            endpoints=endpoints,
            sizes=await endpoints[0].sizes(),
            limit_s=options.limit,
            logs=_logs(options.logs, stack),
            nonce=secrets.token_hex(4),
        )
        model = options.model or found[0].models[0]
        plan = _plan(options, contenders_of(options, roots, model), kv_tokens)
        planned = {load.words for load, _, _ in plan}
        rows[:] = [row for row in rows if row.words in planned and row.figures is not None]
        await warm(setting, plan[0][0])
        done = {row.key for row in rows}
        began = time.monotonic()
        left = [step for step in plan if (step[0].words, step[1].name, step[2]) not in done]
        for at, (load, contender, repetition) in enumerate(left):
            tell(f"[{at + 1}/{len(left)}, {time.monotonic() - began:.0f} s] {contender.name}")
            row = await measured(setting, load, contender, repetition)
            rows.append(row)
            tell(told(row))
            if options.keep is not None:
                with options.keep.open("a") as kept:
                    kept.write(row_line(row) + "\n")


def _logs(given: Path | None, stack: AsyncExitStack) -> Path:
    """Where contenders' output goes: kept if somebody says where."""
    if given is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-real-")))
    given.mkdir(parents=True, exist_ok=True)
    return given


def contenders_of(options: argparse.Namespace, roots: Sequence[str], model: str) -> list[Contender]:
    """Those that are here and asked for."""
    rivals = Rivals(
        thunderagent=options.thunderagent,
        thunderagent_python=options.thunderagent_python,
        sglang_router=on_path(options.sglang_router, "sglang-router"),
        vllm_router=on_path(options.vllm_router, "vllm-router"),
    )
    caps = [int(cap) for cap in options.caps.split(",") if cap]
    found = contenders(roots, caps=caps, gateway=options.gateway, rivals=rivals, model=model)
    if options.only:
        wanted = options.only.split(",")
        unknown = set(wanted) - {each.name for each in found}
        if unknown:
            known = ", ".join(each.name for each in found)
            sys.exit(f"error: no contender {', '.join(sorted(unknown))}; there are: {known}")
        found = [each for each in found if each.name in wanted]
    tell(f"contenders: {', '.join(each.name for each in found)}")
    missing = [
        name
        for name, where in (
            ("ThunderAgent (--thunderagent)", rivals.thunderagent),
            ("sglang-router", rivals.sglang_router),
            ("vllm-router", rivals.vllm_router),
        )
        if where is None
    ]
    if missing:
        tell(f"not here: {', '.join(missing)}")
    return found


def _plan(
    options: argparse.Namespace, found: Sequence[Contender], kv_tokens: int
) -> list[tuple[Load, Contender, int]]:
    """All replays in order; each repetition begins with another contender."""
    plan: list[tuple[Load, Contender, int]] = []
    loads = [
        (made, float(times))
        for made in options.made.split(",")
        for times in options.oversubscription.split(",")
    ]
    for made, times in loads:
        # Where nothing is short, only what a gateway costs is of interest.
        here = [each for each in found if times > 1.0 or each.name in {ALONE, GATEWAY}]
        for repetition in range(options.repeats):
            load = load_of(
                made,
                times,
                kv_tokens=kv_tokens,
                seed=options.seed + repetition,
                programs=options.programs,
                longest_tool_s=options.longest_tool,
            )
            tell(
                f"{made}, {times:g} times {kv_tokens:,} KV tokens: {len(load.workload.programs)} programs,"
                f" {load.at_once or 'all'} at once, {least_prefill_tokens(load.workload):,} tokens at least"
            )
            by = repetition * max(1, len(here) // options.repeats)
            plan += [(load, here[(at + by) % len(here)], repetition) for at in range(len(here))]
    return plan


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vllm", action="append", required=True, help="a server; may be repeated")
    parser.add_argument("--model", help="needed where servers list several")
    parser.add_argument("--kv-tokens", type=int, help="of all servers, if they do not say")
    parser.add_argument("--oversubscription", default=f"{PRESSED:g},{IDLE:g}")
    parser.add_argument("--made", default="tiny-agents,small-browser", help="workloads, by preset")
    parser.add_argument("--programs", type=int, help="instead of as many as that takes")
    parser.add_argument("--longest-tool", type=float, default=math.inf, help="seconds, to try it")
    parser.add_argument("--caps", default="3,4,5,6,7,8")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of the first repetition")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds a replay may take")
    parser.add_argument("--only", default="", help="contenders, by their names between commas")
    parser.add_argument("--keep", type=Path, help="where replays are written down as they end")
    parser.add_argument("--logs", type=Path, help="a folder for what contenders print")
    parser.add_argument(
        "--gateway", default="", help="a command with {port}, instead of `agentrt serve`"
    )
    parser.add_argument("--thunderagent", type=Path, help="a checkout of it")
    parser.add_argument("--thunderagent-python", default=sys.executable)
    parser.add_argument("--sglang-router", help="by default the one on PATH")
    parser.add_argument("--vllm-router", help="by default the one on PATH")
    return parser.parse_args(words)


def main() -> None:
    options = parsed()
    rows = [] if options.keep is None else read_rows(options.keep)
    if rows:
        tell(
            f"{len(rows)} replays are in {options.keep}; those of the same words are not made again"
        )
    is_whole = False
    try:
        asyncio.run(run(options, rows))
        is_whole = True
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell("interrupted: what there is")
    except BackendError as error:
        sys.exit(f"error: {error}")
    found = targets(rows)
    for line in (*table(rows), "", *target_lines(found), "", NOT_SHOWN):
        tell(line)
    figures = {
        "is_whole": is_whole,
        "summary": summary(rows),
        "targets": found,
        "rows": [json.loads(row_line(row)) for row in rows],
        "not_shown": NOT_SHOWN,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
