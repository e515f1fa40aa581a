"""The real `openai` client against agentrt, without a socket."""

from __future__ import annotations

import asyncio

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from agentrt.backends.base import OnChunk
from agentrt.backends.loopback import openai_client
from agentrt.backends.scripted import Script, ScriptedBackend
from agentrt.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ContextOverflow,
    InputError,
    InvalidAnswer,
    InvariantError,
    LimitExceeded,
    ModelUnavailable,
    RateLimited,
    ReplayMismatch,
    RequestRejected,
)
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Chunk, Completion, Message, Request, ToolCall, Usage
from agentrt.ir.tool import ToolSpec

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
CALL = ToolCall("c1", "search", '{"q": 1}')


def client_of(script: str | Script) -> tuple[openai.AsyncOpenAI, ScriptedBackend]:
    backend = ScriptedBackend(script, model="m")

    async def complete(request: Request, on_chunk: OnChunk | None) -> Completion:
        return await backend.complete(request, on_chunk=on_chunk)

    return openai_client(complete), backend


async def test_a_completion_arrives_as_openai_shapes_it() -> None:
    said = Completion(
        text="hello",
        tool_calls=(CALL,),
        finish_reason="tool_calls",
        usage=Usage(10, 4, 3),
        model="m",
    )
    client, _ = client_of([said])
    async with client:
        answer = await client.chat.completions.create(model="", messages=HI)

    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason, answer.model) == (
        "hello",
        "tool_calls",
        "m",
    )
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].model_dump() == {
        "id": "c1",
        "type": "function",
        "function": {"name": "search", "arguments": '{"q": 1}'},
    }
    assert answer.usage is not None
    assert answer.usage.total_tokens == 13
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 4


async def test_a_stream_arrives_in_pieces_with_tool_calls_and_usage() -> None:
    said = Completion(
        text="two words", tool_calls=(CALL,), finish_reason="tool_calls", usage=Usage(10, 4, 3)
    )
    client, _ = client_of([said])
    text, calls, reasons, usages = "", [], [], []
    async with client:
        stream = await client.chat.completions.create(
            model="m", messages=HI, stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            usages += [chunk.usage] if chunk.usage else []
            for choice in chunk.choices:
                text += choice.delta.content or ""
                calls += choice.delta.tool_calls or []
                reasons += [choice.finish_reason] if choice.finish_reason else []

    assert text == "two words"
    assert [(c.index, c.id, c.function and c.function.arguments) for c in calls] == [
        (0, "c1", '{"q": 1}')
    ]
    assert reasons == ["tool_calls"]
    assert [usage.total_tokens for usage in usages] == [13]


async def test_text_that_was_not_streamed_still_arrives() -> None:
    async def complete(request: Request, on_chunk: OnChunk | None) -> Completion:
        return Completion(text="all at once")

    async with openai_client(complete) as client:
        stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
        text = "".join([c.choices[0].delta.content or "" async for c in stream])

    assert text == "all at once"


async def test_pieces_arrive_while_the_answer_is_being_written() -> None:
    go_on = asyncio.Event()

    async def complete(request: Request, on_chunk: OnChunk | None) -> Completion:
        assert on_chunk is not None
        on_chunk(Chunk("first"))
        await go_on.wait()
        return Completion(text="first second")

    async with openai_client(complete) as client:
        stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
        seen: list[str] = []
        async for chunk in stream:
            seen.append(chunk.choices[0].delta.content or "")
            if seen == ["", "first"]:
                go_on.set()

    assert seen == ["", "first", " second", ""]


async def test_a_request_arrives_with_all_it_says() -> None:
    client, backend = client_of("x")
    async with client:
        await client.chat.completions.create(
            model="gpt",
            messages=[
                {"role": "developer", "content": "be brief"},
                {"role": "user", "content": [{"type": "text", "text": "a"}]},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "c1",
                            "type": "function",
                            "function": {"name": "search", "arguments": "{"},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "found"},
            ],
            tools=[
                {
                    "type": "function",
                    "function": {"name": "search", "description": "d", "parameters": {"a": 1}},
                }
            ],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}},
            },
            max_completion_tokens=9,
            temperature=0.5,
            stop="END",
            seed=3,
            top_p=0.25,
            tool_choice="auto",
            extra_body={"guided_regex": "a+"},
        )

    assert backend.requests == [
        Request(
            messages=(
                Message("system", "be brief"),
                Message("user", "a"),
                Message("assistant", "", (ToolCall("c1", "search", "{"),)),
                Message("tool", "found", tool_call_id="c1"),
            ),
            tools=(ToolSpec(name="search", description="d", parameters={"a": 1}),),
            output_schema={"type": "object"},
            options=LLMOptions(model="gpt", max_tokens=9, temperature=0.5, stop=("END",), seed=3),
            extra={"top_p": 0.25, "tool_choice": "auto", "guided_regex": "a+"},
        )
    ]


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (RateLimited("slow"), openai.RateLimitError, 429),
        (BackendUnavailable("gone"), openai.InternalServerError, 503),
        (BackendTimeout("late"), openai.InternalServerError, 504),
        (InvalidAnswer("odd"), openai.InternalServerError, 502),
        (ContextOverflow("long"), openai.BadRequestError, 400),
        (RequestRejected("bad"), openai.BadRequestError, 400),
        (RequestRejected("key", status=401), openai.AuthenticationError, 401),
        (RequestRejected("no", status=403), openai.PermissionDeniedError, 403),
        (RequestRejected("who", status=404), openai.NotFoundError, 404),
        (ModelUnavailable("where"), openai.NotFoundError, 404),
        (InputError("what"), openai.BadRequestError, 400),
        (ReplayMismatch("not recorded"), openai.InternalServerError, 500),
        (BackendError("some"), openai.InternalServerError, 500),
        (LimitExceeded("turns", limit="max_turns"), openai.InternalServerError, 500),
        (InvariantError("a bug"), openai.InternalServerError, 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
async def test_errors_arrive_as_openais(
    error: Exception, kind: type[openai.APIStatusError], status: int, is_streamed: bool
) -> None:
    client, backend = client_of([error])
    async with client:
        with pytest.raises(kind) as caught:
            await client.chat.completions.create(model="m", messages=HI, stream=is_streamed)

    assert caught.value.status_code == status
    assert caught.value.type == type(error).__name__
    assert str(error) in caught.value.message
    assert len(backend.requests) == 1


async def test_how_long_to_wait_is_passed_on() -> None:
    client, _ = client_of([RateLimited("slow", retry_after_s=1.5)])
    async with client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="m", messages=HI)
    assert caught.value.response.headers["retry-after"] == "1.5"


