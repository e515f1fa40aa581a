from dataclasses import dataclass, field, replace

from agentrt.gateway.hint_feedback import HintFeedback
from agentrt.gateway.hinting import Hinting
from agentrt.gateway.services import Answered
from agentrt.ir.request import Usage

FIRST = Answered(
    request_id="r",
    endpoint="chat/completions",
    status=200,
    program_id="p",
    replica_id="a",
    usage=Usage(prompt_tokens=100, cached_tokens=0, completion_tokens=20),
)
SECOND = replace(FIRST, usage=Usage(prompt_tokens=150, cached_tokens=112, completion_tokens=5))


@dataclass(slots=True)
class Told(Hinting):
    heard: list[tuple[str, int, float]] = field(default_factory=list[tuple[str, int, float]])

    def answered(self, replica_id: str, usage: Usage, *, expected_tokens: float) -> None:
        self.heard.append((replica_id, usage.cached_tokens, expected_tokens))


def heard(*answers: Answered, most_programs: int = 100) -> list[tuple[str, int, float]]:
    told = Told()
    feedback = HintFeedback(told, most_programs=most_programs)
    for answered in answers:
        feedback.observe(answered)
    return told.heard


def test_a_prompt_is_expected_to_find_what_the_answer_before_left() -> None:
    assert heard(FIRST, SECOND) == [("a", 112, 120.0)]


def test_a_prompt_that_became_shorter_is_expected_to_find_no_more_than_it_is() -> None:
    assert heard(SECOND, FIRST) == [("a", 0, 100.0)]


def test_nothing_is_expected_elsewhere_nor_of_another_program() -> None:
    assert heard(FIRST, replace(SECOND, replica_id="b")) == []
    assert heard(FIRST, replace(SECOND, program_id="q")) == []
    assert heard(FIRST, replace(SECOND, program_id="")) == []


def test_what_failed_and_what_says_nothing_of_its_use_tells_nothing() -> None:
    assert heard(FIRST, replace(SECOND, status=499)) == []
    assert heard(FIRST, replace(SECOND, usage=Usage())) == []


def test_no_more_programs_are_remembered_than_that() -> None:
    others = [replace(FIRST, program_id=str(number)) for number in range(3)]
    assert heard(FIRST, *others, SECOND, most_programs=3) == []
