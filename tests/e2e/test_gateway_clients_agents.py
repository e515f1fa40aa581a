"""Agents of other frameworks, unchanged, each a process of its own that has the gateway's address and a key."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.backends.loopback import LoopbackTransport
from tests.e2e.conftest import PATIENCE_S, Shell, wait_for
from tests.e2e.gateway_clients import MODEL, Gateway, Say, ToolCallingModel, gateway_before
from tests.e2e.stub_engine import serving
from tests.integration.misbehaving_server import Call, MisbehavingServer, answer

CLIENTS = Path(__file__).parent / "clients"
NEEDED = ("agents", "langchain", "langchain_openai", "minisweagent")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"{', '.join(MISSING)} not installed: make test-clients"
)

REAL = "qwen2.5-coder-1.5b"
BOTH = ["langgraph_agent", "openai_agent"]
ANSWER = "It will sleet in Paris, and again in Rome."
TWO_TOOLS = (
    Say(calls=(("weather", {"city": "Paris"}),)),
    Say("And there?", (("weather", {"city": "Rome"}),)),
    Say(ANSWER),
)
LOOK = "import httpx2, os; print(httpx2.get(os.environ['OPENAI_BASE_URL'][:-3] + '/programs').text)"
FIXED = "def double(x):\n    return 2 * x\n"
SUBMIT = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"


@dataclass
class World:
    """A scripted engine with a gateway before it."""

    model: ToolCallingModel
    gateway: Gateway
    folder: Path

    def environment(self) -> dict[str, str]:
        """Base URL and key; and that nothing is to be fetched from, or told to, anybody else."""
        kept = {k: v for k, v in os.environ.items() if not k.upper().endswith("_PROXY")}
        return kept | {
            "OPENAI_BASE_URL": self.gateway.url,
            "OPENAI_API_KEY": "none",
            "HOME": str(self.folder),
            "LANGSMITH_TRACING": "false",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "MSWEA_CONFIGURED": "true",
            "MSWEA_COST_TRACKING": "ignore_errors",
            "MSWEA_GLOBAL_CONFIG_DIR": str(self.folder / "mini"),
        }

    def run(self, client: str, how: str, *tasks: str, model: str = MODEL) -> list[Any]:
        words = [sys.executable, str(CLIENTS / f"{client}.py"), model, how, *tasks]
        done = subprocess.run(  # noqa: S603  our own words
            words,
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=PATIENCE_S * 4,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: list[Any] = json.loads(done.stdout)
        return found

    def start_mini(self, task: str, *, model: str = MODEL) -> subprocess.Popen[str]:
        """mini-swe-agent, in a new repository with a bug."""
        repository = self.folder / "repository"
        repository.mkdir()
        (repository / "double.py").write_text("def double(x):\n    return 3 * x\n")
        for words in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", *words], cwd=repository, check=True)  # noqa: S603, S607  ours
        return subprocess.Popen(  # noqa: S603  our own words
            [
                str(Path(sys.executable).with_name("mini")),
                *("-m", f"openai/{model}", "-t", task, "-y", "--exit-immediately"),
                *("-o", str(self.folder / "trajectory.json")),
            ],
            cwd=repository,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def world(agentrt: Shell) -> Iterator[World]:
    model = ToolCallingModel(TWO_TOOLS)
    with serving(model) as server:
        yield World(model, gateway_before(agentrt, server), agentrt.folder)


def shown_in_tools(texts: list[str]) -> list[tuple[str, int, str]]:
    """What the tools saw of the only program there was: its state, turns, and what it is said to do."""
    seen = [json.loads(text)["programs"] for text in texts]
    return [
        (one["state"], one["turns"], one["why"].split(" for ")[0])
        for programs in seen
        for one in programs
    ]


def said_and_done(conversation: list[dict[str, Any]]) -> tuple[list[Any], list[str]]:
    """Of a client's own record: texts and calls of the model, and results of tools."""
    said: list[Any] = []
    results: list[str] = []
    for item in conversation:
        kind = item.get("type") or item.get("role")
        if kind == "tool":
            results.append(item["content"])
        elif kind == "function_call_output":
            results.append(item["output"])
        elif kind == "ai":
            said += [item["content"]] if item["content"] else []
            said += [(call["id"], call["name"], call["args"]) for call in item["tool_calls"]]
        elif kind == "function_call":
            said.append((item["call_id"], item["name"], json.loads(item["arguments"])))
        elif kind == "message":
            said += [part["text"] for part in item["content"]]
    return said, results


def said_by(model: ToolCallingModel) -> list[Any]:
    """The same as the engine has it."""
    said: list[Any] = []
    for one in model.said:
        if "output" in one:
            said += said_and_done(one["output"])[0]
            continue
        message = one["choices"][0]["message"]
        said += [message["content"]] if message["content"] else []
        for call in message.get("tool_calls", ()):
            function = call["function"]
            said.append((call["id"], function["name"], json.loads(function["arguments"])))
    return said


