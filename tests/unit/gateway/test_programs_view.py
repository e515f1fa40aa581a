"""What `/programs` and `/metrics` show."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agentrt.errors import BackendUnavailable, RateLimited
from agentrt.gateway.metrics import Metrics
from agentrt.gateway.programs_view import programs_view
from agentrt.gateway.services import Answered
from agentrt.gateway.turns import Caller
from tests.unit.gateway.turns_world import Server, World, answered, calling, result_of


def view(world: World, tenant: str = "") -> dict[str, Any]:
    programs = world.programs
    shown = programs_view(
        programs.live, programs.ended, world.replicas, now=world.clock.now(), tenant=tenant
    )
    return json.loads(json.dumps(shown, allow_nan=False))  # type: ignore[no-any-return]  # JSON


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """What is not zero, but for histograms' buckets and the times that counters were made."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.page().decode())
        for sample in family.samples
        if sample.value and not sample.name.endswith(("_bucket", "_created"))
    }


def test_those_who_wait_for_other_models_are_not_counted_though_the_models_are_shown_alike() -> (
    None
):
    def server(last: str) -> Server:
        models = ("m", "n", "o", last)  # people are told of three of them, and one more
        return Server(models, script="x", latency_s=9.0, max_concurrency=1)

    world = World(server("y"), server("z"))

    async def main() -> dict[str, Any]:
        async with asyncio.TaskGroup() as tasks:
            for name, model in (("y1", "y"), ("y2", "y"), ("z1", "z"), ("z2", "z"), ("z3", "z")):
                tasks.create_task(world.ask(name, model=model))
            await asyncio.sleep(3.0)
            return view(world)

    shown = world.run(main)
    assert {p["name"]: p["why"] for p in shown["programs"] if p["state"] == "queued"} == {
        "y2": "waits for a place",
        "z2": "waits for a place, with 1 others",
        "z3": "waits for a place, with 1 others",
    }


def test_each_program_says_where_it_is_and_why() -> None:
    world = World(Server(script=lambda r: calling("bash"), latency_s=9.0, max_concurrency=1))

    async def main() -> dict[str, Any]:
        async with asyncio.TaskGroup() as tasks:
            await world.ask("acting", "x" * 640, caller=Caller(tenant="t"))
            for name in ("reasoning", "queued"):
                tasks.create_task(world.ask(name, caller=Caller(tenant="t")))
            await asyncio.sleep(3.0)
            return view(world)

    shown = world.run(main)
    # For how long a context is kept is the scheduler's to know.
    told = {
        p["name"]: (p["state"], p["why"].partition(" at a for ")[0], p["since_s"])
        for p in shown["programs"]
    }
    assert told == {
        "acting": (
            "held",
            "in tool bash for 3.0 s; context kept",
            3.0,
        ),
        "reasoning": ("reasoning", "a reads the prompt", 3.0),
        "queued": ("queued", "waits for a place", 3.0),
    }
    counts = {"queued": 1, "reasoning": 1, "acting": 0, "held": 1, "resting": 0}
    assert shown["states"] == counts
    first = shown["programs"][0]
    assert (first["program_id"], first["turns"], first["prompt_tokens"]) == ("t/acting", 1, 10)
    assert first["context_blocks"] == 10
    (replica,) = shown["replicas"]
    assert (replica["replica"], replica["running"], replica["programs"]) == ("a", 1, 2)


def test_a_tenant_sees_its_own_programs_alone() -> None:
    world = World(Server(script="x"))

    async def main() -> list[dict[str, Any]]:
        for tenant in ("mine", "other"):
            await world.ask("p", caller=Caller(tenant=tenant))
            await world.ask("q", caller=Caller(tenant=tenant), is_final=True)
        return [view(world, tenant="mine"), view(world)]

    mine, all_of_them = world.run(main)
    assert [p["program_id"] for p in mine["programs"]] == ["mine/p"]
    assert [p["program_id"] for p in mine["ended"]] == ["mine/q"]
    assert (mine["replicas"][0]["replica"], mine["programs"][0]["replica"]) == ("replica 1",) * 2
    assert "at replica 1 " in mine["programs"][0]["why"]
    assert all_of_them["programs"][0]["replica"] == "a"
    assert len(all_of_them["programs"]) == len(all_of_them["ended"]) == 2


