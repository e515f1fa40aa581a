import json
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Done, Shell

Flow = Callable[[str], str]

NO_TOKENS = {"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0}


def error_lines(done: Done) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith(("error:", "hint:"))]


def test_the_answer_is_on_stdout_and_everything_else_on_stderr(agentrt: Shell, flow: Flow) -> None:
    done = agentrt("run", flow("numbers_flow:main"), "--count", "4")
    assert (done.code, done.stdout) == (0, "12\n")
    for line in ("a line from print", "a line from a file descriptor", "a line from a child"):
        assert line in done.stderr
    assert "double[3]: finished in" in done.stderr
    assert "at most 4 at once" in done.stderr


def test_json_is_one_object_with_the_whole_run(agentrt: Shell, flow: Flow) -> None:
    done = agentrt("run", flow("numbers_flow:main"), "--json", "--count=2")
    run = done.json
    assert done.code == 0
    assert (run["status"], run["output"], run["error"], run["errors"]) == ("finished", 2, None, {})
    assert (run["workflow"], run["usage"]) == ("main", NO_TOKENS)
    assert run["duration_s"] > 0
    assert {node["node_id"]: (node["kind"], node["status"]) for node in run["nodes"]} == {
        "numbers": ("tool", "finished"),
        "double": ("map", "finished"),
        "double[0]": ("tool", "finished"),
        "double[1]": ("tool", "finished"),
        "total": ("tool", "finished"),
    }


def test_quiet_says_nothing_but_the_answer(agentrt: Shell, flow: Flow) -> None:
    done = agentrt("run", flow("numbers_flow:both"), "--quiet", "--store", "none")
    assert (done.code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"first": 6, "second": 8}
    assert done.stdout.startswith("{\n  ")


def test_parameters_come_from_stdin_too(agentrt: Shell, flow: Flow) -> None:
    target = flow("numbers_flow:main")
    done = agentrt("run", target, "--quiet", "--input", "-", given='{"count": 5}')
    assert (done.code, done.stdout) == (0, "20\n")


