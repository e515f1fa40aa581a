"""`Recogniser`: which program a request belongs to. Pure; `docs/recognition.md` states the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from agentrt.gateway.asked import Asked, JsonObject
from agentrt.gateway.conversation_digests import (
    Conversation,
    MessageDigests,
    digest,
    grown,
    rest_of,
    results_of,
    task_lines,
    written,
)
from agentrt.gateway.conversation_ends import End, EndState, Place, Remembered
from agentrt.gateway.conversation_index import ConversationIndex
from agentrt.gateway.conversation_search import ConversationSearch, Found, Sought, id_key
from agentrt.gateway.recognition_programs import Bounds, Programs, namespace
from agentrt.gateway.recognition_state import VERSION, read_programs, written_program
from agentrt.ir.request import Completion

MOST_BYTES = 128 << 20
"""What is remembered of all programs takes about so much: 25,000 programs of 6 turns, or 4,500 of 50."""

MOST_QUIET_BYTES = 16 << 20
"""Of that, what may be remembered of programs of which nothing is expected any more."""

FORGET_AFTER_S = 24 * 3600.0

_TASK_CHARACTERS = 100
"""A first message of at least this length is worth looking for in what was edited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """Which program a request belongs to.

    Attributes:
        program_id: agentrt's own: it says nothing of the client's text or names.
        is_new: It is the program's first request.
        reason: Why it is that one, for people.
        parent_id: The program that it is a part of, where a claim says so; empty: none.
        results: Ids of the tool calls whose results the request brings.
    """

    program_id: str
    is_new: bool
    reason: str
    parent_id: str = ""
    results: tuple[str, ...] = ()
    turn: RecognisedTurn | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class RecognisedTurn:
    """What an answer is added to; for the `Recogniser` alone."""

    program: Remembered
    tenant: str
    conversation: Conversation | None = None
    prompt: End | None = None


def new_id() -> str:
    """An id that was never given before."""
    return f"p-{uuid4().hex[:16]}"


