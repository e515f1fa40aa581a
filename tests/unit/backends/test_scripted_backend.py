from __future__ import annotations

import asyncio

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.errors import RateLimited, RequestRejected
from agentrt.ir.request import Chunk, Completion, Message, Request, ToolCall, Usage
from agentrt.ir.tool import ToolSpec


def ask(text: str = "hello", *, node_id: str = "") -> Request:
    return Request(messages=(Message("user", text),), node_id=node_id)


async def test_a_string_answers_every_request() -> None:
    backend = ScriptedBackend("yes")

    assert [(await backend.complete(ask())).text for _ in range(3)] == ["yes"] * 3


async def test_a_list_is_used_in_order_and_then_says_that_it_is_used_up() -> None:
    backend = ScriptedBackend(["one", "two"])

    assert (await backend.complete(ask())).text == "one"
    assert (await backend.complete(ask())).text == "two"
    with pytest.raises(RequestRejected, match=r"2 answers, all used up.*'n'") as caught:
        await backend.complete(ask(node_id="n"))
    assert not caught.value.retryable


async def test_an_exception_in_the_script_is_raised() -> None:
    backend = ScriptedBackend([RateLimited("slow down", retry_after_s=1.5), "now"])

    with pytest.raises(RateLimited, match="slow down"):
        await backend.complete(ask())
    assert (await backend.complete(ask())).text == "now"


async def test_a_function_sees_the_request_and_may_be_async() -> None:
    async def shout(request: Request) -> str:
        await asyncio.sleep(0)
        return request.messages[-1].content.upper()

    assert (await ScriptedBackend(shout).complete(ask("hey"))).text == "HEY"
    assert (await ScriptedBackend(lambda r: r.node_id).complete(ask(node_id="a"))).text == "a"


@pytest.mark.parametrize(
    ("node_id", "answer"),
    [
        ("search[2].queries", "exact"),
        ("search[1].queries", "without indices"),
        ("other[1].queries", "by last part"),
        ("other.queries_2", "by last part"),
        ("fix[3].llm", "by region"),
        ("fix_2[0].llm", "by region"),
    ],
)
async def test_a_mapping_is_looked_up_from_particular_to_general(node_id: str, answer: str) -> None:
    backend = ScriptedBackend(
        {
            "fix": "by region",
            "queries": "by last part",
            "search.queries": "without indices",
            "search[2].queries": "exact",
        }
    )

    assert (await backend.complete(ask(node_id=node_id))).text == answer


async def test_a_mapping_may_hold_lists() -> None:
    backend = ScriptedBackend({"a": ["1", "2"], "b": "same"})

    texts = [(await backend.complete(ask(node_id=node))).text for node in "abab"]

    assert texts == ["1", "same", "2", "same"]


async def test_a_node_without_an_answer_is_named_with_what_there_is() -> None:
    backend = ScriptedBackend({"draft": "x", "review": "y"})

    with pytest.raises(RequestRejected, match=r"'publish'.*'draft', 'review'"):
        await backend.complete(ask(node_id="publish"))


async def test_a_typed_answer_is_never_invented() -> None:
    request = Request(messages=(Message("user", "x"),), output_schema={"type": "object"})

    assert (await ScriptedBackend().complete(ask())).text == "ok"
    with pytest.raises(RequestRejected, match="typed answer, and there is no script"):
        await ScriptedBackend().complete(request)


async def test_a_completion_passes_through_with_its_tool_calls_and_usage() -> None:
    call = ToolCall("c1", "search", '{"query": "x"}')
    said = Completion(
        tool_calls=(call,), finish_reason="tool_calls", usage=Usage(9, 3, 4), model="m", ttft_s=0.5
    )

    assert await ScriptedBackend([said]).complete(ask()) == said


async def test_tokens_are_counted_and_shared_prefixes_are_cached_in_blocks() -> None:
    backend = ScriptedBackend("x" * 40)
    system = "s" * 400

    def request(question: str) -> Request:
        return Request(messages=(Message("system", system), Message("user", question)))

    first = (await backend.complete(request("one"))).usage
    second = (await backend.complete(request("two"))).usage
    again = (await backend.complete(request("two"))).usage

    assert first == Usage(prompt_tokens=104, cached_tokens=0, completion_tokens=10)
    assert second == Usage(prompt_tokens=104, cached_tokens=96, completion_tokens=10)
    assert again == Usage(prompt_tokens=104, cached_tokens=96, completion_tokens=10)


async def test_a_prompt_is_never_wholly_cached() -> None:
    backend = ScriptedBackend("x")
    request = ask("y" * (640 - len("\nuser: ")))

    await backend.complete(request)

    assert (await backend.complete(request)).usage == Usage(160, 159, 0)


async def test_tools_come_first_in_the_prefix() -> None:
    backend = ScriptedBackend("x")
    message = (Message("user", "u" * 400),)

    await backend.complete(Request(messages=message))
    with_tools = Request(messages=message, tools=(ToolSpec(name="t"),))

    assert (await backend.complete(with_tools)).usage.cached_tokens == 0


async def test_chunks_add_up_to_the_text() -> None:
    text = "  Two words,\n and more. "
    chunks: list[Chunk] = []

    completion = await ScriptedBackend(text).complete(ask(), on_chunk=chunks.append)

    assert len(chunks) > 2
    assert "".join(chunk.text for chunk in chunks) == completion.text == text


def test_latency_passes_in_virtual_time_and_slots_bound_it() -> None:
    clock = VirtualClock()
    backend = ScriptedBackend("x", latency_s=1000.0, max_concurrency=2)

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(backend.complete(ask()))

    clock.run(main())

    assert clock.now() == 3000.0
    assert backend.peak_concurrency == 5


async def test_a_cancelled_request_frees_its_slot() -> None:
    backend = ScriptedBackend("x", latency_s=lambda r: 60.0 if r.node_id else 0, max_concurrency=1)
    stuck = asyncio.create_task(backend.complete(ask(node_id="slow")))
    await asyncio.sleep(0)
    stuck.cancel()

    assert (await backend.complete(ask())).text == "x"
    assert stuck.cancelled()


async def test_requests_are_kept_in_order() -> None:
    backend = ScriptedBackend("x")
    asked = [ask("a"), ask("b")]
    for request in asked:
        await backend.complete(request)

    assert backend.requests == asked
    assert (await backend.capabilities()).models == ("scripted",)
