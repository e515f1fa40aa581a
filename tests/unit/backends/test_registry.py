from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.recording import RecordingBackend, ReplayBackend
from agentrt.backends.registry import api_key_for, connect
from agentrt.backends.server_kind import GENERIC, OPENAI, SGLANG, VLLM, ServerKind
from agentrt.errors import InputError


@pytest.mark.parametrize(
    ("url", "name", "kind"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1", GENERIC),
        ("openai+http://localhost:8000/", "http://localhost:8000/v1", GENERIC),
        ("openai+https://example.org/v1/", "https://example.org/v1", GENERIC),
        ("https://api.openai.com", "https://api.openai.com/v1", OPENAI),
        ("https://example.org/openai/v1", "https://example.org/openai/v1", GENERIC),
        ("vllm+http://10.0.0.1:8000/v1", "http://10.0.0.1:8000/v1", VLLM),
        ("sglang+https://[::1]:30000", "https://[::1]:30000/v1", SGLANG),
    ],
)
def test_http_backends_by_url(url: str, name: str, kind: ServerKind) -> None:
    backend = connect(url, environ={})

    assert isinstance(backend, OpenAIBackend)
    assert (backend.name, backend.kind) == (name, kind)


async def test_recordings_by_url(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    recording = connect(f"record:{file}=http://localhost:1", environ={})
    assert isinstance(recording, RecordingBackend)
    assert recording.name == "http://localhost:1/v1"
    await recording.aclose()

    assert isinstance(connect(f"replay:{file}"), ReplayBackend)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "scripted",
        "ftp://host",
        "http://",
        "http:host",
        "openai+http:///v1",
        "http://host:99999",
        "http://host:port",
        "http://[::1",
        "local:",
        "replay:",
        "record:",
        "record:file",
        "record:=http://h",
        "tgi+http://host",
        "HTTP",
        "://",
    ],
)
def test_anything_else_is_refused_with_the_forms(url: str) -> None:
    with pytest.raises(InputError, match=r"openai\+http"):
        connect(url, environ={})


@pytest.mark.parametrize(
    "url",
    [
        "http://user:s3cret@host",
        "vllm+http://s3cret@host",
        "http://host/v1?key=s3cret",
        "x://s3cret@h",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InputError) as caught:
        connect(url, environ={})
    assert "s3cret" not in str(caught.value)


def test_a_model_that_the_url_contradicts_is_refused() -> None:
    with pytest.raises(InputError, match=r"'a'.*'b'"):
        connect("local:a", model="b")


@pytest.mark.parametrize(
    ("host", "is_secure", "environ", "key"),
    [
        ("h", True, {}, None),
        ("h", False, {"AGENTRT_API_KEY": " a\n"}, "a"),
        ("h", True, {"OPENAI_API_KEY": "o"}, None),
        ("api.openai.com", True, {"OPENAI_API_KEY": "o"}, "o"),
        ("eu.api.openai.com", True, {"OPENAI_API_KEY": "o"}, "o"),
        ("api.openai.com", False, {"OPENAI_API_KEY": "o"}, None),
        ("evil-api.openai.com.org", True, {"OPENAI_API_KEY": "o"}, None),
        ("evilapi.openai.com", True, {"OPENAI_API_KEY": "o"}, None),
        ("api.openai.com", True, {"OPENAI_API_KEY": "o", "AGENTRT_API_KEY": "a"}, "a"),
    ],
)
def test_openais_key_goes_to_openai_only(
    host: str, is_secure: bool, environ: dict[str, str], key: str | None
) -> None:
    assert api_key_for(host, is_secure=is_secure, environ=environ) == key


@given(st.text() | st.text().map("http://".__add__) | st.text().map("vllm+https://".__add__))
def test_no_url_raises_anything_else(url: str) -> None:
    if url.startswith(("record", "replay", "local")):
        return
    with contextlib.suppress(InputError):
        connect(url, environ={})
