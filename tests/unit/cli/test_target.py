import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentrt.cli.failure import UsageError
from agentrt.cli.target import Target, load_workflow, parse_target

HEAD = "from agentrt.dsl.decorators import tool, workflow\n"
ONE = HEAD + "@workflow\ndef only(n: int) -> int:\n    return n\n"
TWO = ONE + "@workflow\ndef other(n: int) -> int:\n    return n\n"


@pytest.fixture(autouse=True)
def _clean_imports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("agentrt_target_", "made_")):
            del sys.modules[name]


def written(folder: Path, text: str, name: str = "flow.py") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("flow.py:main", Target("flow.py:main", "flow.py", "main", Path("flow.py"))),
        ("flow.py", Target("flow.py", "flow.py", None, Path("flow.py"))),
        ("flow.py:", Target("flow.py:", "flow.py", None, Path("flow.py"))),
        ("a:b/flow.py", Target("a:b/flow.py", "a:b/flow.py", None, Path("a:b/flow.py"))),
        ("a/b:main", Target("a/b:main", "a/b", "main", Path("a/b"))),
        ("package.module:main", Target("package.module:main", "package.module", "main", None)),
        ("package.module", Target("package.module", "package.module", None, None)),
    ],
)
def test_a_target_is_a_file_or_a_module_and_perhaps_a_name(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", ":", ":main", "a b", "a..b", "1x", "--json", "-"])
def test_words_that_are_no_target_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text)


def test_the_only_workflow_of_a_file_needs_no_name(tmp_path: Path) -> None:
    file = written(tmp_path, ONE)
    loaded = load_workflow("flow.py")
    assert (loaded.workflow.name, loaded.target) == ("only", f"{file}:only")


def test_a_stored_target_finds_the_workflow_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, TWO)
    target = load_workflow("./flow.py:other").target
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_workflow(target).workflow.name == "other"


def test_a_module_is_found_from_the_working_directory(tmp_path: Path) -> None:
    written(tmp_path, ONE, "made_module.py")
    assert load_workflow("made_module:only").target == "made_module:only"


def test_a_file_may_import_its_neighbours_and_be_named_as_a_module_of_python(
    tmp_path: Path,
) -> None:
    written(tmp_path, "NUMBER = 3\n", "made_neighbour.py")
    file = written(tmp_path, "import made_neighbour\n" + ONE, "token.py")
    assert load_workflow(str(file)).workflow.name == "only"


def test_an_imported_workflow_does_not_stand_in_the_way_of_the_files_own(tmp_path: Path) -> None:
    written(tmp_path, ONE, "made_base.py")
    text = "from made_base import only\n" + ONE.replace("def only", "def mine")
    assert load_workflow(str(written(tmp_path, text))).workflow.name == "mine"


@pytest.mark.parametrize(
    ("text", "source", "message"),
    [
        ("missing.py:main", ONE, "missing.py does not exist"),
        (".", ONE, "'.' names neither a file nor a module"),
        ("./", ONE, ". is a folder"),
        ("flow.py:wrong", ONE, "'wrong' is not there in flow.py; there is only"),
        ("flow.py:workflow", ONE, "'workflow' is not a @workflow in flow.py; there is only"),
        ("flow.py", TWO, "flow.py holds several workflows: only, other"),
        ("flow.py", "x = 1\n", "flow.py holds no @workflow"),
        ("flow.py:x", "x = 1\n", "'x' is not a @workflow in flow.py"),
        ("made_nothing:main", ONE, "there is no module 'made_nothing'"),
        ("made_nothing.inner:main", ONE, "there is no module 'made_nothing.inner'"),
    ],
)
def test_a_target_that_leads_nowhere_says_where_it_stopped(
    tmp_path: Path, text: str, source: str, message: str
) -> None:
    written(tmp_path, source)
    with pytest.raises(UsageError) as caught:
        load_workflow(text)
    assert str(caught.value).startswith(message)


def test_a_file_that_fails_shows_the_lines_of_that_file_alone(tmp_path: Path) -> None:
    file = written(tmp_path, "import json\n\ndef read():\n    json.loads('{')\n\nread()\n")
    with pytest.raises(UsageError) as caught:
        load_workflow("flow.py")
    detail = caught.value.detail
    assert str(caught.value) == "flow.py cannot be loaded: JSONDecodeError"
    assert detail.count(f'File "{file}"') == detail.count('File "') == 2
    assert "json.decoder.JSONDecodeError: Expecting property name" in detail


@pytest.mark.parametrize(
    ("source", "reason", "shown"),
    [
        ("def broken(:\n", "SyntaxError", "def broken(:"),
        ("import made_absent\n", "ModuleNotFoundError", "import made_absent"),
        ("raise SystemExit(0)\n", "ended the program", "raise SystemExit(0)"),
        ("x = 'half\n", "SyntaxError", "x = 'half"),
        ("\0", "SyntaxError", "null bytes"),
        ("raise ExceptionGroup('two', [ValueError(), KeyError()])\n", "ExceptionGroup", "raise"),
    ],
)
def test_whatever_stops_a_file_from_loading_is_the_users_to_see(
    tmp_path: Path, source: str, reason: str, shown: str
) -> None:
    written(tmp_path, source, "flow.py")
    with pytest.raises(UsageError) as caught:
        load_workflow("flow.py")
    assert str(caught.value) == f"flow.py cannot be loaded: {reason}"
    assert shown in caught.value.detail


def test_a_module_that_imports_something_absent_is_not_called_absent_itself(
    tmp_path: Path,
) -> None:
    written(tmp_path, "import made_absent\n", "made_user.py")
    with pytest.raises(UsageError) as caught:
        load_workflow("made_user:main")
    assert str(caught.value) == "made_user cannot be loaded: ModuleNotFoundError"
    assert "import made_absent" in caught.value.detail


def test_loading_a_file_twice_gives_what_it_holds_now(tmp_path: Path) -> None:
    written(tmp_path, ONE)
    load_workflow("flow.py")
    file = written(tmp_path, ONE.replace("def only", "def renamed_later"))
    assert load_workflow(str(file)).workflow.name == "renamed_later"
