"""A gateway put together from its settings, in front of an engine that tells what it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from agentrt.gateway.assembly import Gateway, gateway
from agentrt.gateway.keys import hash_of, new_key
from agentrt.gateway.server import serve
from agentrt.gateway.settings import GatewaySettings
from tests.integration.misbehaving_server import Call, completion, stream, whole_stream
from tests.integration.stub_engine import StubEngine, hang

KEYS = {"acme": new_key(), "zeta": new_key(), "open": new_key()}
ENGINE_KEY = "sk-of-the-engine"
SALT_IS_KNOWN = (
    "[{'type': 'string_type', 'loc': ('body', 'cache_salt'), 'msg': 'Input should be a string'}]"
)


@dataclass
class SaltedEngine(StubEngine):
    """Takes `cache_salt`, as its refusals tell, and remembers whose keys it was sent."""

    keys: set[str] = field(default_factory=set)

    async def _respond(self, call: Call) -> None:
        self.keys |= {value for name, value in call.headers.items() if name == "authorization"}
        is_question = call.path == "/v1/chat/completions" and not isinstance(
            call.json["messages"], list
        )
        if is_question:
            await call.respond(400, {"error": {"message": SALT_IS_KNOWN}})
        else:
            await super()._respond(call)

    @property
    def salts(self) -> list[Any]:
        return [body.get("cache_salt") for body in self.asked]


class ProudEngine(SaltedEngine):
    """Says that it knows `priority`, and refuses requests that have one, as older servers do."""

    async def _respond(self, call: Call) -> None:
        if call.path != "/v1/chat/completions":
            await super()._respond(call)
        elif not isinstance(call.json["messages"], list):
            known = SALT_IS_KNOWN + SALT_IS_KNOWN.replace("cache_salt", "priority")
            await call.respond(400, {"error": {"message": known}})
        else:
            self.asked.append(call.json)
            await self._answered(call)

    async def _answered(self, call: Call) -> None:
        if "priority" in call.json:
            await call.respond(400, {"error": {"message": "priority scheduling is not enabled"}})
        else:
            await call.respond(200, completion("Hello"))


def settings(engine: StubEngine, **more: Any) -> GatewaySettings:
    tenants = [
        {"name": name, "keys": [hash_of(key)], "may_share_cache": name == "open"}
        for name, key in KEYS.items()
    ]
    told = {
        "replica": [{"url": f"vllm+{engine.url}", "api_key_env": "ENGINE"}],
        "tenant": tenants,
        "store": "none",
    }
    return GatewaySettings.model_validate(told | more)


@dataclass
class Door:
    found: Gateway
    client: httpx2.AsyncClient

    async def ask(self, tenant: str, text: str = "Hi", **more: Any) -> httpx2.Response:
        messages = [{"role": "user", "content": text}]
        body: dict[str, Any] = {"model": "m", "messages": messages} | more
        key = {"Authorization": f"Bearer {KEYS[tenant]}"}
        return await self.client.post("/v1/chat/completions", json=body, headers=key)

    async def programs(self, tenant: str) -> Any:
        key = {"x-api-key": KEYS[tenant]}
        return (await self.client.get("/programs", headers=key)).json()["programs"]


@asynccontextmanager
async def served(told: GatewaySettings) -> AsyncGenerator[Door]:
    stop = asyncio.Event()
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with gateway(told, {"ENGINE": ENGINE_KEY}) as found, asyncio.TaskGroup() as tasks:
        await found.replicas.settled(10)
        door = serve(
            found.app, host="127.0.0.1", port=0, drain_s=0, on_bound=bound.set_result, stop=stop
        )
        tasks.create_task(door)
        url = f"http://127.0.0.1:{await bound}"
        async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            yield Door(found, client)
        stop.set()


async def test_no_tenant_can_have_a_salt_of_anothers_and_its_own_word_only_parts_its_cache() -> (
    None
):
    async with SaltedEngine() as engine, served(settings(engine)) as door:
        await door.ask("acme")
        await door.ask("acme", cache_salt="mine")
        acme, parted = engine.salts
        await door.ask("zeta", cache_salt="mine")
        await door.ask("zeta", cache_salt=acme)
        await door.ask("zeta", cache_salt="")
        await door.ask("zeta", cache_salt=None)
        await door.ask("zeta", cache_salt=["mine"])
        await door.ask("zeta")
        zetas = engine.salts[2:]
    assert len({acme, parted, *zetas}) == 5
    assert all(isinstance(salt, str) and len(salt) == 32 for salt in engine.salts)
    assert len(set(zetas[2:])) == 1  # what says nothing is as if nothing was said


async def test_those_that_may_share_send_no_salt_but_what_they_ask_for() -> None:
    async with SaltedEngine() as engine, served(settings(engine)) as door:
        await door.ask("open")
        await door.ask("open", cache_salt="mine")
    assert engine.salts == [None, "mine"]


async def test_no_tenant_names_contexts_of_other_requests_to_the_engine() -> None:
    named: dict[str, Any] = {
        "kv_transfer_params": {"remote_block_ids": [1]},
        "session_params": {"id": "theirs"},
        "priority": -1_000_000,
    }
    async with SaltedEngine() as engine, served(settings(engine)) as door:
        for name, value in named.items():
            refused = await door.ask("acme", **{name: value})
            assert (refused.status_code, engine.asked) == (400, [])
            assert refused.json()["error"]["message"] == (
                f"{name} is not for tenants of this gateway: leave it out"
            )
        assert (await door.ask("acme", kv_transfer_params=None)).status_code == 200
        held = {"agentrt_program": "theirs", "agentrt_hold_s": 1e9, "own": 1}
        refused = await door.ask("acme", vllm_xargs=held)
        assert refused.status_code == 400
        assert "vllm_xargs.agentrt_program" in refused.json()["error"]["message"]
        harmless: Any
        for harmless in ({"own": 1}, "text", None, []):
            answer = await door.ask("acme", vllm_xargs=harmless)
            assert "for tenants" not in answer.text
        assert (await door.ask("open", **named)).status_code == 200
    assert {name: engine.asked[-1][name] for name in named} == named


async def test_salts_and_budgets_are_the_same_after_a_restart(tmp_path: Path) -> None:
    async with SaltedEngine() as engine:
        told = settings(engine, store=str(tmp_path / "gateway.db"))
        for _ in range(2):
            async with served(told) as door:
                await door.ask("acme")
        first, second = engine.salts
        assert first == second
        async with served(settings(engine)) as door:
            await door.ask("acme")
    assert engine.salts[2] != first  # another gateway has another secret


async def test_the_engine_gets_its_key_from_the_gateway_and_never_a_clients() -> None:
    async with SaltedEngine() as engine, served(settings(engine)) as door:
        assert (await door.ask("acme")).status_code == 200
    assert engine.keys == {f"Bearer {ENGINE_KEY}"}


async def test_a_tenant_sees_its_own_programs_alone_and_ends_no_others() -> None:
    async with SaltedEngine() as engine, served(settings(engine)) as door:
        await door.ask("acme", session_id="secret-of-acme")
        assert [program["name"] for program in await door.programs("acme")] == ["secret-of-acme"]
        assert await door.programs("zeta") == []
        (program,) = await door.programs("acme")
        for name in ("secret-of-acme", program["program_id"]):
            gone = await door.client.delete(
                f"/programs/{name}", headers={"x-api-key": KEYS["zeta"]}
            )
            assert gone.status_code == 404
        ended = await door.client.delete(
            "/programs/secret-of-acme", headers={"x-api-key": KEYS["acme"]}
        )
        assert ended.status_code == 200
        pages = [(await door.client.get(path)).text for path in ("/metrics", "/health", "/ready")]
    for secret in (*KEYS.values(), ENGINE_KEY, "secret-of-acme"):
        assert secret not in "".join(pages)


async def test_requests_that_are_given_up_leave_no_place_taken() -> None:
    async with SaltedEngine(answer=hang) as engine:
        tenants = [
            {"name": "acme", "keys": [hash_of(KEYS["acme"])], "max_concurrent": 2, "max_waiting": 1}
        ]
        async with served(settings(engine, tenant=tenants)) as door:
            asking = [asyncio.create_task(door.ask("acme", str(n))) for n in range(3)]
            while len(engine.asked) < 2:  # noqa: ASYNC110  it is the engine's, and tells nobody
                await asyncio.sleep(0.01)
            refused = await door.ask("acme", "one more")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert refused.json()["error"]["code"] == "rate_limit_exceeded"
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)
            while door.found.app.under_way:  # noqa: ASYNC110  connections that are just closing
                await asyncio.sleep(0.01)
            engine.answer = stream(*whole_stream())
            answers = [await door.ask("acme", "again", stream=True) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_it_is_ready_while_each_model_has_a_replica_also_after_one_came_back_with_others() -> (
    None
):
    async with SaltedEngine() as engine, served(settings(engine, unavailable_s=0.2)) as door:

        async def status_becomes(status: int) -> None:
            while True:
                if (await door.client.get("/ready")).status_code == status:
                    return
                await asyncio.sleep(0.02)

        await status_becomes(200)
        await engine.stop()
        await door.ask("acme", stream=True)  # whoever fails there has it looked at
        await status_becomes(503)
        engine.models = ("n",)
        await engine.start()
        await status_becomes(200)
        assert (await door.ask("acme", model="n")).status_code == 200


async def test_of_the_models_of_a_replica_those_are_listed_that_can_be_asked_for() -> None:
    async with SaltedEngine(models=("m", "n", "o")) as engine:
        replica = {"url": f"vllm+{engine.url}", "models": ["n", "m"]}
        async with served(settings(engine, replica=[replica])) as door:
            key = {"x-api-key": KEYS["acme"]}
            listed = (await door.client.get("/v1/models", headers=key)).json()["data"]
            asked = [await door.ask("acme", model=name) for name in ("m", "n", "o")]
            unknown = await door.client.get("/v1/models/o", headers=key)
    assert [entry["id"] for entry in listed] == ["m", "n"]
    assert [answer.status_code for answer in (*asked, unknown)] == [200, 200, 404, 404]


async def test_what_is_logged_of_a_failure_names_no_key(caplog: Any) -> None:
    async with (
        SaltedEngine() as engine,
        served(settings(engine, unavailable_s=0.2)) as door,
    ):
        await engine.stop()
        answer = await door.ask("acme", "the secret plan")
    assert answer.status_code in {502, 503}
    assert json.loads(answer.content)["error"]["type"] == "server_error"
    shown = caplog.text + answer.text
    for secret in (*KEYS.values(), ENGINE_KEY, "the secret plan"):
        assert secret not in shown


async def test_hints_that_an_engine_refuses_are_left_out_and_salts_never() -> None:
    async with ProudEngine() as engine, served(settings(engine)) as door:
        answers = [await door.ask("acme", text) for text in ("one", "two")]
    assert [answer.status_code for answer in answers] == [200, 200]
    # Refused once, asked again without, and from then on not told at all.
    assert ["priority" in body for body in engine.asked] == [True, False, False]
    assert len(set(engine.salts)) == 1
    assert None not in engine.salts


async def test_a_client_s_own_mistake_is_told_in_the_engine_s_words_and_hints_stay() -> None:
    class Picky(ProudEngine):
        async def _answered(self, call: Call) -> None:
            if call.json.get("temperature") == 99:
                await call.respond(400, {"error": {"message": "temperature is too high"}})
            else:
                await call.respond(200, completion("Hello"))

    async with Picky() as engine, served(settings(engine)) as door:
        refused = await door.ask("acme", temperature=99)
        assert (await door.ask("acme", "again")).status_code == 200
    assert refused.status_code == 400
    assert refused.json() == {"error": {"message": "temperature is too high"}}
    assert ["priority" in body for body in engine.asked] == [True, False, True]