def test_programs_whose_replicas_are_gone_say_so() -> None:
    server = Server(script="x", latency_s=5.0)
    world = World(server)

    async def main() -> dict[str, Any]:
        call = asyncio.ensure_future(world.ask("p"))
        await asyncio.sleep(1.0)
        server.is_there = False
        world.replicas._watched["a"]._go_down("it is gone")
        await asyncio.sleep(1.0)
        shown = view(world)
        with pytest.raises(BackendUnavailable, match="no replica of m has been up for 10 s"):
            await call
        return shown

    shown = world.run(main)
    assert shown["programs"][0]["why"] == "no replica of m is up"
    assert [(r["is_up"], r["why"]) for r in shown["replicas"]] == [(False, "it is gone")]


def test_everything_is_counted_once() -> None:
    fails = BackendUnavailable("for a moment")
    metrics = Metrics()
    world = World(Server(script=[calling("t"), fails, "x", "x"]), observer=metrics)
    caller = Caller(tenant="t")

    async def main() -> None:
        metrics.watch(lambda: world.programs.live, world.replicas, world.clock.now)
        first = await world.ask("p", "go", caller=caller)
        history = ("go", answered(first), result_of("t"))
        await world.ask("p", *history, caller=caller, is_final=True)
        call = asyncio.ensure_future(world.ask("q", caller=caller))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])

    world.run(main)
    told = Answered(
        request_id="r", endpoint="completions", status=200, model="m", tenant="t", replica_id="a"
    )
    metrics.observe(told)
    found = samples(metrics)
    assert {key: value for key, value in found.items() if "seconds" not in key[0]} == {
        ("agentrt_requests_total", ("completions", "m", "200", "t")): 1,
        ("agentrt_prompt_tokens_total", ("m", "t")): found[
            "agentrt_prompt_tokens_total", ("m", "t")
        ],
        ("agentrt_completion_tokens_total", ("m", "t")): 5,
        ("agentrt_retries_total", ("m",)): 1,
        ("agentrt_disconnects_total", ("m",)): 1,
        ("agentrt_recognised_total", ("its name",)): 3,
        ("agentrt_programs_ended_total", ("final",)): 1,
        ("agentrt_programs_ended_total", ("closed",)): 1,
        ("agentrt_replica_up", ("a",)): 1,
        ("agentrt_replica_capacity_blocks", ("a",)): 6250,
    }


async def test_labels_are_bounded_whatever_clients_and_tenants_are_called() -> None:
    metrics = Metrics()
    for number in range(2000):
        metrics.recognised(f"reason {number}")
        told = Answered(
            request_id="r",
            endpoint="completions",
            status=404,
            model=f"made up {number}",
            tenant=f"tenant {number}",
        )
        metrics.observe(told)
    found = [key for key in samples(metrics) if key[0] == "agentrt_requests_total"]
    assert len(found) == 1001
    assert len([key for key in samples(metrics) if key[0] == "agentrt_recognised_total"]) == 65
    watching = asyncio.create_task(metrics.watch_loop())
    await asyncio.sleep(0.3)
    watching.cancel()
    await asyncio.wait([watching])
    assert samples(metrics)["agentrt_event_loop_lag_seconds_count", ()] == 1


def test_what_the_scheduler_refuses_is_shed() -> None:
    metrics = Metrics()
    world = World(
        Server(script="x", latency_s=9.0, max_concurrency=1), observer=metrics, max_waiting=1
    )

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in ("p", "q"):
                tasks.create_task(world.ask(name))
            await asyncio.sleep(1.0)
            with pytest.raises(RateLimited):
                await world.ask("r")

    world.run(main)
    assert samples(metrics)["agentrt_sheds_total", ("m",)] == 1
