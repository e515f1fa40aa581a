"""What clients do to conversations, done to recorded ones, for `tests.benchmarks.recognition`."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from agentrt.ir.request import Completion, Message, ToolCall
from tests.benchmarks.recognition_replay import Program, Turn

Variant = Callable[[list[Program], random.Random], list[Program]]

RETRIED = 0.05
COPIES = 4


def plain(programs: list[Program], rng: random.Random) -> list[Program]:
    return programs


def retries(programs: list[Program], rng: random.Random) -> list[Program]:
    """5 % of the turns fail, and are asked once more."""
    return [
        replace(program, turns=tuple(_with_failures(program.turns, rng))) for program in programs
    ]


def _with_failures(turns: Sequence[Turn], rng: random.Random) -> list[Turn]:
    made: list[Turn] = []
    for turn in turns:
        while rng.random() < RETRIED:
            made.append(replace(turn, completion=None))
        made.append(turn)
    return made


def lost_answers(programs: list[Program], rng: random.Random) -> list[Program]:
    """5 % of the answers are made and do not reach the client, which asks once more."""
    return _asked_again(programs, rng, says_so=False)


def lost_answers_told(programs: list[Program], rng: random.Random) -> list[Program]:
    """The same of clients that say so, as OpenAI's do."""
    return _asked_again(programs, rng, says_so=True)


def _asked_again(programs: list[Program], rng: random.Random, *, says_so: bool) -> list[Program]:
    def both(turn: Turn) -> tuple[Turn, ...]:
        again = replace(turn, is_retry=says_so)
        return (turn, again) if rng.random() < RETRIED else (turn,)

    return [
        replace(program, turns=tuple(one for turn in program.turns for one in both(turn)))
        for program in programs
    ]


def _each_turn(change: Callable[[Turn, int], Turn]) -> Callable[[Program], Program]:
    return lambda program: replace(
        program, turns=tuple(change(turn, at) for at, turn in enumerate(program.turns))
    )


def time_in_system(programs: list[Program], rng: random.Random) -> list[Program]:
    """The system prompt has the time of each request in it."""

    def change(turn: Turn, at: int) -> Turn:
        rest = turn.messages
        first = rest[0].content if rest and rest[0].role == "system" else ""
        rest = rest[1:] if first else rest
        time = Message("system", f"{first}\nThe time is {rng.random()}.")
        return replace(turn, messages=(time, *rest))

    return list(map(_each_turn(change), programs))


def time_in_task(programs: list[Program], rng: random.Random) -> list[Program]:
    """The first message that is no system prompt has the time of each request in it."""

    def change(turn: Turn, at: int) -> Turn:
        first = _first(turn.messages)
        messages = list(turn.messages)
        stamped = f"It is {rng.random()}.\n{messages[first].content}"
        messages[first] = replace(messages[first], content=stamped)
        return replace(turn, messages=tuple(messages))

    return list(map(_each_turn(change), programs))


def _first(messages: Sequence[Message]) -> int:
    return next((at for at, one in enumerate(messages) if one.role != "system"), 0)


def edits(programs: list[Program], rng: random.Random) -> list[Program]:
    """From every fifth turn on, on average, one earlier message is another one, or is left out."""

    def edited(program: Program) -> Program:
        changes: dict[int, Message | None] = {}
        turns: list[Turn] = []
        for turn in program.turns:
            last = len(turn.messages) - 1
            if last > 2 and rng.random() < 0.2:
                at = rng.randrange(1, last)
                old = turn.messages[at]
                text = f"{old.content[: len(old.content) // 2]} [rewritten {rng.random()}]"
                changes[at] = None if rng.random() < 0.5 else replace(old, content=text)
            messages = (changes.get(at, one) for at, one in enumerate(turn.messages))
            turns.append(replace(turn, messages=tuple(one for one in messages if one)))
        return replace(program, turns=tuple(turns))

    return list(map(edited, programs))