class Recogniser:
    """Tells programs apart, by what requests say of themselves or else by their conversations.

    Times are seconds that never go back. What is kept of conversations is digests, of the programs
    used last.
    """

    def __init__(
        self,
        *,
        most_conversations: int = 100_000,
        most_bytes: int = MOST_BYTES,
        most_quiet_bytes: int = MOST_QUIET_BYTES,
        forget_after_s: float = FORGET_AFTER_S,
        ids: Callable[[], str] = new_id,
    ) -> None:
        bounds = Bounds(
            programs=most_conversations,
            bytes=most_bytes,
            quiet_bytes=most_quiet_bytes,
            idle_s=forget_after_s,
        )
        self._index = ConversationIndex()
        self._search = ConversationSearch(self._index)
        self._digests = MessageDigests()
        self._programs = Programs(self._index, bounds, ids)

    def __len__(self) -> int:
        """Programs remembered."""
        return len(self._programs)

    @property
    def digests(self) -> int:
        """Digests remembered, of all programs."""
        return self._index.size

    def recognise(self, asked: Asked, *, tenant: str, now: float) -> Recognised:
        """Which program `asked` belongs to, a new one if to none that is known.

        Every request so recognised is to be told of once more: `answered`, or `failed`.
        """
        self._programs.forget(now)
        claim = asked.claim
        turn, is_new, reason = self._turn(asked, tenant, now)
        self._programs.use(turn.program, now)
        parent_id = ""
        if claim.parent and claim.parent != claim.program:
            # Whether or not that one has asked for anything yet.
            parent_id = self._programs.called(tenant, claim.parent, now).program_id
        return Recognised(
            program_id=turn.program.program_id,
            is_new=is_new,
            reason=reason,
            parent_id=parent_id,
            results=results_of(asked.request.messages),
            turn=turn,
        )

    def answered(
        self, recognised: Recognised, completion: Completion, *, response_id: str = ""
    ) -> None:
        """Its answer: what later requests go on from.

        Args:
            response_id: Under which a later request may refer to it.
        """
        turn = recognised.turn
        if turn is None or turn.program not in self._programs:
            return
        program = turn.program
        if response_id:
            self._programs.name(program, _response(turn.tenant, response_id))
        conversation, prompt = turn.conversation, turn.prompt
        if conversation is None or prompt is None:
            return
        # The next request may be here before all of the answer has been read.
        is_gone_on = prompt.state is EndState.GONE_ON
        prompt.state = EndState.ANSWERED
        within = program.namespace
        unit = self._digests.answer(completion)
        chain, units, rest = grown(conversation, unit, completion.text)
        keys = [unit ^ within]
        keys += (id_key(call.id, within) for call in completion.tool_calls if call.id)
        self._index.add_messages(keys, program)
        self._index.add_lines((line ^ within for line in written(completion)), program)
        place = Place(chain ^ within, units, rest_of(rest), conversation.system)
        state = EndState.GONE_ON if is_gone_on else EndState.AWAITED
        prompt.answer = self._index.add_end(End(program, place, state))
        prompt.answer.said = unit

    def failed(self, recognised: Recognised) -> None:
        """It has no answer, or none that its client got: the same may well be asked again."""
        if recognised.turn is not None and recognised.turn.prompt is not None:
            recognised.turn.prompt.state = EndState.FAILED

    def end(self, program_id: str) -> None:
        """The program is over: what goes on from it, or has its name, is a new program."""
        self._programs.end(program_id)

    def quiet(self, program_id: str) -> None:
        """The program has been silent for so long that nothing is expected of it any more.

        What goes on from it is its own all the same, for as long as it is remembered.
        """
        self._programs.quiet(program_id)

    def snapshot(self, now: float, *, most_programs: int = 2_000) -> JsonObject:
        """What is remembered of the programs used last, as JSON; there is no text in it."""
        latest = self._programs.latest(most_programs)
        return {"version": VERSION, "programs": [written_program(one, now) for one in latest]}

    def restore(self, state: JsonObject, now: float) -> None:
        """Remember what a `snapshot` has, of this version; what was in flight then has failed.

        Raises:
            InputError: it is none.
        """
        self._programs.restore(read_programs(state, now))

    def _turn(self, asked: Asked, tenant: str, now: float) -> tuple[RecognisedTurn, bool, str]:
        """What the request is a turn of, whether that is new, and why."""
        programs, claim = self._programs, asked.claim
        if claim.program and not claim.is_shared:
            program = programs.called(tenant, claim.program, now)
            source = claim.source or "its name"
            return RecognisedTurn(program, tenant), not program.has_asked, source
        if asked.previous_response_id:
            answered = programs.named(_response(tenant, asked.previous_response_id))
            if answered is not None:
                return RecognisedTurn(answered, tenant), False, "goes on from its response"
        within = namespace(tenant, claim.program)
        if asked.endpoint == "embeddings":
            return RecognisedTurn(programs.add(within, now), tenant), True, "has no conversation"
        conversation = self._digests.conversation(asked)
        sought = Sought(conversation, within, is_retry=claim.is_retry)
        found = self._search.found(sought)
        program = found.program if found else programs.add(within, now)
        reason = found.reason if found else "goes on from nothing that is known"
        prompt = self._remember(program, sought, found)
        return RecognisedTurn(program, tenant, conversation, prompt), found is None, reason

    def _remember(self, program: Remembered, sought: Sought, found: Found | None) -> End | None:
        """Add what is new in a request to what is known of its program."""
        conversation, within = sought.conversation, program.namespace
        if not conversation.units and not conversation.rest:
            return None  # all others begin with it
        units = conversation.units
        fresh = units[found.units :] if found else units[-1:] if _is_task(conversation) else ()
        is_first = found is None or found.is_first
        if found is None or found.is_beginning:
            program.give(units)
        if found is None:
            program.task.extend(task_lines(conversation))
        self._index.add_messages([unit ^ within for unit in fresh], program)
        if found is not None and found.end is not None:
            _go_on(found.end)
        rest, system = rest_of(conversation.rest), conversation.system
        place = Place(conversation.chain[-1] ^ within, len(units), rest, system)
        return self._index.add_end(End(program, place, EndState.ASKED, is_first=is_first))


def _response(tenant: str, response_id: str) -> int:
    return digest("response", tenant, response_id)


def _is_task(conversation: Conversation) -> bool:
    is_long = bool(conversation.texts) and len(conversation.texts[-1]) >= _TASK_CHARACTERS
    return is_long and not conversation.is_text


def _go_on(end: End) -> None:
    """A request has gone on from it, or has asked it once more."""
    if end.is_prompt and end.state is EndState.FAILED:
        end.state = EndState.ANSWERED
    elif end.answer is not None:
        end.answer.state = EndState.GONE_ON
    else:
        end.state = EndState.GONE_ON
