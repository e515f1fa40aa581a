"""Which program's conversation a request goes on from, by what is remembered of all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentrt.gateway.conversation_digests import Conversation, digest, lines, rest_of, task_lines
from agentrt.gateway.conversation_ends import End, EndState, Remembered
from agentrt.gateway.conversation_index import ConversationIndex, distinct
from agentrt.gateway.conversation_postings import Votes

_LEAST_SHARE = 0.2
"""Of the messages that could tell, those that a program must have for an edited history to be its."""

_LEAST_WRITTEN = 2 / 3
"""Of the lines of a message that some answer has, those that are one program's."""

_LEAST_COVERED = 0.3
"""Of a message's long lines, those that an answer must have for it to be written by the model."""

_MOST_LINED = 8
"""Messages whose lines are looked for, from the first and from the last on."""

_MOST_IDS = 16


@dataclass(frozen=True, slots=True)
class Sought:
    """A request whose program is sought, within a namespace."""

    conversation: Conversation
    namespace: int
    is_retry: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A program, and why it is that one.

    Attributes:
        units: How many of the request's messages are known to be its, from the first on.
        end: What the request goes on from, or repeats.
        is_first: It repeats the first request of the program.
        is_beginning: It begins a conversation of its own in the program.
    """

    program: Remembered
    reason: str
    units: int = 0
    end: End | None = None
    is_first: bool = False
    is_beginning: bool = False


def id_key(tool_call_id: str, namespace: int) -> int:
    """Under which a tool call is remembered."""
    return digest("tool call", tool_call_id) ^ namespace


class ConversationSearch:
    """Looks for the longest beginning that is known, then for messages, then for lines."""

    def __init__(self, index: ConversationIndex) -> None:
        self._index = index

    def found(self, sought: Sought) -> Found | None:
        """The program that a request belongs to; None: to none that is known."""
        conversation = sought.conversation
        units = len(conversation.units)
        repeated = [
            end
            for end in self._ends(sought, units, is_prompt=True)
            if _is_whole(conversation, units, end)
        ]
        failed = [end for end in repeated if end.state is EndState.FAILED]
        if not failed and sought.is_retry:
            # Whoever has gone on since has had its answer.
            failed = sorted(repeated, key=_is_waiting)
        if failed:
            end = failed[-1]
            reason = "asks once more what has failed"
            return Found(end.program, reason, units, end, is_first=end.is_first)
        extended = self._extended(sought, is_repeated=bool(repeated))
        if extended is not None and extended.end is not None:
            answer = extended.end.answer if extended.end.is_prompt else extended.end
            is_awaited = answer is not None and answer.state is EndState.AWAITED
            if is_awaited or not repeated:
                return extended
        later = [end for end in repeated if not end.is_first]
        if later:
            programs = tuple(distinct(later))
            chosen = programs[0] if len(programs) == 1 else self._told_apart(sought, programs, 0)
            return Found(
                chosen or programs[-1],
                "asks once more what it has asked before",
                units,
            )
        if extended is not None:
            return extended
        if repeated:
            # Others that began alike: what the model wrote for them is not in it.
            return self._written(sought)
        return self._edited(sought) or self._written(sought)

    def _ends(self, sought: Sought, units: int, *, is_prompt: bool) -> list[End]:
        conversation, index = sought.conversation, self._index
        key = conversation.chain[units] ^ sought.namespace
        ends = index.ends(key)
        if conversation.is_text and (rests := index.rests(key)):
            after = _after(conversation, units)
            ends = list(ends)
            for length in sorted(rests):
                ends += index.ends(key, rest_of(after[:length]))
        found = [
            end
            for end in ends
            if end.is_prompt is is_prompt and end.program.namespace == sought.namespace
        ]
        if len(found) <= 1:
            return found
        # A system prompt that has the time in it is another one each turn.
        return [end for end in found if end.system == conversation.system] or found

    def _extended(self, sought: Sought, *, is_repeated: bool) -> Found | None:
        """By the longest prompt or answer that the request begins with."""
        conversation, index, namespace = sought.conversation, self._index, sought.namespace
        chain = conversation.chain
        for units in range(len(chain) - 1, -1, -1):
            key = chain[units] ^ namespace
            if not index.ends(key) and not index.rests(key):
                continue
            answers = self._ends(sought, units, is_prompt=False)
            if answers:
                return self._after_answer(sought, answers, units)
            if units == len(chain) - 1 and not conversation.is_text:
                continue
            prompts = self._ends(sought, units, is_prompt=True)
            if prompts and not _is_whole(conversation, units, prompts[-1]):
                # Of programs alike in all, one that has asked this has had its turn.
                awaited = [end for end in prompts if is_repeated and _is_waiting(end)]
                return self._after_prompt(sought, awaited or prompts, units)
        return None

    def _after_answer(self, sought: Sought, ends: Sequence[End], units: int) -> Found:
        reason = "goes on from its conversation"
        awaited = [end for end in ends if end.state is EndState.AWAITED]
        programs = tuple(distinct(awaited or ends))
        chosen = programs[0] if len(programs) == 1 else self._told_apart(sought, programs, 0)
        if chosen is None:
            # Alike up to here. Whoever was answered first is the first to go on, more or less.
            end = awaited[0] if awaited else _expected_most(ends, sought.conversation)
            return _at(end, reason, units)
        of_it = [end for end in awaited or ends if end.program is chosen]
        return _at(of_it[0] if awaited else of_it[-1], reason, units)

    def _after_prompt(self, sought: Sought, ends: Sequence[End], units: int) -> Found:
        """The answer that follows is not as the model gave it, or is left out."""
        reason = "goes on from its conversation, with another answer"
        programs = tuple(distinct(ends))
        if len(programs) == 1:
            return _at(ends[-1], reason, units)
        chosen = self._told_apart(sought, programs, units) or self._by_lines(
            sought, range(units, len(sought.conversation.units)), programs
        )
        if chosen is not None:
            own = [end for end in ends if end.program is chosen]
            return _at(own[-1], reason, units)
        awaited = [end for end in ends if end.answer and end.answer.state is EndState.AWAITED]
        end = awaited[0] if awaited else _expected_most(ends, sought.conversation)
        return _at(end, reason, units)

    def _told_apart(
        self, sought: Sought, programs: tuple[Remembered, ...], units: int
    ) -> Remembered | None:
        """Who alone has most of the tool calls and messages; None: several, or nobody."""
        votes = Votes(self._index.messages, self._evidence(sought, units), sought.namespace)
        ranked = sorted((votes.of.get(one, 0.0) for one in programs), reverse=True)
        if not ranked[0] or ranked[0] == ranked[1]:
            return None
        return votes.best(programs)

    def _evidence(self, sought: Sought, units: int) -> list[int]:
        conversation, namespace = sought.conversation, sought.namespace
        # What comes after the last answer is new: who has had it was only there before.
        keys = [unit ^ namespace for unit in conversation.units[units : conversation.answered_to]]
        keys += (id_key(one, namespace) for one in conversation.call_ids[:_MOST_IDS])
        return keys

    def _edited(self, sought: Sought) -> Found | None:
        """By messages that occur in some program's conversation, up to the last answer."""
        conversation, namespace = sought.conversation, sought.namespace
        told = conversation.units[: conversation.answered_to]
        keys = [unit ^ namespace for unit in told]
        keys += (id_key(one, namespace) for one in conversation.call_ids[:_MOST_IDS])
        votes = Votes(self._index.messages, keys, namespace)
        likely = [one for one, count in votes.counts.items() if count >= _LEAST_SHARE * len(told)]
        if not likely:
            return None
        task = set(task_lines(conversation)) if len(likely) > 1 else set[int]()

        def likeness(program: Remembered) -> tuple[float, float]:
            alike = len(task.intersection(program.task)) / max(1, len(task))
            return votes.of[program] + alike + _expected(program, conversation), program.used_at

        return Found(max(likely, key=likeness), "has messages of its conversation, edited")

    def _written(self, sought: Sought) -> Found | None:
        """By lines that the model wrote for some program: a sub-agent's task, a summary."""
        count = len(sought.conversation.units)
        at = [*range(min(count, _MOST_LINED)), *range(max(_MOST_LINED, count - _MOST_LINED), count)]
        best = self._by_lines(sought, at)
        if best is None:
            return None
        return Found(best, "has text that its model wrote", is_beginning=True)

    def _by_lines(
        self, sought: Sought, at: Sequence[int], among: Sequence[Remembered] | None = None
    ) -> Remembered | None:
        conversation, namespace = sought.conversation, sought.namespace
        for position in at:
            found = lines(conversation.texts[position])
            votes = Votes(self._index.lines, [one ^ namespace for one in found], namespace)
            unit = conversation.units[position]
            # What a program was given, its model may have said once more: others are given it too.
            own = [one for one in (votes.of if among is None else among) if unit not in one.given]
            best = votes.best(own)
            if best is None or votes.of[best] < _LEAST_WRITTEN * votes.known:
                continue
            if among is not None or votes.known >= _LEAST_COVERED * len(found):
                return best
        return None


def _after(conversation: Conversation, units: int) -> str:
    """The text after some units, less than all of it."""
    is_last = units == len(conversation.units)
    return conversation.rest if is_last else conversation.texts[units]


def _expected(program: Remembered, conversation: Conversation) -> float:
    """How well the request comes after the program's latest answer."""
    end = program.ends[-1]
    if end.state is not EndState.AWAITED:
        return 0.0
    last = conversation.answered_to
    return 1.0 if last and conversation.units[last - 1] == end.said else 0.5


def _expected_most(ends: Sequence[End], conversation: Conversation) -> End:
    return max(ends, key=lambda end: (_expected(end.program, conversation), -end.program.used_at))


def _is_waiting(prompt: End) -> bool:
    """Whether nothing has gone on from a prompt."""
    answer = prompt.answer
    return prompt.state is not EndState.GONE_ON and (
        answer is None or answer.state is EndState.AWAITED
    )


def _is_whole(conversation: Conversation, units: int, end: End) -> bool:
    """Whether a prompt is all of the request."""
    return units == len(conversation.units) and len(conversation.rest) == end.rest[0]


def _at(end: End, reason: str, units: int) -> Found:
    return Found(end.program, reason, units, end)