@pytest.mark.parametrize(
    ("client", "how"), [(BOTH[0], "answer"), (BOTH[1], "answer"), (BOTH[1], "responses")]
)
def test_an_agent_is_one_program_over_all_its_turns(world: World, client: str, how: str) -> None:
    (conversation,) = world.run(client, how, "Compare the weather.")
    said, results = said_and_done(conversation)
    assert said == said_by(world.model)
    assert said[-1] == ANSWER
    assert shown_in_tools(results) == [
        ("held", 1, "in tool weather"),
        ("held", 2, "in tool weather"),
    ]
    assert world.gateway.until_all_ended() == [("idle", 3)]


@pytest.mark.parametrize("client", BOTH)
def test_agents_at_once_are_a_program_each_streamed_and_refused_in_between(
    world: World, client: str
) -> None:
    tasks = ["Weather!", "Weather?", "Weather, please [refused]."]
    found = world.run(client, "stream", *tasks)
    assert [one["text"] for one in found] == ["And there?" + ANSWER] * 3
    # What was refused reached the client, which has asked again by itself: the engine saw them all.
    assert len(world.model.requests) == 3 * 3 + 3
    assert world.gateway.until_all_ended() == [("idle", 3)] * 3


@pytest.mark.parametrize("client", BOTH)
def test_an_agent_that_breaks_off_its_stream_leaves_nothing_at_the_engine(
    world: World, client: str
) -> None:
    world.model.script = (Say("One two three."),)
    (found,) = world.run(client, "leave", "Count [hanging].")
    wait_for(lambda: world.model.went_at, "the engine is told")
    assert found["text"].startswith("One")
    assert world.gateway.until_all_ended() == [("abandoned", 0)]


def test_mini_swe_agent_is_one_program_over_all_its_turns(world: World) -> None:
    look = f'{sys.executable} -c "{LOOK}"'
    fix = f"printf '{FIXED}' > double.py".replace("\n", "\\n")
    world.model.script = tuple(
        Say(why, (("bash", {"command": command}),))
        for why, command in (("I look.", look), ("I fix it.", fix), ("Done.", SUBMIT))
    )
    process = world.start_mini("double(2) is 6 [refused]")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert (world.folder / "repository" / "double.py").read_text() == FIXED
    trajectory = json.loads((world.folder / "trajectory.json").read_text())
    assert trajectory["info"]["exit_status"] == "Submitted"
    messages = trajectory["messages"]
    got = [one["extra"]["response"] for one in messages if one["role"] == "assistant"]
    assert [one["id"] for one in got] == [one["id"] for one in world.model.said]
    looked = next(one["extra"]["raw_output"] for one in messages if one["role"] == "tool")
    assert shown_in_tools([looked]) == [("held", 1, "in tool bash")]
    assert len(world.model.requests) == 3 + 3
    # It ends with a tool, whose result nobody will bring: it is known to be in that until it expires.
    (program,) = world.gateway.programs
    assert (program["state"], program["turns"]) == ("held", 3)
    assert program["why"].startswith("in tool bash for ")
    world.gateway.end(program["program_id"])
    assert world.gateway.endings == [("ended", 3)]


def test_a_client_that_is_killed_in_mid_answer_leaves_nothing_at_the_engine(world: World) -> None:
    process = world.start_mini("Wait [hanging].")
    wait_for(lambda: world.model.hanging, "it asks")
    process.kill()
    process.communicate()
    wait_for(lambda: world.model.went_at, "the engine is told")
    assert world.gateway.until_all_ended() == [("abandoned", 0)]


# -- a real model ----------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def real_world(shell: Shell) -> AsyncGenerator[World]:
    """The embedded backend, which understands the calls that its small model writes, over HTTP."""
    settings = EmbeddedSettings(slots=1, context_tokens=6144)
    backend = EmbeddedBackend(REAL, settings=settings)
    transport = LoopbackTransport(
        lambda request, on_chunk: backend.complete(request, on_chunk=on_chunk)
    )

    model = ToolCallingModel(())
    listed = {"object": "list", "data": [{"id": REAL, "object": "model", "owned_by": "agentrt"}]}

    async def pass_on(call: Call) -> None:
        asked = httpx2.Request(call.method, f"http://engine{call.path}", content=call.body)
        response = await transport.handle_async_request(asked)
        body = await response.aread()
        if response.status_code == httpx2.codes.OK:  # what the gateway asks for itself is not there
            model.said.append(json.loads(body))
        await call.respond(response.status_code, body)

    try:
        async with MisbehavingServer(pass_on, models=answer(200, listed)) as server:
            gateway = await asyncio.to_thread(gateway_before, shell, server, idle_s=60)
            yield World(model, gateway, shell.folder)
    finally:
        await backend.aclose()


@pytest.mark.slow
async def test_an_agent_with_a_real_model_is_one_program(agentrt: Shell) -> None:
    async with real_world(agentrt) as world:
        task = "What is the weather in Paris?"
        (conversation,) = await asyncio.to_thread(world.run, BOTH[0], "answer", task, model=REAL)
        (program,) = world.gateway.programs
    said, results = said_and_done(conversation)
    assert [call[1:] for call in said[:-1]] == [("weather", {"city": "Paris"})]
    assert shown_in_tools(results) == [("held", 1, "in tool weather")]
    assert said == said_by(world.model)
    assert (program["state"], program["turns"]) == ("held", 2)
    assert program["why"].startswith("has its answer")
