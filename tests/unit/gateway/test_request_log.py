import asyncio
import logging
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.clock import SystemClock
from agentrt.gateway.asked import Asked
from agentrt.gateway.reading import read_request
from agentrt.gateway.request_log import PromptLog, RequestLog, line_of
from agentrt.gateway.services import Answered
from agentrt.gateway.turns import Caller, Forward
from agentrt.ir.hints import Hints
from agentrt.ir.request import Completion, Usage
from agentrt.runtime.pool import Replica

DONE = Answered(
    request_id="req-1",
    endpoint="chat/completions",
    status=200,
    tenant="acme",
    program_id="p-1",
    model="qwen",
    replica_id="vllm+http://gpu0:8000",
    usage=Usage(prompt_tokens=100, cached_tokens=80, completion_tokens=7),
    first_byte_s=0.25,
    total_s=1.5,
)
FAILED = Answered(
    request_id="req-2", endpoint="responses", status=503, code="upstream_unavailable", total_s=2.0
)


def logged(log: RequestLog, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.set_level(logging.INFO, "agentrt.gateway")
    for answered in (DONE, FAILED):
        log.observe(answered)
    return [record.getMessage() for record in caplog.records]


def test_only_what_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(RequestLog(), caplog) == [
        "503 upstream_unavailable responses in all 2.000 s req-2"
    ]


def test_an_answer_that_broke_off_has_failed_and_a_client_that_went_has_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = RequestLog()
    log.observe(replace(DONE, code="upstream_invalid"))
    log.observe(replace(DONE, code="client_gone"))
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("200 upstream_invalid chat/completions qwen ")


def test_every_request_is_when_that_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(RequestLog(is_verbose=True), caplog) == [
        "200 chat/completions qwen tenant acme program p-1 at vllm+http://gpu0:8000 "
        "prompt 100 (cached 80) completion 7 first byte 0.250 s in all 1.500 s req-1",
        "503 upstream_unavailable responses in all 2.000 s req-2",
    ]


class ThreeTimes(SystemClock):
    """Time that goes by at once, and ends."""

    def __init__(self) -> None:
        self._left = 3

    async def sleep(self, seconds: float) -> None:
        if not self._left:
            raise asyncio.CancelledError
        self._left -= 1


async def test_what_requests_come_to_is_logged_where_there_were_any(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "agentrt.gateway")
    log = RequestLog()
    refused = replace(DONE, status=429, code="rate_limit_exceeded")
    gone, broken = (
        replace(DONE, status=499, code="client_gone"),
        replace(DONE, code="internal_error"),
    )
    gone_amid_answer = replace(DONE, code="client_gone")
    for answered in (DONE, DONE, refused, gone, gone_amid_answer, broken, FAILED):
        log.observe(answered)
    with pytest.raises(asyncio.CancelledError):
        await log.keep_summing(ThreeTimes())
    assert [record.getMessage() for record in caplog.records][2:] == [
        "in 60 s: 7 requests, 1 refused, 2 failed, 2 gone, "
        "prompts of 600 tokens, 80% cached, answers of 42"
    ]


class Taken:
    async def take(self, asked: Asked, caller: Caller, forward: Forward) -> Completion:
        return Completion(text=f"{asked.model} for {caller.tenant}")


async def nowhere(replica: Replica, hints: Hints) -> Completion:
    raise AssertionError


async def test_prompts_are_logged_only_where_that_was_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "agentrt.gateway")
    body = b'{"model": "qwen", "messages": [{"role": "user", "content": "the secret\\nplan"}]}'
    asked = read_request("chat/completions", {}, body)
    completion = await PromptLog(Taken()).take(asked, Caller(tenant="acme"), nowhere)
    assert completion.text == "qwen for acme"
    assert [record.getMessage() for record in caplog.records] == ["qwen: user: 'the secret\\nplan'"]


@given(st.text(), st.text())
def test_no_name_of_a_clients_makes_a_line_of_its_own(model: str, program: str) -> None:
    answered = Answered(
        request_id="r", endpoint="responses", status=200, model=model, program_id=program
    )
    assert line_of(answered).isprintable()
