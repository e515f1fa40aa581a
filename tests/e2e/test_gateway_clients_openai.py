"""The `openai` package, unchanged: what it has from an engine, it has through the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from agentrt.backends import models
from agentrt.backends.embedded_engine import Engine, EngineSettings
from tests.e2e.conftest import Shell, wait_for
from tests.e2e.gateway_clients import MODEL, Gateway, Say, ToolCallingModel, gateway_before
from tests.e2e.stub_engine import serving

Json = Any
VOLATILE = {"id", "item_id", "created", "created_at", "completed_at", "cached_tokens", "timings"}
"""Fields that are another with each answer of the embedded engine."""
HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hi."}]
CITIES = ("Paris", "Rome")
SCRIPT = (
    Say(calls=tuple(("weather", {"city": city}) for city in CITIES)),
    Say("I look once more.", (("weather", {"city": "Oslo"}),)),
    Say("It will sleet everywhere."),
)
TOOLS: list[ChatCompletionToolParam] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


class Sight(BaseModel):
    city: Literal["Rome", "Paris"]
    is_old: bool


@dataclass
class World:
    """A gateway before the embedded engine and a scripted one."""

    engine: Engine
    scripted: ToolCallingModel
    gateway: Gateway
    direct: OpenAI
    client: OpenAI

    @property
    def model(self) -> str:
        """The embedded engine's."""
        return self.direct.models.list().data[0].id

    def both(self, ask: Callable[[OpenAI], Json]) -> tuple[Json, Json]:
        """What the engine says, and what comes of the same through the gateway."""
        return alike(ask(self.direct)), alike(ask(self.client))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    shell = Shell(tmp_path_factory.mktemp("openai"))
    engine = Engine(EngineSettings(model=models.pull("smollm2-135m"), slots=2, context_tokens=2048))
    scripted = ToolCallingModel(SCRIPT)
    with serving(scripted) as server:
        gateway = gateway_before(shell, engine, server)
        # The engine drops connections that were idle for some seconds, which a retry makes up for.
        direct = OpenAI(base_url=f"{engine.url}/v1", api_key=engine.api_key)
        client = OpenAI(base_url=gateway.url, api_key="none")
        with direct, client:
            yield World(engine, scripted, gateway, direct, client)
        for process in shell.processes:
            process.terminate()
            shell.finish(process)
    engine.close()


@pytest.fixture
def world(started: World) -> World:
    started.gateway.forget()
    started.scripted.said.clear()
    started.scripted.requests.clear()
    return started


