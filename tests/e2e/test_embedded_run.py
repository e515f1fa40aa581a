from collections.abc import Callable

from agentrt.backends.models import pull
from tests.e2e.conftest import Shell

Flow = Callable[[str], str]


def test_a_real_model_answers_and_its_recording_answers_the_same_without_it(
    agentrt: Shell, flow: Flow
) -> None:
    model = f"local:{pull('smollm2-135m')}"
    words = ("run", flow("ask_flow"), "--json", "--quiet")
    asked = agentrt(*words, "--backend", model, "--record", "recording.jsonl")
    run = asked.json
    assert (asked.code, run["status"]) == (0, "finished")
    assert "Paris" in run["output"]
    assert run["usage"]["prompt_tokens"] > 10
    assert 1 <= run["usage"]["completion_tokens"] <= 16
    replayed = agentrt(*words, "--backend", "replay:recording.jsonl").json
    assert (replayed["output"], replayed["usage"]) == (run["output"], run["usage"])


def test_a_terminal_reader_sees_tokens_and_what_one_call_at_a_time_would_cost(
    agentrt: Shell, flow: Flow
) -> None:
    model = f"local:{pull('smollm2-135m')}"
    done = agentrt("run", flow("ask_flow"), "--backend", model)
    assert done.code == 0
    assert "Paris" in done.stdout
    tokens, alone = done.stderr.splitlines()[-2:]
    assert tokens.startswith("tokens: prompt ")
    assert alone.startswith("one call at a time: ")


def test_doctor_finds_the_model_in_this_process_usable(agentrt: Shell) -> None:
    done = agentrt("doctor", f"local:{pull('smollm2-135m')}", "--json")
    assert (done.code, done.json["is_usable"]) == (0, True)
    assert {"reachable", "completion"} <= {check["name"] for check in done.json["checks"]}


def test_doctor_says_what_to_do_where_nobody_answers(agentrt: Shell) -> None:
    done = agentrt("doctor", "http://127.0.0.1:1")
    assert done.code == 1
    assert "missing  reachable" in done.stdout
    assert done.stdout.endswith("not usable\n")
    assert done.stderr.startswith("hint: start the server there")


def test_models_are_listed_and_one_that_is_not_known_is_refused(agentrt: Shell) -> None:
    elsewhere = {"AGENTRT_CACHE": str(agentrt.folder / "cache")}
    assert "smollm2-135m" in agentrt("models", env=elsewhere).stdout
    listed = agentrt("models", "--json", env=elsewhere).json
    assert listed["default"] == "smollm2-135m"
    assert all(model["path"] is None for model in listed["models"])
    unknown = agentrt("models", "pull", "no-such-model", "--json", env=elsewhere)
    assert (unknown.code, unknown.json["error"]["type"]) == (1, "ModelUnavailable")
