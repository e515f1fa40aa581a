import datetime
import enum
import io
import json
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agentrt.cli.failure import UsageError
from agentrt.cli.parameters import parse_parameters, parse_value
from agentrt.dsl.value_type import ValueType


class Colour(enum.Enum):
    RED = "red"


class Point(BaseModel):
    x: int
    y: int = 0


def types(**annotations: Any) -> dict[str, ValueType[Any]]:
    return {name: ValueType(annotation) for name, annotation in annotations.items()}


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (str, "42", "42"),
        (str, '"quoted"', '"quoted"'),
        (str, "", ""),
        (str, "-5", "-5"),
        (int, "42", 42),
        (int, "-5", -5),
        (float, "1e3", 1000.0),
        (float, "2", 2.0),
        (bool, "true", True),
        (str | None, "null", None),
        (str | None, "hello", "hello"),
        (str | None, "5", "5"),
        (str | None, '"a"', '"a"'),
        (int | None, "null", None),
        (int | str, "5", 5),
        (Literal["fast", "slow"], "fast", "fast"),
        (Literal["fast", "slow"], '"fast"', "fast"),
        (Colour, "red", Colour.RED),
        (datetime.date, "2026-11-20", datetime.date(2026, 11, 20)),
        (list[int], "[1, 2]", [1, 2]),
        (list[str], '["a", "b"]', ["a", "b"]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Point, '{"x": 1}', Point(x=1)),
    ],
)
def test_a_value_is_read_by_the_type_of_its_parameter(
    annotation: Any, text: str, value: Any
) -> None:
    assert parse_value("p", text, ValueType(annotation)) == value


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "many"),
        (int, "1.5"),
        (int, "9" * 5000),
        (int, "[" * 100_000),
        (list[int], "1"),
        (list[int], '["a"]'),
        (Point, "{}"),
        (Literal["fast"], "slow"),
        (bool, "perhaps"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_the_name_of_its_parameter(
    annotation: Any, text: str
) -> None:
    with pytest.raises(UsageError, match=r"^--p: "):
        parse_value("p", text, ValueType(annotation))


def test_words_are_taken_in_both_forms_and_dashes_stand_for_underscores() -> None:
    words = ["--max-items", "3", "--question=a=b", "--flag", "--note", "--not-an-option"]
    known = types(max_items=int, question=str, flag=bool, note=str)
    assert parse_parameters(words, known) == {
        "max_items": 3,
        "question": "a=b",
        "flag": True,
        "note": "--not-an-option",
    }


def test_a_bool_takes_a_value_where_one_follows() -> None:
    known = types(flag=bool, n=int)
    assert parse_parameters(["--flag", "false", "--n", "1"], known) == {"flag": False, "n": 1}
    assert parse_parameters(["--flag", "--n", "1"], known) == {"flag": True, "n": 1}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--wrong", "1"], "there is no option or parameter --wrong"),
        (["stray"], "'stray' belongs to no parameter"),
        (["--n"], "--n needs a value"),
        (["--n", "1", "--n", "2"], "--n is given twice"),
        (["--"], "'--' belongs to no parameter"),
        (["-x"], "'-x' belongs to no parameter"),
        (["--=1"], "there is no option or parameter --"),
    ],
)
def test_words_that_fit_no_parameter_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_parameters(words, types(n=int))
    assert str(caught.value) == message


def test_an_unknown_parameter_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        parse_parameters(["--wrong", "1"], types(question=str, limit=int))
    assert "--question (str), --limit (int)" in caught.value.hint


def test_input_fills_parameters_and_words_win() -> None:
    known = types(n=int, point=Point)
    given_input = '{"n": 1, "point": {"x": 2}}'
    assert parse_parameters(["--n", "5"], known, given=given_input) == {
        "n": 5,
        "point": Point(x=2),
    }


def test_input_comes_from_a_file_or_from_stdin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"n": 7}', encoding="utf-8")
    assert parse_parameters([], types(n=int), given=f"@{file}") == {"n": 7}
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"n": 8}'))
    assert parse_parameters([], types(n=int), given="-") == {"n": 8}


@pytest.mark.parametrize(
    ("given_input", "message"),
    [
        ("{", "--input is not JSON"),
        ("[" * 100_000, "--input is not JSON"),
        ("[1]", "--input must be a JSON object of parameters, not list"),
        ("3", "--input must be a JSON object of parameters, not int"),
        ('{"m": 1}', "--input has no parameter 'm' to fill"),
        ('{"n": "x"}', "--input, n: expected int"),
        ("@/does/not/exist", "--input @/does/not/exist cannot be read: No such file"),
        ("@/", "--input @/ cannot be read: Is a directory"),
    ],
)
def test_an_input_that_cannot_be_used_is_refused(given_input: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_parameters([], types(n=int), given=given_input)
    assert str(caught.value).startswith(message)


def test_an_input_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "input.bin"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="it is not UTF-8 text"):
        parse_parameters([], types(n=int), given=f"@{file}")


KNOWN = types(text=str, n=int, flag=bool, items=list[str], point=Point, maybe=str | None)


@given(
    st.lists(
        st.one_of(
            st.text(max_size=20),
            st.sampled_from(
                ["--text", "--n", "--flag", "--items", "--point", "--maybe", "--", "="]
            ),
            st.builds(
                lambda name, value: f"--{name}={value}", st.sampled_from(list(KNOWN)), st.text()
            ),
        ),
        max_size=6,
    )
)
def test_any_words_give_values_or_a_usage_error(words: list[str]) -> None:
    try:
        values = parse_parameters(words, KNOWN)
    except UsageError:
        return
    assert values.keys() <= KNOWN.keys()


@given(st.text())
def test_text_is_taken_verbatim(text: str) -> None:
    assert parse_parameters([f"--text={text}"], KNOWN) == {"text": text}
    assert parse_parameters(["--text", text], KNOWN) == {"text": text}


@given(st.lists(st.text()))
def test_a_list_survives_its_way_through_json(items: list[str]) -> None:
    assert parse_parameters(["--items", json.dumps(items)], KNOWN) == {"items": items}