def test_a_failing_tool_fails_the_run_and_the_error_says_where_and_how_to_go_on(
    agentrt: Shell, flow: Flow
) -> None:
    done = agentrt("run", flow("numbers_flow:main"), "--bad", "1")
    assert (done.code, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    error, hint = error_lines(done)
    assert "double[1]" in error
    assert "1 is not to be doubled" in error
    run_id = agentrt("runs", "--json").json["runs"][0]["run_id"]
    assert hint == f"hint: to go on: agentrt resume {run_id}"


def test_a_failed_run_is_one_object_too(agentrt: Shell, flow: Flow) -> None:
    done = agentrt("run", flow("numbers_flow:main"), "--bad", "1", "--json")
    run = done.json
    assert (done.code, run["status"], run["output"]) == (1, "failed", None)
    assert (run["error"]["type"], run["error"]["node_id"]) == ("ToolError", "double[1]")
    assert list(run["errors"]) == ["double[1]"]


def test_a_tool_that_ends_the_program_fails_its_run_and_is_named(agentrt: Shell) -> None:
    (agentrt.folder / "leaver.py").write_text(
        "import sys\n\nfrom agentrt import tool, workflow\n\n"
        "@tool(effects='none', retries=0)\nasync def leave(n: int) -> int:\n    sys.exit(n)\n\n"
        "@workflow\ndef main(n: int) -> int:\n    return leave(n)\n",
        encoding="utf-8",
    )
    done = agentrt("run", "leaver.py", "--n", "0", "--json")
    assert (done.code, done.json["status"]) == (1, "failed")
    assert "SystemExit" in done.stderr


def test_collecting_goes_on_and_tells_what_there_is(agentrt: Shell, flow: Flow) -> None:
    words = ("run", flow("numbers_flow:both"), "--bad", "3")
    done = agentrt(*words, "--on-error", "collect", "--json")
    run = done.json
    assert (done.code, run["status"]) == (1, "partial")
    assert run["output"] == {"first": None, "second": 8}
    assert list(run["errors"]) == ["double"]


def test_a_deadline_ends_the_run(agentrt: Shell, flow: Flow) -> None:
    marks = str(agentrt.folder / "marks")
    words = ("run", flow("slow_flow:nap"), "--marks", marks, "--seconds", "600")
    done = agentrt(*words, "--deadline", "1", "--json")
    assert (done.code, done.json["status"]) == (1, "cancelled")
    assert "deadline" in done.json["error"]["message"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cont", "4"], "there is no option or parameter --cont"),
        (["--count", "many"], "--count: expected int"),
        (["--count", "1", "--input", "[]"], "--input must be a JSON object"),
        (["--input", "@missing.json"], "--input @missing.json cannot be read"),
        (["--on-error", "explode"], "Invalid value for '--on-error'"),
        (["--deadline", "soon"], "Invalid value for '--deadline'"),
        (["stray"], "'stray' belongs to no parameter"),
        (["--backend", "gopher://x"], "gopher://x"),
        (["--record", "missing/folder/file"], "--record: there is no folder"),
    ],
)
def test_words_that_are_off_exit_with_two_and_run_nothing(
    agentrt: Shell, flow: Flow, words: list[str], message: str
) -> None:
    done = agentrt("run", flow("numbers_flow:main"), *words, "--json")
    assert done.code == 2
    assert message in done.json["error"]["message"]
    assert done.json["status"] == "failed"
    assert "a line from print" not in done.stderr
    assert error_lines(done)[0].startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "missing.py:main"),
        ("run", "no_such_module:main"),
        ("run", "--count", "1", "flow.py"),
        ("frobnicate",),
        ("graph", "missing.py"),
        ("show",),
        ("runs", "--limit", "0"),
        ("plan", "missing.py", "--frobnicate"),
        ("show", "3f", "--store", "none"),
    ],
)
def test_every_command_exits_with_two_when_its_words_are_off(
    agentrt: Shell, words: tuple[str, ...]
) -> None:
    done = agentrt(*words)
    assert (done.code, done.stdout) == (2, "")
    assert error_lines(done)
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_loaded_shows_its_own_lines_alone(agentrt: Shell) -> None:
    file = agentrt.folder / "broken.py"
    file.write_text("import json\n\njson.loads('{')\n", encoding="utf-8")
    done = agentrt("run", "broken.py", "--json")
    assert (done.code, done.json["error"]["type"]) == (2, "UsageError")
    assert done.stderr.count('File "') == 1
    assert f'File "{file}", line 3' in done.stderr
    debugged = agentrt("run", "broken.py", env={"AGENTRT_DEBUG": "1"})
    assert debugged.code == 2
    assert debugged.stderr.count('File "') > 5


def test_a_workflow_that_is_wrong_is_the_authors_to_mend(agentrt: Shell) -> None:
    (agentrt.folder / "wrong.py").write_text(
        "from agentrt import workflow\n\n@workflow\ndef main(n: int) -> int:\n"
        "    return 1 if n else 2\n",
        encoding="utf-8",
    )
    done = agentrt("run", "wrong.py", "--n", "1", "--json")
    assert (done.code, done.json["error"]["type"]) == (2, "TraceError")


def test_an_unreachable_backend_is_told_with_the_command_that_looks_into_it(
    agentrt: Shell, flow: Flow
) -> None:
    done = agentrt("run", flow("ask_flow"), "--deadline", "20")
    assert done.code == 1
    assert any(
        line.startswith("hint: agentrt doctor http://127.0.0.1:1") for line in error_lines(done)
    )


def test_a_store_that_cannot_be_opened_is_the_operators_to_mend(agentrt: Shell, flow: Flow) -> None:
    (agentrt.folder / "not_a_store.db").write_text("plain text, for long enough" * 100)
    done = agentrt("run", flow("numbers_flow:main"), "--store", "not_a_store.db", "--json")
    assert (done.code, done.json["error"]["type"]) == (1, "StoreError")


def test_a_reader_that_leaves_early_is_no_error(agentrt: Shell, flow: Flow) -> None:
    for words in (["run", flow("numbers_flow:both"), "--quiet"], ["--help"], ["runs"]):
        process = agentrt.start(*words)
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
        assert process.stderr is not None
        told = process.stderr.read()
        assert (process.returncode, told.replace("no runs yet\n", "")) == (0, "")
