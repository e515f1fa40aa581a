"""`agentrt serve` as an operator has it, in front of the embedded engine, for the `openai` package."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from agentrt.backends import models
from agentrt.backends.embedded_engine import Engine, EngineSettings
from tests.e2e.conftest import NOBODY, Shell, wait_for

SECRET = "the plan is to sail at dawn"  # noqa: S105  a prompt, that is nobody else's
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


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    found = Engine(EngineSettings(model=models.pull("smollm2-135m"), slots=2, context_tokens=2048))
    yield found
    found.close()


@dataclass
class Served:
    process: subprocess.Popen[str]
    told: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.told["base_url"])

    @property
    def model(self) -> str:
        return str(self.told["replicas"][0]["models"][0])

    def client(self, key: str = "none") -> OpenAI:
        return OpenAI(base_url=self.url, api_key=key, max_retries=0)

    def page(self, path: str, key: str = "none") -> httpx2.Response:
        url = self.url.removesuffix("/v1") + path
        return httpx2.get(url, trust_env=False, headers={"Authorization": f"Bearer {key}"})


def serve(agentrt: Shell, *words: str) -> Served:
    process = agentrt.start("serve", "--json", "--port", "0", *words)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        pytest.fail(agentrt.finish(process).stderr)
    return Served(process, json.loads(line))


def settings(agentrt: Shell, engine: Engine, more: str = "") -> list[str]:
    """A file with the engine and its key, as words for the command line."""
    (agentrt.folder / "engine.key").write_text(engine.api_key + "\n")
    path = agentrt.folder / "gateway.toml"
    path.write_text(
        f"drain_s = 20\n{more}\n"
        f'[[replica]]\nurl = "{engine.url}"\napi_key_file = "{agentrt.folder}/engine.key"\n'
    )
    return ["--config", str(path)]


def tenant(agentrt: Shell, name: str, more: str = "") -> tuple[str, str]:
    """A new key, and the lines of the file."""
    made = agentrt("keys", "new", name, "--json").json
    return str(made["key"]), f"{made['toml']}\n{more}\n"


def stop(agentrt: Shell, served: Served) -> str:
    """What it has logged, once it is gone."""
    served.process.send_signal(signal.SIGTERM)
    done = agentrt.finish(served.process)
    assert done.code == 0, done.stderr
    return done.stderr


def ask(client: OpenAI, model: str, text: str, *, max_tokens: int = 8) -> str:
    completion = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], max_tokens=max_tokens
    )
    return completion.choices[0].message.content or ""


def test_the_openai_package_has_all_it_has_from_the_engine_itself(
    agentrt: Shell, engine: Engine
) -> None:
    served = serve(agentrt, *settings(agentrt, engine))
    assert served.told["replicas"][0]["is_up"]
    with served.client() as client:
        assert [model.id for model in client.models.list()] == [served.model]
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hi."}]
        whole = client.chat.completions.create(
            model=served.model, messages=messages, max_tokens=8, temperature=0, seed=1
        )
        chunks = list(
            client.chat.completions.create(
                model=served.model,
                messages=messages,
                max_tokens=8,
                temperature=0,
                seed=1,
                stream=True,
            )
        )
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert streamed == whole.choices[0].message.content != ""
        # It asked for no usage, so it has none, though the gateway did.
        assert [chunk.usage for chunk in chunks if chunk.usage is not None] == []
        assert whole.usage is not None
        assert (whole.usage.completion_tokens, whole.model) == (8, served.model)

        called: list[ChatCompletionMessageParam] = [
            {"role": "user", "content": "How is the weather in Rome?"},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "call-1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call-1", "content": "Sunny, 25 degrees."},
        ]
        with_tools = client.chat.completions.create(
            model=served.model, messages=called, tools=TOOLS, max_tokens=8
        )
        assert with_tools.usage is not None
        assert with_tools.usage.completion_tokens > 0
        response = client.responses.create(
            model=served.model, input="Say hi.", max_output_tokens=16
        )
        assert response.output_text
        with pytest.raises(openai.NotFoundError, match="no replica serves the model 'nope'"):
            ask(client, "nope", "Hi")
        # What the engine refuses, it refuses in its own words.
        with pytest.raises(openai.APIStatusError, match="embeddings"):
            client.embeddings.create(model=served.model, input="x")
    for path in ("/health", "/ready", "/metrics", "/programs"):
        assert served.page(path).status_code == 200
    stop(agentrt, served)


def test_keys_let_in_their_tenants_and_are_in_nothing_that_people_read(
    agentrt: Shell, engine: Engine
) -> None:
    acme, first = tenant(agentrt, "acme", "requests_per_minute = 2")
    zeta, second = tenant(agentrt, "zeta")
    words = settings(agentrt, engine)
    with (agentrt.folder / "gateway.toml").open("a") as file:
        file.write(first + second)
    served = serve(agentrt, *words, "--verbose")
    assert (served.told["tenants"], served.told["is_open"]) == (["acme", "zeta"], False)
    with served.client("agentrt-wrong") as nobody:
        with pytest.raises(openai.AuthenticationError) as caught:
            ask(nobody, served.model, "Hi")
        assert caught.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            nobody.models.list()
    with served.client(acme) as client:
        ask(client, served.model, SECRET)
        ask(client, served.model, SECRET)
        with pytest.raises(openai.RateLimitError) as refused:
            ask(client, served.model, SECRET)
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 61
        assert refused.value.code == "rate_limit_exceeded"
    with served.client("none") as other:
        other.chat.completions.create(
            model=served.model,
            messages=[{"role": "user", "content": "Hi"}],
            max_tokens=1,
            extra_headers={"Authorization": "", "x-api-key": zeta},
        )
    assert served.page("/programs").status_code == 401
    pages = [served.page(path, zeta).text for path in ("/programs", "/metrics", "/v1/models")]
    shown = "\n".join([*pages, json.dumps(served.told), stop(agentrt, served)])
    assert "tenant acme" in shown
    for secret in (acme, zeta, "agentrt-wrong", engine.api_key, SECRET):
        assert secret not in shown


def test_a_budget_that_is_used_up_is_so_after_a_restart(agentrt: Shell, engine: Engine) -> None:
    key, lines = tenant(agentrt, "acme", "budget_tokens = 20")
    words = settings(agentrt, engine, 'store = "gateway.db"')
    with (agentrt.folder / "gateway.toml").open("a") as file:
        file.write(lines)
    served = serve(agentrt, *words)
    with served.client(key) as client:
        ask(client, served.model, "Say hi.")
    stop(agentrt, served)
    served = serve(agentrt, *words)
    with served.client(key) as client, pytest.raises(openai.RateLimitError) as refused:
        ask(client, served.model, "Say hi.")
    assert refused.value.code == "insufficient_quota"
    stop(agentrt, served)


def test_prompts_are_logged_when_that_is_asked_for(agentrt: Shell, engine: Engine) -> None:
    served = serve(agentrt, *settings(agentrt, engine), "--log-prompts")
    with served.client() as client:
        ask(client, served.model, SECRET)
    assert f"user: {SECRET!r}" in stop(agentrt, served)


def test_sigterm_lets_answers_end_and_takes_no_more(agentrt: Shell, engine: Engine) -> None:
    served = serve(agentrt, *settings(agentrt, engine))
    with served.client() as client:
        stream = client.chat.completions.create(
            model=served.model,
            messages=[{"role": "user", "content": "Count."}],
            max_tokens=60,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True},
        )
        chunks = iter(stream)
        for _ in range(3):
            next(chunks)
        served.process.send_signal(signal.SIGTERM)
        wait_for(lambda: served.page("/ready").status_code == 503, "it drains")
        with pytest.raises(openai.InternalServerError) as refused:
            ask(client, served.model, "Hi")
        assert (refused.value.status_code, refused.value.code) == (503, "stopping")
        rest = list(chunks)
        assert rest[-2].choices[0].finish_reason == "length"
        assert rest[-1].usage is not None
        assert rest[-1].usage.completion_tokens == 60
    done = agentrt.finish(served.process)
    assert done.code == 0
    assert "stopping: 1 requests may take 20 s more" in done.stderr


def test_a_second_sigint_ends_it_at_once(agentrt: Shell, engine: Engine) -> None:
    served = serve(agentrt, *settings(agentrt, engine))
    with served.client() as client:
        stream = client.chat.completions.create(
            model=served.model,
            messages=[{"role": "user", "content": "Count."}],
            max_tokens=1500,
            stream=True,
            extra_body={"ignore_eos": True},
        )
        chunks = iter(stream)
        next(chunks)
        served.process.send_signal(signal.SIGINT)
        wait_for(lambda: served.page("/ready").status_code == 503, "it drains")
        served.process.send_signal(signal.SIGINT)
        with pytest.raises((openai.APIError, httpx2.HTTPError)):
            list(chunks)
    done = agentrt.finish(served.process)
    assert done.code == 130
    assert "Traceback" not in done.stderr


def test_it_starts_where_no_replica_answers_and_says_so(agentrt: Shell) -> None:
    served = serve(agentrt, "--replica", NOBODY)
    (replica,) = served.told["replicas"]
    assert (replica["replica"], replica["is_up"]) == (NOBODY, False)
    assert "nobody answers" in replica["reason"]
    assert served.page("/health").status_code == 200
    assert served.page("/ready").status_code == 503
    stop(agentrt, served)


def test_people_are_told_what_is_served_and_what_to_set(agentrt: Shell, engine: Engine) -> None:
    process = agentrt.start("serve", "--port", "0", *settings(agentrt, engine))
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or "export" not in lines[-1]:
        lines.append(process.stdout.readline().strip())
    served, replica, key, empty, export = lines
    url = served.removeprefix("agentrt serves ")
    assert url.startswith("http://127.0.0.1:")
    assert replica.startswith(f"{engine.url}  up: llama.cpp; ")
    assert replica.endswith("; 4,096 KV tokens; 2 calls at once")
    assert (key, empty, export) == ("no key is asked for", "", f"export OPENAI_BASE_URL={url}")
    process.send_signal(signal.SIGINT)
    assert agentrt.finish(process).code == 0