@pytest.mark.parametrize(
    "end",
    [BackendUnavailable("broke"), Completion(text="another beginning")],
    ids=["error", "anew"],
)
async def test_what_goes_wrong_in_the_middle_ends_the_stream_with_an_error(
    end: Completion | BackendError,
) -> None:
    async def complete(request: Request, on_chunk: OnChunk | None) -> Completion:
        assert on_chunk is not None
        on_chunk(Chunk("first"))
        if isinstance(end, BackendError):
            raise end
        return end

    async with openai_client(complete) as client:
        stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
        with pytest.raises(openai.APIError, match=r"broke"):
            async for _ in stream:
                pass


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
async def test_cancelling_the_client_cancels_the_request(is_streamed: bool) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def complete(request: Request, on_chunk: OnChunk | None) -> Completion:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()
        raise AssertionError

    async with openai_client(complete) as client:
        asking = asyncio.ensure_future(
            client.chat.completions.create(model="m", messages=HI, stream=is_streamed)
        )
        await began.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert ended.is_set()


async def test_closing_a_stream_or_the_client_cancels_the_request() -> None:
    running = 0

    async def complete(request: Request, on_chunk: OnChunk | None) -> Completion:
        nonlocal running
        assert on_chunk is not None
        on_chunk(Chunk("first"))
        running += 1
        try:
            await asyncio.sleep(3600)
        finally:
            running -= 1
        raise AssertionError

    async with openai_client(complete) as client:
        closed = await client.chat.completions.create(model="m", messages=HI, stream=True)
        left = await client.chat.completions.create(model="m", messages=HI, stream=True)
        assert running == 2
        await closed.close()
        assert running == 1
    assert running == 0
    await left.close()


async def test_who_reads_from_a_client_that_is_closed_gets_an_error_and_is_not_cancelled() -> None:
    async def complete(request: Request, on_chunk: OnChunk | None) -> Completion:
        assert on_chunk is not None
        on_chunk(Chunk("first"))
        await asyncio.sleep(3600)
        raise AssertionError

    async with openai_client(complete) as client:
        stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
        reading = asyncio.create_task(_read_to_its_end(stream))
        await asyncio.sleep(0)
    with pytest.raises(openai.APIConnectionError):
        await reading


async def _read_to_its_end(stream: openai.AsyncStream[ChatCompletionChunk]) -> None:
    async for _ in stream:
        pass


async def test_a_bug_in_between_is_not_swallowed() -> None:
    client, _ = client_of([ZeroDivisionError()])
    async with client:
        with pytest.raises(ZeroDivisionError):
            await client.chat.completions.create(model="m", messages=HI)


async def test_models_are_listed_and_nothing_else_is_served() -> None:
    async def complete(request: Request, on_chunk: OnChunk | None) -> Completion:
        raise AssertionError

    async def models() -> list[str]:
        return ["a", "b"]

    async with openai_client(complete, models=models) as client:
        assert [model.id async for model in client.models.list()] == ["a", "b"]
        with pytest.raises(openai.NotFoundError, match=r"POST /v1/embeddings is not served here"):
            await client.embeddings.create(model="m", input="x")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"messages": []}, None),
        ({"messages": None}, "messages: a list is needed"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "no role 'robot'"),
        ({"messages": [{"role": "user", "content": 3}]}, "a text is needed"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "only text can be sent",
        ),
        ({"n": 2}, "one choice"),
        ({"tools": [{"type": "custom"}]}, "only functions"),
        ({"temperature": "hot"}, "temperature: 'hot' is of the wrong type"),
        ({"max_tokens": True}, "max_tokens: 'True' is of the wrong type"),
    ],
)
async def test_what_cannot_be_carried_is_refused(
    fields: dict[str, object], said: str | None
) -> None:
    client, _ = client_of("x")
    async with client:
        asking = client.chat.completions.create(model="m", messages=HI, extra_body=fields)
        if said is None:
            await asking
        else:
            with pytest.raises(openai.BadRequestError, match=said):
                await asking


async def test_the_environments_keys_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, "secret-value")
    client, _ = client_of("x")
    async with client:
        answer = await client.chat.completions.with_raw_response.create(model="m", messages=HI)
        assert "secret-value" not in str(dict(answer.http_request.headers))
        assert "secret-value" not in str(answer.http_request.url)
