import io
import json
from pathlib import Path

import pytest

from agentrt.cli.app import run_command_line
from agentrt.cli.keys import check_key, print_new_key
from agentrt.cli.output import Answers
from agentrt.gateway.keys import KEY_PREFIX, hash_of
from agentrt.gateway.settings_file import settings_of


def printed(tenant: str = "acme", *, is_json: bool = False) -> str:
    stream = io.StringIO()
    assert print_new_key(Answers(stream), tenant, is_json=is_json) == 0
    return stream.getvalue()


def checked(
    key: str, config: Path, monkeypatch: pytest.MonkeyPatch, *, is_json: bool = False
) -> tuple[int, str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(key))
    stream = io.StringIO()
    code = check_key(Answers(stream), config, is_json=is_json)
    return code, stream.getvalue()


def test_a_new_key_comes_first_and_what_comes_after_is_a_file_of_settings() -> None:
    key, _, rest = printed().partition("\n")
    assert key.startswith(KEY_PREFIX)
    (tenant,) = settings_of(rest, {}).tenants
    assert (tenant.name, tenant.keys) == ("acme", (hash_of(key),))
    assert key not in rest


def test_json_has_the_key_its_hash_and_the_lines() -> None:
    made = json.loads(printed(is_json=True))
    assert made["tenant"] == "acme"
    assert made["hash"] == hash_of(made["key"])
    assert settings_of(made["toml"], {}).tenants[0].keys == (made["hash"],)


def test_a_key_is_looked_up_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _, rest = printed().partition("\n")
    config = tmp_path / "gateway.toml"
    config.write_text(rest)
    assert checked(key + "\n", config, monkeypatch) == (0, "acme\n")
    code, said = checked(key + "x", config, monkeypatch)
    assert (code, said) == (1, f"nobody's here; its hash is {hash_of(key + 'x')}\n")
    code, said = checked(key, config, monkeypatch, is_json=True)
    assert (code, json.loads(said)) == (0, {"tenant": "acme", "hash": hash_of(key)})


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["keys", "new", "a b"], "error: 'a b' is no name of a tenant"),
        (["keys", "new", ""], "error: '' is no name of a tenant"),
        (["keys", "check", "--config", "/nowhere.toml"], "error: there is no key on stdin"),
        (["keys", "check"], "error: Missing option '--config'"),
    ],
)
def test_what_is_wrong_is_told(
    words: list[str],
    error: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run_command_line(words) == 2
    said = capfd.readouterr()
    assert said.err.startswith(error)
    assert said.out == ""
