"""`agentrt prefix` and `agentrt prefix check`, as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.conftest import Shell
from tests.e2e.stub_engine import serving
from tests.integration.misbehaving_server import Call, MisbehavingServer, completion

Flow = Callable[[str], str]
QUESTIONS = json.dumps([f"What is {number}?" for number in range(6)])


async def _answered(call: Call) -> None:
    """One word, which is another where the prompt begins otherwise."""
    asked = call.json["messages"] if call.path.endswith("/chat/completions") else ""
    if not isinstance(asked, list):  # it is asked beforehand what it takes
        await call.respond(400, {"error": {"message": "no"}})
        return
    begins = asked[0]["content"][:3]
    usage = {"prompt_tokens": 100, "completion_tokens": 1}
    await call.respond(200, {**completion(f"{begins}."), "usage": usage})


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with serving(_answered) as served:
        yield served


def _run(agentrt: Shell, target: str, server: MisbehavingServer, *words: str) -> str:
    done = agentrt("run", target, *words, "--backend", f"openai+{server.url}", "--json", "--quiet")
    assert done.code == 0, done.stderr
    return str(done.json["run_id"])


def test_a_target_says_what_ends_the_part_that_all_runs_share(agentrt: Shell, flow: Flow) -> None:
    shown = agentrt("prefix", flow("clock_flow:clock"))
    assert (shown.code, shown.stderr) == (0, "")
    assert "answer  6 of 488 known characters (layout S1)" in shown.stdout
    assert 'layout="S2" would make it' in shown.stdout
    prompts = agentrt("prefix", flow("clock_flow:clock"), "--json").json["prompts"]
    assert {(each["prefix_characters"], each["place"]) for each in prompts} == {(6, "system")}


def test_a_run_says_what_broke_and_a_check_whether_the_other_form_answers_otherwise(
    agentrt: Shell, flow: Flow, server: MisbehavingServer
) -> None:
    target = flow("clock_flow:clock")
    first = _run(agentrt, target, server, "--questions", QUESTIONS)
    second = _run(agentrt, target, server, "--questions", QUESTIONS)
    shown = agentrt("prefix", second[:8])
    assert shown.code == 0, shown.stderr
    assert f"counting what run {first} had computed" in shown.stdout
    assert "a timestamp in the slot {now" in shown.stdout
    assert r"'one word. \x1euser\nWhat is 4?' became " in shown.stdout
    calls = agentrt("prefix", second, "--json").json["calls"]
    # They ask for the time once, and differ by their questions.
    assert [each["broken"]["kind"] for each in calls] == ["a timestamp", *["a number"] * 5]

    backend = ("--backend", f"openai+{server.url}")
    checked = agentrt("prefix", "check", target, "--run", first, *backend)
    assert checked.code == 1, checked.stderr
    assert f"6 calls of run {first}" in checked.stdout
    assert "6 answered in another way; asked twice as written, 0 did" in checked.stdout
    assert checked.stdout.endswith("the answers differ beyond the model's own noise\n")
    few = agentrt("prefix", "check", target, "--limit", "4", "--json", *backend)
    assert (few.code, few.json["inputs"], few.json["is_decidable"]) == (0, 4, False)


def test_a_run_of_another_workflow_is_told_and_not_taken_for_one_with_nothing_to_move(
    agentrt: Shell, flow: Flow, server: MisbehavingServer
) -> None:
    run_id = _run(agentrt, flow("clock_flow:other"), server, "--question", "What?")
    checked = agentrt("prefix", "check", flow("clock_flow:clock"), "--run", run_id)
    assert (checked.code, checked.stdout) == (2, "")
    assert f"run {run_id} is one of other, not of clock" in checked.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check",), "check takes one TARGET"),
        (("one.py", "two.py"), "'two.py' is one word too many"),
        (("one.py", "--run", "3f"), "--run, --backend and --model are for check alone"),
        (("one.py", "--model", "m"), "--run, --backend and --model are for check alone"),
    ],
)
def test_words_that_do_not_go_together_are_told(
    agentrt: Shell, words: tuple[str, ...], said: str
) -> None:
    done = agentrt("prefix", *words)
    assert (done.code, done.stdout) == (2, "")
    assert said in done.stderr
    assert agentrt("prefix", *words, "--json").json["error"]["message"] == said
