"""Which program a request belongs to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest

from agentrt.errors import InputError
from agentrt.gateway.asked import Asked, Claim, Endpoint
from agentrt.gateway.recognition import Recognised, Recogniser
from agentrt.ir.request import Completion, Message, Request, ToolCall

SYSTEM = Message("system", "You are an agent.")
NO_CLAIM = Claim()


def user(text: str) -> Message:
    return Message("user", text)


def answer(text: str, *calls: ToolCall) -> Message:
    return Message("assistant", text, calls)


def result(call_id: str, text: str) -> Message:
    return Message("tool", text, tool_call_id=call_id)


def asked(
    *messages: Message,
    claim: Claim = NO_CLAIM,
    endpoint: Endpoint = "chat/completions",
    previous: str = "",
) -> Asked:
    return Asked(
        endpoint=endpoint,
        body={},
        model="m",
        request=Request(messages=messages),
        claim=claim,
        previous_response_id=previous,
    )


@dataclass
class Gateway:
    """A recogniser that is told of all answers at once, unless a test does it."""

    recogniser: Recogniser = field(default_factory=lambda: Recogniser(ids=_ids()))
    now: float = 0.0

    def ask(
        self,
        *messages: Message,
        claim: Claim = NO_CLAIM,
        tenant: str = "t",
        previous: str = "",
        endpoint: Endpoint = "chat/completions",
    ) -> Recognised:
        self.now += 1.0
        request = asked(*messages, claim=claim, previous=previous, endpoint=endpoint)
        return self.recogniser.recognise(request, tenant=tenant, now=self.now)

    def get(self, *messages: Message, says: str | Message, tenant: str = "t") -> str:
        """The program of a request that is answered."""
        recognised = self.ask(*messages, tenant=tenant)
        said = answer(says) if isinstance(says, str) else says
        completion = Completion(text=said.content, tool_calls=said.tool_calls)
        self.recogniser.answered(recognised, completion)
        return recognised.program_id


def _ids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"p{next(numbers)}"


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def test_a_request_that_goes_on_from_a_conversation_belongs_to_it(gateway: Gateway) -> None:
    task = (SYSTEM, user("Fix the bug."))
    assert gateway.get(*task, says="ls") == "p1"
    assert gateway.ask(*task, answer("ls"), user("a.py")) == Recognised(
        program_id="p1", is_new=False, reason="goes on from its conversation"
    )


def test_the_first_request_of_a_program_says_so(gateway: Gateway) -> None:
    assert gateway.ask(SYSTEM, user("Hi")) == Recognised(
        program_id="p1", is_new=True, reason="goes on from nothing that is known"
    )


def test_programs_with_the_same_system_prompt_are_apart(gateway: Gateway) -> None:
    assert gateway.get(SYSTEM, user("one"), says="a") == "p1"
    assert gateway.get(SYSTEM, user("two"), says="a") == "p2"
    assert gateway.get(SYSTEM, user("one"), answer("a"), user("x"), says="b") == "p1"
    assert gateway.get(SYSTEM, user("two"), answer("a"), user("x"), says="b") == "p2"


def test_programs_with_the_same_task_are_told_apart_by_their_answers(gateway: Gateway) -> None:
    task = (SYSTEM, user("the same task"))
    first, second = gateway.ask(*task), gateway.ask(*task)
    gateway.recogniser.answered(second, Completion(text="B"))
    gateway.recogniser.answered(first, Completion(text="A"))
    assert gateway.get(*task, answer("A"), user("x"), says="A2") == "p1"
    assert gateway.get(*task, answer("B"), user("x"), says="B2") == "p2"


def test_programs_with_the_same_answers_are_told_apart_by_tool_calls(gateway: Gateway) -> None:
    task = (SYSTEM, user("the same task"))
    calls = [ToolCall(f"call_{name}", "ls", "{}") for name in ("first", "second")]
    for call in calls:
        gateway.get(*task, says=answer("", call))
    for number, call in reversed(list(enumerate(calls, start=1))):
        found = gateway.ask(*task, answer("", call), result(call.id, "a.py"))
        assert (found.program_id, found.results) == (f"p{number}", (call.id,))


def test_programs_that_are_alike_in_all_go_on_one_each(gateway: Gateway) -> None:
    task = (SYSTEM, user("the same task"))
    for _ in range(3):
        gateway.get(*task, says="same")
    later = [gateway.ask(*task, answer("same"), user("same")).program_id for _ in range(3)]
    assert later == ["p1", "p2", "p3"]


def test_the_same_request_while_the_first_is_in_flight_is_another_program(
    gateway: Gateway,
) -> None:
    task = (SYSTEM, user("the same task"))
    assert [gateway.ask(*task).program_id for _ in range(3)] == ["p1", "p2", "p3"]


def test_the_same_request_after_a_failure_is_a_retry(gateway: Gateway) -> None:
    task = (SYSTEM, user("the same task"))
    gateway.recogniser.failed(gateway.ask(*task))
    assert gateway.ask(*task).program_id == "p1"
    assert gateway.ask(*task).program_id == "p2", "each failure is retried once"


def test_a_client_that_says_it_retries_is_believed(gateway: Gateway) -> None:
    task = (SYSTEM, user("the same task"))
    gateway.ask(*task)
    again = Claim(is_retry=True)
    assert gateway.ask(*task, claim=again).program_id == "p1"
    assert gateway.ask(SYSTEM, user("never seen"), claim=again).program_id == "p2"


def test_a_later_turn_that_is_asked_twice_stays_where_it_was(gateway: Gateway) -> None:
    task = (SYSTEM, user("task"))
    gateway.get(*task, says="a")
    turn = (*task, answer("a"), user("x"))
    assert [gateway.ask(*turn).program_id for _ in range(3)] == ["p1", "p1", "p1"]


def test_the_next_request_may_come_before_the_answer_is_read_to_its_end(gateway: Gateway) -> None:
    task = (SYSTEM, user("task"))
    recognised = gateway.ask(*task)
    assert gateway.ask(*task, answer("a"), user("x")).program_id == "p1"
    gateway.recogniser.answered(recognised, Completion(text="a"))
    assert gateway.ask(*task, answer("a"), user("x"), answer("b"), user("y")).program_id == "p1"


@pytest.mark.parametrize(
    "sent_back",
    [
        answer("Let me look.", ToolCall("new-id", "read", '{"b": [1],\n "a": "x"}')),
        answer("  Let me look.\n", ToolCall("c1", "read", '{"a":"x","b":[1]}')),
        answer("<think>Hm?</think>\nLet me look.", ToolCall("c1", "read", '{"a":"x","b":[1]}')),
        answer("", ToolCall("c1", "read", '{"a":"x","b":[1]}')),
        answer("Let me look."),
    ],
)
def test_answers_come_back_as_clients_write_them(gateway: Gateway, sent_back: Message) -> None:
    says = answer(
        "<think>What now?</think>\n\nLet me look.", ToolCall("c1", "read", '{"a":"x","b":[1]}')
    )
    gateway.get(SYSTEM, user("other"), says="something else")
    gateway.get(SYSTEM, user("task"), says=says)
    assert gateway.ask(SYSTEM, user("task"), sent_back, user("ok")).program_id == "p2"


def conversation(gateway: Gateway, name: str, turns: int = 6) -> list[Message]:
    """A program of some turns; its messages up to the last answer."""
    messages = [SYSTEM, user(f"The task of {name}, which is long enough to be told from others.")]
    for turn in range(turns):
        says = f"{name} does step {turn}"
        gateway.get(*messages, says=says)
        messages += [answer(says), user(f"{name} sees {turn}")]
    return messages


def two(gateway: Gateway) -> tuple[list[Message], list[Message]]:
    return conversation(gateway, "one"), conversation(gateway, "two")


def test_the_time_in_the_system_prompt_does_not_matter(gateway: Gateway) -> None:
    for number, messages in enumerate(two(gateway), start=1):
        found = gateway.ask(Message("system", f"It is {number}."), *messages[1:])
        assert (found.program_id, found.reason) == (
            f"p{number}",
            "goes on from its conversation",
        )


def test_the_time_in_the_first_message_does_not_matter(gateway: Gateway) -> None:
    for number, messages in enumerate(two(gateway), start=1):
        first = user(f"It is {number}.\n{messages[1].content}")
        assert gateway.ask(SYSTEM, first, *messages[2:]).program_id == f"p{number}"


def test_history_that_is_cut_or_rewritten_still_belongs(gateway: Gateway) -> None:
    for number, messages in enumerate(two(gateway), start=1):
        without = [*messages[:2], *messages[4:]]
        rewritten = [
            *messages[:3],
            *(user("[cut]") if one.role == "user" else one for one in messages[3:]),
        ]
        last = [SYSTEM, user("[Earlier messages are left out]"), *messages[-4:]]
        for edited in (without, rewritten, last):
            assert gateway.ask(*edited).program_id == f"p{number}"


def test_a_history_that_gives_way_to_the_models_summary_belongs(gateway: Gateway) -> None:
    for number, messages in enumerate(two(gateway), start=1):
        summary = f"So far, program {number} has looked at all of it.\nIt goes on with the tests."
        assert gateway.get(*messages, user("Summarise."), says=summary) == f"p{number}"
        told = user(f"This goes on from another session:\n\n{summary}\n")
        assert gateway.get(SYSTEM, told, says="go on") == f"p{number}"
        assert gateway.get(SYSTEM, told, answer("go on"), user("x"), says="") == f"p{number}"


def test_sub_agents_belong_to_who_wrote_their_task(gateway: Gateway) -> None:
    task = "Find all places where the parser is called, and list them."
    call = ToolCall("c1", "agent", json.dumps({"description": "look", "prompt": task}))
    gateway.get(SYSTEM, user("other"), says="nothing of it")
    gateway.get(SYSTEM, user("task"), says=answer("", call))
    sub = (Message("system", "You are a sub-agent."), user(f"{task}\n"))
    assert gateway.ask(*sub) == Recognised(
        program_id="p2", is_new=False, reason="has text that its model wrote"
    )
    assert gateway.ask(*sub).program_id == "p2"


def test_a_sub_agent_with_a_task_of_its_own_is_a_program_of_its_own(gateway: Gateway) -> None:
    gateway.get(SYSTEM, user("task"), says="I shall ask somebody to look into the parser.")
    assert gateway.ask(Message("system", "Sub."), user("Look into the lexer.")).is_new


def test_what_a_model_says_of_its_task_does_not_draw_others_with_that_task(
    gateway: Gateway,
) -> None:
    text = "Fix the parser, which fails on empty files, please."
    gateway.get(SYSTEM, user(text), says=f"The task is:\n{text}\nI start.")
    assert gateway.ask(Message("system", "Another system prompt."), user(text)).is_new


def test_forks_of_a_conversation_belong_to_it(gateway: Gateway) -> None:
    messages = conversation(gateway, "one")
    conversation(gateway, "two")
    for cut in (4, 8, 12):
        for worker in range(2):
            forked = [*messages[:cut], user(f"You are worker {worker}.")]
            assert gateway.get(*forked, says="ok") == "p1"


def test_examples_that_many_programs_begin_with_join_nobody(gateway: Gateway) -> None:
    examples = (SYSTEM, user("What is 2 + 2?"), answer("Action: add[2, 2]"), user("4"))
    found = [gateway.get(*examples, user(f"question {at}"), says="Action") for at in range(4)]
    assert found == ["p1", "p2", "p3", "p4"]
    for at in range(4):
        later = (*examples, user(f"question {at}"), answer("Action"), user("Observation"))
        assert gateway.get(*later, says="Done") == f"p{at + 1}"


def test_a_name_decides(gateway: Gateway) -> None:
    one, other = (Claim(program=name, source="X-Session-ID") for name in ("s1", "s2"))
    task = (SYSTEM, user("task"))
    assert gateway.ask(*task, claim=one) == Recognised(
        program_id="p1", is_new=True, reason="X-Session-ID"
    )
    assert gateway.ask(*task, claim=other).program_id == "p2"
    assert gateway.ask(user("something else"), claim=one) == Recognised(
        program_id="p1", is_new=False, reason="X-Session-ID"
    )
    assert gateway.ask(*task).program_id == "p3", "no name: not theirs"


def test_a_parent_is_known_whoever_comes_first(gateway: Gateway) -> None:
    child = gateway.ask(user("x"), claim=Claim(program="child", parent="parent"))
    parent = gateway.ask(user("y"), claim=Claim(program="parent"))
    assert (child.program_id, child.parent_id, child.is_new) == ("p1", "p2", True)
    assert (parent.program_id, parent.parent_id, parent.is_new) == ("p2", "", True)


def test_a_shared_name_separates_and_does_not_join(gateway: Gateway) -> None:
    ann, bob = (Claim(program=name, is_shared=True, source="user") for name in ("ann", "bob"))
    task = (SYSTEM, user("task"))
    gateway.recogniser.answered(gateway.ask(*task, claim=ann), Completion(text="a"))
    later = (*task, answer("a"), user("x"))
    assert gateway.ask(*later, claim=bob).program_id == "p2"
    assert gateway.ask(*later).program_id == "p3"
    assert gateway.ask(*later, claim=ann).program_id == "p1"
    assert gateway.ask(user("new"), claim=ann).program_id == "p4"


def test_a_request_that_refers_to_an_answer_belongs_to_its_program(gateway: Gateway) -> None:
    recognised = gateway.ask(SYSTEM, user("task"))
    gateway.recogniser.answered(recognised, Completion(text="a"), response_id="resp_1")
    second = gateway.ask(result("c1", "4"), previous="resp_1")
    assert second == Recognised(
        program_id="p1", is_new=False, reason="goes on from its response", results=("c1",)
    )
    gateway.recogniser.answered(second, Completion(text="b"), response_id="resp_2")
    assert gateway.ask(user("x"), previous="resp_2").program_id == "p1"
    assert gateway.ask(user("x"), previous="resp_2", tenant="other").program_id == "p2"
    assert gateway.ask(user("x"), previous="resp_9").is_new


def test_tenants_are_apart_in_everything(gateway: Gateway) -> None:
    task, long = (SYSTEM, user("task")), "A line that is long enough to be told from others."
    call = ToolCall("call_of_one_tenant", "agent", json.dumps({"prompt": long}))
    gateway.recogniser.answered(
        gateway.ask(*task), Completion(text="a", tool_calls=(call,)), response_id="resp"
    )
    gateway.recogniser.failed(gateway.ask(SYSTEM, user("failed")))
    for request in (
        (*task, answer("a", call), result(call.id, "x")),
        (SYSTEM, answer("a", call), user("x")),
        (SYSTEM, user(long)),
        (SYSTEM, user("failed")),
    ):
        assert not gateway.ask(*request).is_new
        assert gateway.ask(*request, tenant="other").is_new
    assert gateway.ask(claim=Claim(program="s")).program_id != (
        gateway.ask(claim=Claim(program="s"), tenant="other").program_id
    )


def test_conversations_of_named_programs_are_not_looked_at(gateway: Gateway) -> None:
    long = (user("Fix it."), answer("", ToolCall("c1", "bash", "{}")), result("c1", "a.py"))
    found = gateway.ask(*long, claim=Claim(program="mine", source="X-Session-ID"))
    assert (found.reason, found.results) == ("X-Session-ID", ("c1",))
    assert (gateway.recogniser.digests, gateway.recogniser._digests._cached) == (0, {})


def test_only_results_after_the_last_answer_are_new(gateway: Gateway) -> None:
    calls = tuple(ToolCall(f"c{at}", "ls", "{}") for at in range(3))
    found = gateway.ask(
        user("x"),
        answer("", calls[0]),
        result("c0", "a"),
        answer("", *calls[1:]),
        result("c1", "b"),
        result("c2", "c"),
    )
    assert found.results == ("c1", "c2")


def test_prompts_without_messages_go_on_where_they_begin_alike(gateway: Gateway) -> None:
    template = "Answer the question by calling tools.\n" * 30
    prompts = [f"{template}Question: {at}\nThought:" for at in range(40)]
    for at, prompt in enumerate(prompts):
        recognised = gateway.ask(user(prompt), endpoint="completions")
        assert recognised.program_id == f"p{at + 1}"
        gateway.recogniser.answered(recognised, Completion(text=" I search.\nAction: search"))
    for at, prompt in enumerate(prompts):
        later = f"{prompt} I search.\nAction: search\nObservation: nothing\nThought:"
        assert gateway.ask(user(later), endpoint="completions").program_id == f"p{at + 1}"


def test_embeddings_are_no_conversation(gateway: Gateway) -> None:
    found = [gateway.ask(user("text"), endpoint="embeddings").program_id for _ in range(2)]
    assert found == ["p1", "p2"]
    assert gateway.ask(user("text")).program_id == "p3"


def test_a_program_that_is_over_is_not_gone_on_from(gateway: Gateway) -> None:
    messages = conversation(gateway, "one")
    named = gateway.ask(user("x"), claim=Claim(program="s"))
    late = gateway.ask(*messages)
    for program_id in ("p1", named.program_id, "never heard of"):
        gateway.recogniser.end(program_id)
    gateway.recogniser.answered(late, Completion(text="too late"), response_id="resp")
    assert (len(gateway.recogniser), gateway.recogniser.digests) == (0, 0)
    assert gateway.ask(*messages).is_new
    assert gateway.ask(user("x"), claim=Claim(program="s")).is_new
    assert gateway.ask(user("x"), previous="resp").is_new


@pytest.mark.parametrize(
    ("recogniser", "remembered"),
    [
        (Recogniser(most_conversations=3, ids=_ids()), 3),
        (Recogniser(most_bytes=16_000, ids=_ids()), 3),
        (Recogniser(forget_after_s=25.0, ids=_ids()), 5),
    ],
)
def test_what_was_used_longest_ago_is_forgotten_first(
    recogniser: Recogniser, remembered: int
) -> None:
    gateway = Gateway(recogniser)
    kept = [conversation(gateway, f"agent {at}", turns=5) for at in range(12)]
    assert len(recogniser) <= remembered + 1
    assert gateway.ask(*kept[-1]).program_id == "p12"
    assert gateway.ask(*kept[0]).is_new


def test_quiet_programs_are_forgotten_first_and_are_gone_on_from_until_then() -> None:
    recogniser = Recogniser(most_quiet_bytes=20_000, ids=_ids())
    gateway = Gateway(recogniser)
    kept = [conversation(gateway, f"agent {at}", turns=5) for at in range(12)]
    for program_id in ("p2", "p3", "never heard of"):
        recogniser.quiet(program_id)
    assert gateway.ask(*kept[1]).program_id == "p2"
    for at in range(2, 11):
        recogniser.quiet(f"p{at + 1}")
    assert gateway.ask(*kept[0]).program_id == "p1"  # used longest ago of all, but never quiet
    assert gateway.ask(*kept[1]).program_id == "p2"  # heard of since
    assert gateway.ask(*kept[2]).is_new
    assert gateway.ask(*kept[10]).program_id == "p11"


def test_of_a_program_that_goes_quiet_and_speaks_in_turns_nothing_is_counted_twice() -> None:
    recogniser = Recogniser(most_quiet_bytes=20_000, ids=_ids())
    gateway = Gateway(recogniser)
    messages = conversation(gateway, "one")
    for _ in range(50):
        recogniser.quiet("p1")
        recogniser.quiet("p1")
        assert gateway.ask(*messages).program_id == "p1"
    assert len(recogniser) == 1


def test_what_is_kept_of_one_program_is_bounded() -> None:
    gateway = Gateway()
    messages = [SYSTEM, user("task")]
    sizes = []
    for turn in range(300):
        text = "\n".join(f"line {line} of the long answer of turn {turn}" for line in range(20))
        assert gateway.get(*messages, says=text) == "p1"
        messages = [*messages[-8:], answer(text), user(f"sees {turn}")]
        sizes.append(gateway.recogniser.digests)
    assert max(sizes) < 2_500


def test_state_survives_a_restart_and_has_no_text(gateway: Gateway) -> None:
    messages = conversation(gateway, "one")
    gateway.ask(user("x"), claim=Claim(program="session-name", parent="parent-name"))
    recognised = gateway.ask(SYSTEM, user("asked when it stopped"))
    gateway.recogniser.answered(gateway.ask(*messages), Completion(text="done"), response_id="r1")
    stored = json.dumps(gateway.recogniser.snapshot(gateway.now))
    for text in ("does step", "session-name", "parent-name", "asked when", "r1", "task"):
        assert text not in stored.replace('"task":', "")
    later = Gateway(Recogniser(ids=lambda: "new"))
    later.recogniser.restore(json.loads(stored), now=5.0)
    assert later.recogniser.digests == gateway.recogniser.digests
    assert len(later.recogniser) == len(gateway.recogniser)
    again = json.loads(json.dumps(later.recogniser.snapshot(5.0)))
    assert [one["messages"] for one in again["programs"]] == [
        one["messages"] for one in json.loads(stored)["programs"]
    ]
    assert later.ask(*messages, answer("done"), user("more")).program_id == "p1"
    assert later.ask(user("x"), previous="r1").program_id == "p1"
    assert later.ask(user("y"), claim=Claim(program="session-name")).program_id == "p2"
    parent = later.ask(user("y"), claim=Claim(program="parent-name"))
    assert (parent.program_id, parent.is_new) == ("p3", True)
    assert later.ask(SYSTEM, user("asked when it stopped")).program_id == recognised.program_id
    assert later.ask(SYSTEM, user("another")).program_id == "new"


def test_state_that_is_none_is_refused_and_of_another_version_left(gateway: Gateway) -> None:
    gateway.recogniser.restore({"version": 0, "programs": [1]}, now=0.0)
    assert len(gateway.recogniser) == 0
    for state in ({}, {"version": 1}, {"version": 1, "programs": [{"id": "p"}]}):
        with pytest.raises(InputError, match="state of programs"):
            gateway.recogniser.restore(state, now=0.0)


def test_odd_requests_are_programs_of_their_own(gateway: Gateway) -> None:
    for messages in ((), (SYSTEM,), (user(""),), (answer(""),), (user("\ud800"),)):
        recognised = gateway.ask(*messages)
        gateway.recogniser.answered(recognised, Completion(text="{", tool_calls=()))
        assert recognised.is_new, messages
    empty = [gateway.ask(user(""), endpoint="completions") for _ in range(2)]
    assert all(recognised.is_new for recognised in empty)
    assert gateway.ask(user("any text"), endpoint="completions").is_new
    deep = ToolCall("c", "f", "[" * 100_000)
    recognised = gateway.ask(user("deep"), answer("[" * 100_000, deep))
    gateway.recogniser.answered(recognised, Completion(text="[" * 100_000, tool_calls=(deep,)))
    assert recognised.is_new
