"""Programs replayed over real HTTP: what servers get to see of them, and what servers do to them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from agentrt.clock import SystemClock
from agentrt.errors import BackendError, InputError, RequestRejected
from agentrt.ir.workload import Workload
from agentrt.runtime.workload_client import ClientOptions, replay_as_client
from agentrt.runtime.workload_endpoint import EndpointOptions, HttpEndpoint
from agentrt.runtime.workload_served import Served
from agentrt.simulator.workloads import generate
from agentrt.simulator.workloads.parameters import Parameters, ToolUse, WorkflowShape
from agentrt.simulator.workloads.quantiles import constant
from tests.benchmarks.gateway_real_servers import Dealt, Servers
from tests.e2e.stub_engine import StubEngine
from tests.integration.misbehaving_server import (
    Behaviour,
    Call,
    MisbehavingServer,
    answer,
    stream,
)

SHAPE = WorkflowShape(
    workflow="small",
    system_tokens=32,
    task_tokens=constant(30),
    turns=constant(3),
    new_tokens=constant(20),
    completion_tokens=constant(4),
    tools=(ToolUse(tool="tool", share=1.0, duration_s=constant(0.001)),),
)
WORKLOAD = generate(Parameters(name="small", programs=3, shapes=(SHAPE,), block_tokens=4), seed=1)
LISTED = {"object": "list", "data": [{"id": name, "object": "model"} for name in ("m", "n")]}


async def replayed(
    url: str,
    options: EndpointOptions | None = None,
    *,
    client: ClientOptions | None = None,
    workload: Workload = WORKLOAD,
) -> Served:
    endpoint = HttpEndpoint(url, options or EndpointOptions())
    try:
        await endpoint.open()
        return await replay_as_client(
            workload,
            endpoint,
            await endpoint.sizes(),
            clock=SystemClock(),
            options=client or ClientOptions(salt="s"),
        )
    finally:
        await endpoint.aclose()


@pytest.fixture
async def engine() -> AsyncIterator[tuple[StubEngine, MisbehavingServer]]:
    engine = StubEngine()
    async with MisbehavingServer(engine) as server:
        yield engine, server


async def test_a_plain_client_says_nothing_of_its_programs(
    engine: tuple[StubEngine, MisbehavingServer],
) -> None:
    stub, server = engine
    served = await replayed(server.url)
    assert [program.error for program in served.programs] == [None] * 3
    assert set(stub.sessions) == {(None, None)}
    assert stub.released == []
    for call in served.calls:
        assert call.sent_s is not None
        assert call.first_token_s is not None
        assert call.finished_s is not None
        assert call.ready_s <= call.sent_s <= call.first_token_s <= call.finished_s


async def test_programs_name_themselves_in_the_header_and_keep_to_it(
    engine: tuple[StubEngine, MisbehavingServer],
) -> None:
    stub, server = engine
    await replayed(server.url, EndpointOptions(has_session_header=True))
    headers = [header for header, _ in stub.sessions if header and header.startswith("s-")]
    assert sorted(headers) == ["s-0"] * 3 + ["s-1"] * 3 + ["s-2"] * 3


async def test_programs_name_themselves_in_the_body_and_tell_their_end(
    engine: tuple[StubEngine, MisbehavingServer],
) -> None:
    stub, server = engine
    options = EndpointOptions(program_field="program_id", release_path="/programs/release")
    await replayed(server.url, options)
    sizes, *programs = stub.released
    assert sizes.startswith("sizes-")
    assert sorted(programs) == ["s-0", "s-1", "s-2"]
    named = [name for _, name in stub.sessions]
    assert {name: named.count(name) for name in programs} == dict.fromkeys(programs, 3)


def test_a_name_may_be_deep_in_the_body() -> None:
    options = EndpointOptions(program_field="hint.session.id", fields={"priority": 1})
    endpoint = HttpEndpoint("http://127.0.0.1:1", options)
    assert endpoint.fields("p") == {"priority": 1, "hint": {"session": {"id": "p"}}}


async def test_an_end_that_nobody_wants_to_hear_of_is_no_error(
    engine: tuple[StubEngine, MisbehavingServer],
) -> None:
    _, server = engine
    options = EndpointOptions(program_field="program_id", release_path="/nowhere")
    served = await replayed(server.url, options)
    assert [program.error for program in served.programs] == [None] * 3


async def test_what_fails_once_is_asked_again_and_counted() -> None:
    stub, failed = StubEngine(), False

    async def failing(call: Call) -> None:
        nonlocal failed
        if call.path.endswith("/chat/completions") and len(stub.prompts) == 8 and not failed:
            failed = True
            await call.respond(503, {"error": {"message": "busy"}}, {"Retry-After": "0"})
        else:
            await stub(call)

    async with MisbehavingServer(failing) as server:
        served = await replayed(server.url, client=ClientOptions(programs_at_once=1))
    assert [program.error for program in served.programs] == [None] * 3
    assert sorted(call.attempts for call in served.calls) == [1] * 8 + [2]


@pytest.mark.parametrize(
    "rubbish",
    [
        answer(200, b"<html>no completion</html>"),
        answer(200, {"choices": []}),
        answer(400, {"error": {"message": "no"}}),
        stream("{", "[DONE]"),
        stream({"choices": [{"index": 0, "delta": {"content": "a"}}]}, cut=True),
        stream({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, "[DONE]"),
    ],
    ids=["html", "no choices", "refused", "no JSON", "cut", "no usage"],
)
async def test_rubbish_ends_the_program_that_got_it_and_no_other(rubbish: Behaviour) -> None:
    stub = StubEngine()

    async def spoiling(call: Call) -> None:
        is_chat = call.path.endswith("/chat/completions")
        await (rubbish if is_chat and call.json.get("program_id") == "s-1" else stub)(call)

    async with MisbehavingServer(spoiling) as server:
        served = await replayed(server.url, EndpointOptions(program_field="program_id"))
    assert [program.finished_s is None for program in served.programs] == [False, True, False]
    assert [program.error is None for program in served.programs] == [True, False, True]
    assert isinstance(served.programs[1].error, BackendError)


async def test_a_server_that_hangs_is_left_when_a_call_has_taken_its_time() -> None:
    stub = StubEngine()

    async def hanging(call: Call) -> None:
        if call.path.endswith("/chat/completions") and len(stub.prompts) >= 4:
            await call.reader.read()
        else:
            await stub(call)

    async with MisbehavingServer(hanging) as server:
        options = EndpointOptions(timeout_s=0.2)
        client = ClientOptions(timeout_s=0.2, retries=0)
        served = await replayed(server.url, options, client=client)
    assert {type(program.error).__name__ for program in served.programs} == {"BackendTimeout"}


async def test_which_model_is_asked_where_several_are_served() -> None:
    stub = StubEngine()
    async with MisbehavingServer(stub, models=answer(200, LISTED)) as server:
        with pytest.raises(RequestRejected, match="serves m, n: say which model to ask for"):
            await replayed(server.url)
        served = await replayed(server.url, EndpointOptions(model="m"))
        assert served.programs[0].error is None
        with pytest.raises(RequestRejected, match="no model n"):
            await replayed(server.url, EndpointOptions(model="n"))


@pytest.mark.parametrize(
    "models",
    [
        answer(404, {"error": {"message": "no such page"}}),
        answer(200, {"object": "list", "data": [{"id": "unknown", "object": "model"}]}),
    ],
    ids=["none", "a wrong one"],
)
async def test_a_model_that_is_named_needs_no_right_list(models: Behaviour) -> None:
    async with MisbehavingServer(StubEngine(), models=models) as server:
        served = await replayed(server.url, EndpointOptions(model="m"))
        assert served.programs[0].error is None
        with pytest.raises(RequestRejected, match="does not serve 'x'"):
            await replayed(server.url, EndpointOptions(model="x"))


@pytest.mark.parametrize("url", ["local", "replay:file", "ftp://host", "http://u:p@host"])
def test_what_is_no_server_over_http_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        HttpEndpoint(url)


async def test_several_servers_get_programs_in_turn_and_keep_them() -> None:
    stubs = StubEngine(), StubEngine()
    async with MisbehavingServer(stubs[0]) as one, MisbehavingServer(stubs[1]) as two:
        endpoints = [
            HttpEndpoint(each.url, EndpointOptions(program_field="program_id"))
            for each in (one, two)
        ]
        try:
            for endpoint in endpoints:
                await endpoint.open()
            sizes = await endpoints[0].sizes()
            before = [len(stub.sessions) for stub in stubs]
            await replay_as_client(
                WORKLOAD,
                Dealt(endpoints),
                sizes,
                clock=SystemClock(),
                options=ClientOptions(salt="s"),
            )
            servers = Servers([one.url, two.url])
            await servers.idle()
            computed = await servers.computed_tokens()
        finally:
            for endpoint in endpoints:
                await endpoint.aclose()
    named = [
        {name for _, name in stub.sessions[at:]} for stub, at in zip(stubs, before, strict=True)
    ]
    assert named == [{"s-0", "s-2"}, {"s-1"}]
    assert computed == sum(stub.looked_up - stub.found for stub in stubs)