def truncated(programs: list[Program], rng: random.Random) -> list[Program]:
    """What came back from tools is cut to 20 characters, but for the last two times."""

    def change(turn: Turn, at: int) -> Turn:
        last = len(turn.messages)
        first = _first(turn.messages)
        messages = tuple(
            replace(one, content=f"{one.content[:20]} [cut]")
            if first < position < last - 4 and one.role != "assistant"
            else one
            for position, one in enumerate(turn.messages)
        )
        return replace(turn, messages=messages)

    return list(map(_each_turn(change), programs))


def normalised(programs: list[Program], rng: random.Random) -> list[Program]:
    """Answers come back without reasoning and white space, tool calls written anew, ids too."""

    def sent_back(one: Message) -> Message:
        calls = tuple(
            ToolCall(f"new-{rng.random()}", call.name, _rewritten(call.arguments))
            for call in one.tool_calls
        )
        return replace(one, content=one.content.strip(), tool_calls=calls, tool_call_id=None)

    def change(turn: Turn, at: int) -> Turn:
        answer = turn.completion
        if answer is not None:
            text = f"<think>\nLet me see, {rng.random()}.\n</think>\n\n{answer.text}\n"
            answer = replace(answer, text=text)
        return replace(turn, messages=tuple(map(sent_back, turn.messages)), completion=answer)

    return list(map(_each_turn(change), programs))


def _rewritten(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), indent=1, sort_keys=True)
    except ValueError:
        return arguments


def cut_answers(programs: list[Program], rng: random.Random) -> list[Program]:
    """Only the last 60 characters of each answer come back."""

    def change(turn: Turn, at: int) -> Turn:
        messages = tuple(
            replace(one, content=one.content[-60:]) if one.role == "assistant" else one
            for one in turn.messages
        )
        return replace(turn, messages=messages)

    return list(map(_each_turn(change), programs))


def compacted(programs: list[Program], rng: random.Random) -> list[Program]:
    """From the middle on, all but the start and what is new gives way to a note of the client's own."""

    def compact(program: Program) -> Program:
        middle = len(program.turns) // 2
        if not middle:
            return program
        cut = len(program.turns[middle].messages)
        note = Message("user", f"[Earlier steps were left out to save space: {rng.random()}]")

        def change(turn: Turn, at: int) -> Turn:
            if at < middle:
                return turn
            first = _first(turn.messages) + 1
            start = max(first, cut - 4)
            return replace(turn, messages=(*turn.messages[:first], note, *turn.messages[start:]))

        return _each_turn(change)(program)

    return list(map(compact, programs))


def summarised(programs: list[Program], rng: random.Random) -> list[Program]:
    """In the middle the model is asked for a summary, which all before gives way to."""

    def summarise(program: Program) -> Program:
        middle = len(program.turns) // 2
        if not middle:
            return program
        before = program.turns[middle]
        written = [one.content for one in before.messages if one.role == "assistant"]
        summary = "\n".join(
            f"- {number} {' '.join(text.split())[:120]} ({rng.random()})"
            for number, text in enumerate(written)
        )
        ask = Message("user", "Summarise all of the above, so that the work can go on from it.")
        asks = Turn((*before.messages, ask), Completion(text=summary))
        cut = len(before.messages)
        told = Message("user", f"This session goes on from an earlier one:\n{summary}\n\nGo on.")
        system = before.messages[: _first(before.messages)]
        after = (
            replace(turn, messages=(*system, told, *turn.messages[cut:]))
            for turn in program.turns[middle:]
        )
        return replace(program, turns=(*program.turns[:middle], asks, *after))

    return list(map(summarise, programs))


def same_tasks(programs: list[Program], rng: random.Random) -> list[Program]:
    """Each task is given to four programs; they get the same answers, worded in another way."""
    return [_copied(program, copy) for program in programs for copy in range(COPIES)]


