from pathlib import Path

import pytest

from agentrt.backends import models
from agentrt.backends.models import catalogue
from agentrt.errors import ModelUnavailable

SMALL = "smollm2-135m"
SMALL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def _put(path: Path, content: bytes = b"GGUF and more") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_an_empty_cache_holds_no_model(tmp_path: Path) -> None:
    assert models.locate(SMALL, cache_dir=tmp_path) is None
    assert [(s.name, s.path) for s in models.list_models(cache_dir=tmp_path)] == [
        (entry.name, None) for entry in models.CATALOGUE
    ]


def test_a_model_in_the_cache_is_found_and_listed(tmp_path: Path) -> None:
    path = _put(tmp_path / "models" / SMALL_FILE)
    assert models.locate(SMALL, cache_dir=tmp_path) == path
    assert models.resolve(SMALL, cache_dir=tmp_path) == path
    status = models.list_models(cache_dir=tmp_path)[0]
    assert (status.path, status.size_bytes) == (path, 13)


def test_a_file_that_is_no_gguf_does_not_count(tmp_path: Path) -> None:
    _put(tmp_path / "models" / SMALL_FILE, b"<html>not found</html>")
    assert models.locate(SMALL, cache_dir=tmp_path) is None


def test_a_missing_model_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=f"agentrt models pull {SMALL}`"):
        models.resolve(SMALL, cache_dir=tmp_path)


def test_files_pulled_from_the_hub_are_listed_under_names_that_find_them(tmp_path: Path) -> None:
    path = _put(tmp_path / "models" / "hf--owner--a-repo" / "m.Q8_0.gguf")
    listed = models.list_models(cache_dir=tmp_path)[-1]
    assert listed.name == "hf:owner/a-repo:m.Q8_0.gguf"
    assert models.locate(listed.name, cache_dir=tmp_path) == path
    assert models.locate("hf:owner/a-repo", cache_dir=tmp_path) == path


@pytest.mark.parametrize("place", ["hf--owner--a-repo/model (1).gguf", "hf--odd/m.gguf"])
def test_a_file_that_no_hub_name_can_be_written_for_is_listed_by_its_path(
    tmp_path: Path, place: str
) -> None:
    path = _put(tmp_path / "models" / place)
    listed = models.list_models(cache_dir=tmp_path)[-1]
    assert (listed.name, listed.path) == (str(path), path)
    assert models.resolve(listed.name, cache_dir=tmp_path) == path


def test_files_of_one_name_in_two_folders_of_a_repository_are_two(tmp_path: Path) -> None:
    name = "hf:owner/repo:{}/model.gguf"
    small = catalogue.find_model(name.format("q4")).file
    path = _put(tmp_path / "models" / small)
    assert models.locate(name.format("q4"), cache_dir=tmp_path) == path
    assert models.locate(name.format("q8"), cache_dir=tmp_path) is None
    listed = models.list_models(cache_dir=tmp_path)[-1]
    assert models.locate(listed.name, cache_dir=tmp_path) == path


def test_a_path_is_itself(tmp_path: Path) -> None:
    path = _put(tmp_path / "mine.gguf")
    assert models.resolve(str(path)) == path
    assert models.pull(str(path)) == path


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no file"), (b"", "not a GGUF"), (b"PK", "not a GGUF")]
)
def test_a_path_to_something_else_is_refused(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "mine.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match=said):
        models.resolve(str(path))
