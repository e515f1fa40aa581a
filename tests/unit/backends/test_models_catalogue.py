from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.models.catalogue import (
    CATALOGUE,
    DEFAULT_MODEL,
    HubFile,
    find_model,
    preferred_file,
)
from agentrt.errors import ModelUnavailable


def test_the_default_model_is_the_first_of_the_catalogue() -> None:
    assert find_model(DEFAULT_MODEL) is CATALOGUE[0]


def test_names_are_found_whatever_their_case() -> None:
    assert find_model("Qwen2.5-Coder-1.5B").name == "qwen2.5-coder-1.5b"


def test_names_and_files_of_the_catalogue_are_unique() -> None:
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)
    assert len({entry.file for entry in CATALOGUE}) == len(CATALOGUE)


def test_an_unknown_name_says_what_there_is_and_what_was_meant() -> None:
    with pytest.raises(ModelUnavailable, match="did you mean smollm2-135m") as raised:
        find_model("smollm-135m")
    assert all(entry.name in str(raised.value) for entry in CATALOGUE)


def test_a_hub_name_with_a_file_names_that_file() -> None:
    entry = find_model("hf:owner/repo-GGUF:sub/model.Q8_0.gguf")
    assert entry.file == "hf--owner--repo-GGUF/sub--model.Q8_0.gguf"
    assert entry.sources == (HubFile(repo="owner/repo-GGUF", file="sub/model.Q8_0.gguf"),)


def test_a_hub_name_without_a_file_leaves_the_choice_open() -> None:
    entry = find_model("hf:owner/repo")
    assert (entry.file, entry.sources) == ("hf--owner--repo/", (HubFile(repo="owner/repo"),))


@pytest.mark.parametrize(
    "name",
    [
        "hf:",
        "hf:owner",
        "hf:../../x",
        "hf:o/r:../../etc/x.gguf",
        "hf:o/r:model.bin",
        "hf:o/r/s",
        "hf:o/..",
        "",
    ],
)
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(ModelUnavailable):
        find_model(name)


def test_a_part_of_a_split_model_is_refused_with_the_way_out() -> None:
    with pytest.raises(ModelUnavailable, match="pass the path of the first"):
        find_model("hf:owner/repo:m.Q4_K_M-00001-of-00003.gguf")


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_hub_name_leads_out_of_the_cache_directory(repo: str, file: str) -> None:
    try:
        entry = find_model(f"hf:{repo}:{file}.gguf")
    except ModelUnavailable:
        return
    root = Path("/cache/models")
    target = (root / entry.file).resolve()
    assert target.is_relative_to(root)
    assert target != root


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["a.Q8_0.gguf", "a.Q4_K_M.gguf", "a.Q4_0.gguf"], "a.Q4_K_M.gguf"),
        (["a.Q8_0.gguf", "a.Q4_0.gguf"], "a.Q4_0.gguf"),
        (["a.F16.gguf", "README.md"], "a.F16.gguf"),
        (["a.F16.gguf", "a.Q8_0.gguf"], None),
        (["a.q4_k_m-00001-of-00002.gguf", "a.q4_k_m-00002-of-00002.gguf"], None),
        ([], None),
    ],
)
def test_of_several_files_the_usual_quantisation_is_taken(
    files: list[str], chosen: str | None
) -> None:
    assert preferred_file(files) == chosen
