import json
import os
import socket
from pathlib import Path

import pytest

from agentrt.cli.app import run_command_line

NOBODY = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AGENTRT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AGENTRT_STORE", "none")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            [],
            [
                "error: no replica is given, so there is nothing to serve",
                "hint: name one: agentrt serve --replica vllm+http://127.0.0.1:8000",
            ],
        ),
        (
            ["--replica", "gpu0:8000"],
            [
                "error: --replica: this is no URL of a replica: expected vllm+http://HOST:PORT, "
                "sglang+http://HOST:PORT or openai+https://HOST",
                "hint: url: where the engine is, such as vllm+http://127.0.0.1:8000",
            ],
        ),
        (
            ["--replica", NOBODY, "--host", "0.0.0.0"],  # noqa: S104  refused
            [
                "error: others than this machine reach 0.0.0.0, and no tenant is configured: "
                "anybody could use the engines",
                "hint: agentrt keys new TENANT makes a key and prints what belongs in --config "
                "FILE; --open lets in anybody; --host 127.0.0.1 serves this machine alone",
            ],
        ),
        (
            ["--replica", NOBODY, "--policy", "best"],
            [
                "error: --policy: no policy 'best'; there are: continuum, deadline-slack, fcfs, "
                "gittins, infercept, kvflow, occupancy, plas, saga, thunderagent, cap-N",
                "hint: policy: what orders programs, as `agentrt simulate --policy` takes it",
            ],
        ),
        (
            ["--config", "none.toml"],
            ["error: --config none.toml: No such file or directory"],
        ),
        (
            ["--replica", NOBODY, "--port", "TAKEN"],
            [
                "error: nobody can listen at 127.0.0.1, port TAKEN: Address already in use",
                "hint: --port 0 takes a free one, --host another address",
            ],
        ),
    ],
)
def test_what_is_wrong_is_named_with_the_way_out(
    words: list[str], lines: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code = run_command_line(["serve", *(word.replace("TAKEN", port) for word in words)])
    out, err = capfd.readouterr()
    said = [
        line.partition(" (while attempting")[0]
        for line in err.splitlines()
        if line.startswith(("error:", "hint:"))
    ]
    assert (code, out) == (2, "")
    assert said == [line.replace("TAKEN", port) for line in lines]


def test_a_file_that_is_wrong_is_named_with_its_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('[[replica]]\nurl = "http://a"\nkv_token = 1\n')
    assert run_command_line(["serve", "--config", str(path), "--json"]) == 2
    assert json.loads(capfd.readouterr().out)["error"] == {
        "type": "InputError",
        "message": "gateway.toml, line 3, replica 1, kv_token: nothing is called 'kv_token' here",
        "hint": "did you mean kv_tokens?",
    }
