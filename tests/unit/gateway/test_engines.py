from pathlib import Path

import pytest

from agentrt.errors import InputError
from agentrt.gateway.engines import Engine, engine_key
from agentrt.gateway.settings import ReplicaSettings

SECRET = "sk-of-the-engine"  # noqa: S105  nobody's


def replica(url: str = "vllm+http://gpu0:8000", **said: str) -> ReplicaSettings:
    return ReplicaSettings.model_validate({"url": url, **said})


def test_the_key_is_the_replicas_own_or_else_the_one_for_all() -> None:
    environ = {"GPU0_KEY": SECRET, "AGENTRT_API_KEY": "for-all"}
    assert engine_key(replica(api_key_env="GPU0_KEY"), environ) == SECRET
    assert engine_key(replica(), environ) == "for-all"
    assert engine_key(replica(), {}) is None


def test_openais_key_goes_to_openai_alone() -> None:
    environ = {"OPENAI_API_KEY": SECRET}
    assert engine_key(replica("https://api.openai.com/v1"), environ) == SECRET
    assert engine_key(replica("http://api.openai.com/v1"), environ) is None
    assert engine_key(replica("https://api.openai.com.evil.example"), environ) is None


def test_a_key_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(SECRET + "\n")
    assert engine_key(replica(api_key_file=str(path)), {}) == SECRET


def test_a_variable_that_is_not_set_is_named_with_the_way_out() -> None:
    with pytest.raises(InputError, match="export GPU0_KEY="):
        engine_key(replica(api_key_env="GPU0_KEY"), {"GPU0_KEY": " "})


@pytest.mark.parametrize("content", [b"", b"\n", b"two keys", b"one\ntwo", b"\xff", b"k" * 65_537])
def test_a_file_that_holds_no_key_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(InputError, match="holds no key") as caught:
        engine_key(replica(api_key_file=str(path)), {})
    assert "two" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: No such file"):
        engine_key(replica(api_key_file=str(tmp_path / "none")), {})


def test_an_engines_key_is_in_nothing_that_people_read() -> None:
    engine = Engine(replica(api_key_env="GPU0_KEY"), {"GPU0_KEY": SECRET})
    assert engine.replica_id == "vllm+http://gpu0:8000"
    backend = engine.source.connect()
    assert backend.name == "http://gpu0:8000/v1"
    shown = repr((engine, engine.source, engine.passthrough, engine.replica_id, backend))
    assert SECRET not in shown