def alike(value: Json) -> Json:
    """Without what is another each time; that it is there is kept."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, dict):
        return {key: None if key in VOLATILE else alike(one) for key, one in value.items()}
    return [alike(one) for one in value] if isinstance(value, list) else value


def test_answers_are_the_engines_own(world: World) -> None:
    def chat(client: OpenAI) -> Json:
        return client.chat.completions.create(
            model=world.model, messages=HI, max_tokens=8, temperature=0, logprobs=True
        )

    def completion(client: OpenAI) -> Json:
        return client.completions.create(
            model=world.model, prompt="Once upon", max_tokens=8, temperature=0
        )

    def response(client: OpenAI) -> Json:
        return client.responses.create(
            model=world.model, input="Say hi.", max_output_tokens=8, temperature=0
        )

    for ask in (chat, completion, response):
        direct, through = world.both(ask)
        assert through == direct
    assert world.gateway.until_all_ended() == [("idle", 1)] * 3


def test_streams_are_the_engines_own_event_by_event(world: World) -> None:
    def chat(client: OpenAI) -> Json:
        with client.chat.completions.create(
            model=world.model, messages=HI, max_tokens=8, temperature=0, stream=True
        ) as stream:
            return list(stream)

    def counted(client: OpenAI) -> Json:
        with client.chat.completions.create(
            model=world.model,
            messages=HI,
            max_tokens=8,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            return list(stream)

    def completion(client: OpenAI) -> Json:
        with client.completions.create(
            model=world.model, prompt="Once upon", max_tokens=8, temperature=0, stream=True
        ) as stream:
            return list(stream)

    def response(client: OpenAI) -> Json:
        with client.responses.create(
            model=world.model, input="Say hi.", max_output_tokens=8, temperature=0, stream=True
        ) as stream:
            return list(stream)

    direct, through = world.both(chat)
    # This engine has its timings in the chunk with the usage, where that is asked for: the gateway
    # does, and this client, which did not, gets neither.
    del direct[-1]["timings"]
    assert through == direct
    for ask in (counted, completion, response):
        direct, through = world.both(ask)
        assert len(direct) > 8
        assert through == direct


def test_structured_output_is_what_it_was_asked_to_be(world: World) -> None:
    def ask(client: OpenAI) -> Sight | None:
        answer = client.chat.completions.parse(
            model=world.model,
            messages=[{"role": "user", "content": "Which city?"}],
            response_format=Sight,
            max_tokens=60,
            temperature=0,
        )
        return answer.choices[0].message.parsed

    direct, through = ask(world.direct), ask(world.client)
    assert isinstance(through, Sight)
    assert through == direct


def test_what_the_engine_refuses_it_refuses_in_its_own_words(world: World) -> None:
    long: list[ChatCompletionMessageParam] = [{"role": "user", "content": "word " * 3000}]

    def overflow(client: OpenAI) -> Json:
        return client.chat.completions.create(model=world.model, messages=long)

    def bad_schema(client: OpenAI) -> Json:
        return client.chat.completions.create(
            model=world.model,
            messages=HI,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "nonsense"}},
            },
        )

    def stored(client: OpenAI) -> Json:
        return client.responses.create(
            model=world.model, input="And then?", previous_response_id="resp_1"
        )

    def embeddings(client: OpenAI) -> Json:
        return client.with_options(max_retries=0).embeddings.create(model=world.model, input="x")

    for ask, status in ((overflow, 400), (bad_schema, 400), (stored, 400), (embeddings, 501)):
        errors: list[openai.APIStatusError] = []
        for client in (world.direct, world.client):
            with pytest.raises(openai.APIStatusError) as caught:
                ask(client)
            errors.append(caught.value)
        direct, through = errors
        assert type(through) is type(direct)
        assert (through.status_code, through.body) == (status, direct.body)


def test_embeddings_pass(world: World) -> None:
    answer = world.client.embeddings.create(model=MODEL, input=["a", "b"])
    assert [one.embedding for one in answer.data] == [[0.5, -1.0], [0.5, -1.0]]
    assert (
        world.gateway.programs == []
    )  # they leave nothing in a cache: no program is known of them


def test_models_are_listed_and_found_by_name(world: World) -> None:
    listed = [model.id for model in world.client.models.list()]
    assert sorted(listed) == sorted([world.model, MODEL])
    assert [world.client.models.retrieve(name).id for name in listed] == listed
    with pytest.raises(openai.NotFoundError):
        world.client.models.retrieve("nope")


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_loop_with_tools_is_one_program_that_is_seen_in_its_tools(
    world: World, is_streamed: bool
) -> None:
    messages: list[Any] = [{"role": "user", "content": "Compare."}]
    shown: list[tuple[str, int, str]] = []
    got: list[Json] = []
    while not got or got[-1][1]:
        answer = asked(world.client, messages, is_streamed=is_streamed)
        calls = answer.get("tool_calls") or []
        got.append((answer.get("content") or None, calls))
        messages.append(answer)
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": "sleet"} for call in calls
        ]
        if calls:
            (program,) = world.gateway.programs
            shown.append((program["state"], program["turns"], program["why"].split(" for ")[0]))
    assert shown == [("held", 1, "in tools weather"), ("held", 2, "in tool weather")]
    assert got == [
        (said["content"], said.get("tool_calls", []))
        for said in map(message_of, world.scripted.said)
    ]
    assert world.gateway.until_all_ended() == [("idle", 3)]


def asked(client: OpenAI, messages: list[Any], *, is_streamed: bool) -> Json:
    """The message that answers them, as the client would send it back."""
    if not is_streamed:
        whole = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        return whole.choices[0].message.to_dict()
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=TOOLS) as stream:
        message: Json = stream.get_final_completion().choices[0].message.to_dict()
    for call in message.get("tool_calls") or ():
        call.pop("index")
        call["function"].pop("parsed_arguments")
    return message


def message_of(said: Json) -> Json:
    return said["choices"][0]["message"] if "choices" in said else said


def test_fields_that_nobody_knows_reach_the_client(world: World) -> None:
    chat = world.client.chat.completions.create(model=MODEL, messages=HI)
    response = world.client.responses.create(model=MODEL, input="Say hi.")
    assert chat.to_dict() == world.scripted.said[0]
    assert response.to_dict() == world.scripted.said[1]
    assert chat.model_extra == response.model_extra == {"engine_only": {"step": 0}}


def refused(task: str) -> list[ChatCompletionMessageParam]:
    """A conversation that the scripted engine will refuse to go on with for a while."""
    call_id = f"call-0-{uuid4().hex}"
    return [
        {"role": "user", "content": f"{task} [refused]"},
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": call_id,
                    "type": "function",
                    "function": {"name": "weather", "arguments": "{}"},
                }
            ],
        },
        {"role": "tool", "tool_call_id": call_id, "content": "sleet"},
    ]


def test_a_client_that_is_told_to_come_again_does_and_is_one_program(world: World) -> None:
    asking_once = world.client.with_options(max_retries=0)
    with pytest.raises(openai.RateLimitError) as caught:
        asking_once.chat.completions.create(model=MODEL, messages=refused("Go on."), tools=TOOLS)
    headers = caught.value.response.headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "20")
    assert caught.value.body == {"message": "slow down", "type": "rate_limit_error", "code": "busy"}
    assert world.gateway.until_all_ended() == [("abandoned", 0)]

    world.gateway.forget()
    world.scripted.requests.clear()
    answer = world.client.chat.completions.create(
        model=MODEL, messages=refused("Go on, do."), tools=TOOLS
    )
    assert answer.to_dict() == world.scripted.said[-1]
    assert len(world.scripted.requests) == 4
    (program,) = world.gateway.programs
    assert (program["turns"], program["why"].split(" for ")[0]) == (1, "in tool weather")
    world.gateway.end(program["program_id"])


def test_a_stream_that_its_client_leaves_is_over_at_the_engine(world: World) -> None:
    url, headers = f"{world.engine.url}/slots", {"Authorization": f"Bearer {world.engine.api_key}"}

    def busy() -> int:
        slots = httpx2.get(url, headers=headers, trust_env=False).json()
        return sum(slot["is_processing"] for slot in slots)

    with world.client.chat.completions.create(
        model=world.model,
        messages=[{"role": "user", "content": "Count."}],
        max_tokens=1900,
        stream=True,
        extra_body={"ignore_eos": True},
    ) as stream:
        next(iter(stream))
        assert busy() == 1
    wait_for(lambda: busy() == 0, "the engine is told")
    assert world.gateway.until_all_ended() == [("abandoned", 0)]


async def test_a_request_that_is_cancelled_is_over_at_the_engine(world: World) -> None:
    went = len(world.scripted.went_at)
    hanging = world.scripted.hanging
    async with AsyncOpenAI(base_url=world.gateway.url, api_key="none") as client:
        asking = asyncio.create_task(
            client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "Wait [hanging]."}]
            )
        )
        while world.scripted.hanging == hanging:  # noqa: ASYNC110  it runs in another thread
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    wait_for(lambda: len(world.scripted.went_at) > went, "the engine is told")
    assert world.gateway.until_all_ended() == [("abandoned", 0)]
