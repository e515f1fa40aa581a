import inspect

import pytest

from agentrt import errors
from agentrt.cli.failure import FAILED, INTERRUPTED, USAGE, Failure, UsageError, describe


def test_a_failure_is_one_line_and_a_hint() -> None:
    failure = Failure(kind="X", message="it broke", hint="mend it", detail="Traceback\n")
    assert list(failure.lines()) == ["Traceback", "error: it broke", "hint: mend it"]
    assert list(Failure("X", "it broke").lines()) == ["error: it broke"]


def test_a_long_message_keeps_its_first_line_and_hints_the_rest() -> None:
    failure = describe(errors.InputError("no such form. Forms are\n  local\n  vllm"))
    assert (failure.message, failure.hint) == ("no such form. Forms are", "  local\n  vllm")


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (UsageError("bad"), USAGE),
        (errors.TraceError("bad"), USAGE),
        (errors.GraphError("bad"), USAGE),
        (errors.InputError("bad"), USAGE),
        (errors.ToolError("bad"), FAILED),
        (errors.StoreError("bad"), FAILED),
        (errors.BackendUnavailable("bad"), FAILED),
        (ValueError("bad"), FAILED),
        (KeyboardInterrupt(), INTERRUPTED),
    ],
)
def test_exit_codes_say_whose_words_were_off(error: BaseException, exit_code: int) -> None:
    assert describe(error).exit_code == exit_code


def test_every_error_of_ours_can_be_described() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.AgentRTError)
    ]
    for kind in kinds:
        extra = {"limit": "max_turns"} if kind is errors.LimitExceeded else {}
        failure = describe(kind("what happened", **extra), run_id="r1")
        assert (failure.kind, failure.message) == (kind.__name__, "what happened")
        assert "{" not in failure.hint


def test_errors_of_a_stored_run_say_how_to_go_on() -> None:
    assert describe(errors.ToolError("x"), run_id="r1").hint == "to go on: agentrt resume r1"
    assert describe(errors.ToolError("x")).hint == ""
    unreachable = errors.BackendUnavailable("x", url="http://gpu0")
    assert describe(unreachable, run_id="r1").hint == (
        "agentrt doctor http://gpu0 says what is missing; then: agentrt resume r1"
    )


def test_an_error_that_is_not_ours_is_named() -> None:
    assert describe(ZeroDivisionError("division by zero")).message == (
        "ZeroDivisionError: division by zero"
    )
    assert describe(ValueError()).message == "ValueError"


def test_of_a_group_the_first_error_is_told() -> None:
    group = BaseExceptionGroup(
        "outer", [BaseExceptionGroup("inner", [errors.ToolError("first")]), ValueError()]
    )
    assert describe(group).message == "first"


def test_a_failure_as_json_names_its_node() -> None:
    failure = describe(errors.ToolError("it broke", node_id="fix[3].bash[0]"))
    assert failure.to_json() == {
        "type": "ToolError",
        "message": "it broke",
        "node_id": "fix[3].bash[0]",
    }