def _copied(program: Program, copy: int) -> Program:
    def worded(text: str) -> str:
        return f"{text} ({copy})" if copy else text

    def sent_back(one: Message) -> Message:
        if one.role != "assistant":
            return one
        return replace(one, content=worded(one.content), tool_calls=_own_ids(one.tool_calls, copy))

    def change(turn: Turn, at: int) -> Turn:
        answer = turn.completion
        if answer is not None:
            calls = _own_ids(answer.tool_calls, copy)
            answer = replace(answer, text=worded(answer.text), tool_calls=calls)
        return replace(turn, messages=tuple(map(sent_back, turn.messages)), completion=answer)

    return _each_turn(change)(replace(program, name=f"{program.name}#{copy}"))


def _own_ids(calls: tuple[ToolCall, ...], copy: int) -> tuple[ToolCall, ...]:
    return tuple(replace(call, id=f"{call.id}-{copy}") for call in calls)


def same_tasks_compacted(programs: list[Program], rng: random.Random) -> list[Program]:
    """Four programs for each task, and each of them compacts its history."""
    return compacted(same_tasks(programs, rng), rng)


def sub_agents(programs: list[Program], rng: random.Random) -> list[Program]:
    """In the middle a tool call starts two sub-agents, each with a system prompt of its own."""

    def fork(program: Program) -> Program:
        middle = len(program.turns) // 2
        before = program.turns[middle]
        asked: list[Turn] = []
        calls: list[ToolCall] = []
        for number in range(2):
            task = f"Look into part {number}: find out why {rng.random()} matters, and report it."
            calls.append(ToolCall(f"sub-{rng.random()}", "task", json.dumps({"prompt": task})))
            messages = [Message("system", "You are a sub-agent."), Message("user", task)]
            for step in range(3):
                answer = f"Step {step} of {rng.random()}"
                asked.append(Turn(tuple(messages), Completion(text=answer)))
                messages += (Message("assistant", answer), Message("user", f"ok {rng.random()}"))
        starts = Turn(before.messages, Completion(tool_calls=tuple(calls)))
        added = (
            Message("assistant", "", tuple(calls)),
            *(Message("tool", f"Found {rng.random()}", tool_call_id=call.id) for call in calls),
        )
        cut = len(before.messages)
        after = (
            replace(turn, messages=(*turn.messages[:cut], *added, *turn.messages[cut:]))
            for turn in program.turns[middle:]
        )
        return replace(program, turns=(*program.turns[:middle], starts, *asked, *after))

    return list(map(fork, programs))


def forks(programs: list[Program], rng: random.Random) -> list[Program]:
    """In the middle two conversations go on from the same history, turn about with the first."""

    def fork(program: Program) -> Program:
        middle = len(program.turns) // 2
        if not middle:
            return program
        lanes = [list(program.turns[middle:])]
        for number in range(2):
            messages = [*program.turns[middle].messages]
            messages.append(Message("user", f"You are worker {number}: do {rng.random()}."))
            lanes.append([])
            for step in range(3):
                answer = f"Step {step} of {rng.random()}"
                lanes[-1].append(Turn(tuple(messages), Completion(text=answer)))
                messages += (Message("assistant", answer), Message("user", f"ok {rng.random()}"))
        turns = list(program.turns[:middle])
        while any(lanes):
            lane = rng.choice([lane for lane in lanes if lane])
            turns.append(lane.pop(0))
        return replace(program, turns=tuple(turns))

    return list(map(fork, programs))


VARIANTS: dict[str, Variant] = {
    "as recorded": plain,
    "5 % fail and are retried": retries,
    "5 % answered and asked again": lost_answers,
    "the same, and the client says so": lost_answers_told,
    "time in the system prompt": time_in_system,
    "time in the first message": time_in_task,
    "history edited": edits,
    "tool outputs cut": truncated,
    "answers normalised": normalised,
    "answers cut": cut_answers,
    "compacted by the client": compacted,
    "compacted by the model": summarised,
    "sub-agents": sub_agents,
    "forks": forks,
    "each task 4 times": same_tasks,
    "each task 4 times, compacted": same_tasks_compacted,
}
