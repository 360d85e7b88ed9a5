"""Verdicts of the pointwise, verify and feedback judges."""

import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.preferences.formats.base import (
    ABSENT,
    CandidateFormat,
    finite,
    joined,
    malformed,
    object_of,
    prompt_id,
    split_last,
    unpacked,
)
from plaudit.preferences.types import Candidate, Id


class JudgedRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Of a verdict, what makes a candidate; the rest is not decoded."""

    id: str
    status: str
    judge: str
    value: str | int | float | None = None
    reward: float | None = None
    confidence: float | None = None
    fields: Raw = ABSENT
    metadata: Raw = ABSENT
    input: Raw = ABSENT

    @property
    def kind(self) -> str:
        """The kind of the judge."""
        return self.judge.partition("/")[0]

    @property
    def ok(self) -> bool:
        """Whether there is a judgement to learn from."""
        return self.status == "ok"

    @property
    def score(self) -> float | None:
        """The reward; None unless it is ok."""
        return finite(self.reward) if self.ok else None


class CandidateIds(msgspec.Struct, frozen=True, gc=False):
    """What a verdict's metadata may tell of where a response belongs."""

    example_id: Id | None = None
    turn_id: Id | None = None
    candidate_index: int | None = None


class _Input(msgspec.Struct, frozen=True, gc=False):
    prompt: Raw = ABSENT
    response: Raw = ABSENT
    question: Raw = ABSENT
    answer: Raw = ABSENT
    conversation: list[Raw] | None = None
    messages: list[Raw] | None = None


_decode = msgspec.json.Decoder(JudgedRow).decode
_decode_ids = msgspec.json.Decoder(CandidateIds).decode
_decode_input = msgspec.json.Decoder(_Input).decode


class VerdictFormat(CandidateFormat):
    """Verdicts on one response: of `pointwise`, of `verify`, and of judges of the user's own.

    `example_id`, `turn_id` and `candidate_index` are those columns of what was judged; an id that
    it did not have is a hash of the prompt.
    """

    def __init__(self, kind: str) -> None:
        """Take the kind of the judge."""
        self.name = f"{kind} verdicts"
        self._kind = kind

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """See `CandidateFormat`."""
        verdict = read_verdict(line, self._kind)
        try:
            prompt, response = _judged(_decode_input(verdict.input))
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed("verdict", error) from None
        metadata = object_of(verdict.metadata)
        ids = ids_in(metadata)
        known = "" if ids.example_id is not None and ids.turn_id is not None else prompt_id(prompt)
        return (
            Candidate(
                example_id=known if ids.example_id is None else ids.example_id,
                turn_id=known if ids.turn_id is None else ids.turn_id,
                index=ids.candidate_index,
                prompt=prompt,
                response=response,
                score=verdict.score,
                confidence=verdict.confidence,
                metadata=metadata,
            ),
        )


def read_verdict(line: bytes, kind: str | None = None) -> JudgedRow:
    """Return a verdict, its `input` as JSON even where a table held it as text.

    Args:
        line: the row.
        kind: that of the judge which it must be by; None: any.

    Raises:
        InputError: it is none, is another judge's, or was written without its input.
    """
    try:
        verdict = _decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed("verdict", error) from None
    if kind is not None and verdict.kind != kind:
        raise InputError(f"a verdict by {verdict.judge!r} among those of the {kind} judge")
    if verdict.confidence is not None and not 0 <= verdict.confidence <= 1:
        raise InputError(f"not a verdict: confidence {verdict.confidence} is not between 0 and 1")
    judged = unpacked(verdict.input)
    if not bytes(judged):
        raise InputError(
            "the verdict does not hold what was judged: judge again without --no-input, which "
            "asks the engine nothing that it has answered before"
        )
    return msgspec.structs.replace(verdict, input=judged)


def ids_in(metadata: Raw | None) -> CandidateIds:
    """Return the ids in the metadata of a verdict.

    Raises:
        InputError: one is neither text nor a whole number, or the index is negative.
    """
    if metadata is None:
        return CandidateIds()
    try:
        ids = _decode_ids(metadata)
    except msgspec.DecodeError as error:
        raise malformed("verdict on a candidate", error) from None
    if ids.candidate_index is not None and ids.candidate_index < 0:
        raise InputError(f"candidate_index {ids.candidate_index} is negative")
    return ids


def _judged(held: _Input) -> tuple[Raw, Raw]:
    """Return the prompt and the response that a verdict is about."""
    conversation = held.conversation or held.messages
    if conversation:
        return split_last(conversation)
    for prompt, response in ((held.prompt, held.response), (held.question, held.answer)):
        if bytes(prompt) and bytes(response):
            return prompt, response
    raise InputError(
        "the verdict's input holds no prompt with a response, and no question with an answer"
    )


CORRECTIONS = frozenset({"neg_correction", "neg_constraint_restate"})
"""Reactions after which the assistant answers the same question again."""

_MOST_VALUES = 20
_ID = re.compile(r"(.*)#([1-9][0-9]{0,8})", re.DOTALL)


class _Said(msgspec.Struct, frozen=True, gc=False):
    query: Raw
    answer: Raw
    follow_up: Raw


class _Turn(msgspec.Struct, frozen=True, gc=False):
    """A turn of a conversation, with its verdict."""

    verdict: JudgedRow
    number: int
    """Of the row."""
    conversation: str
    """Empty where the verdict is on no conversation's turn."""
    place: int
    said: _Said

    @property
    def corrected(self) -> bool:
        """Whether the user asked for another answer."""
        return self.verdict.ok and self.verdict.value in CORRECTIONS

    @property
    def messages(self) -> list[Raw]:
        """Question and answer."""
        return [_message("user", self.said.query), _message("assistant", self.said.answer)]


_decode_said = msgspec.json.Decoder(_Said).decode


class Feedback(CandidateFormat):
    """Feedback verdicts on the turns of conversations, which follow each other in the file.

    A turn that was corrected, and the conversation's next one, give a turn (named by the row's
    number) of two candidates: the first answer (0) and the second (1), each with its own reward,
    the second without one where its verdict is not ok. The prompt is the conversation up to the
    question where the file has it from its beginning, else the question alone; what neither user
    nor assistant said is not in verdicts. The example is the verdict's column `example_id`, else
    the conversation's id.
    """

    name = "feedback verdicts"

    def __init__(self) -> None:
        """Make one for a file."""
        self._last: _Turn | None = None
        self._history: list[Raw] | None = None
        """What was said before the last turn; None: not known."""
        self._values: dict[str, None] = {}

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """See `CandidateFormat`."""
        last, self._last = self._last, None  # A row that cannot be read breaks a conversation off.
        turn = _read_turn(line, number)
        self._note(turn.verdict)
        self._last = turn
        if last is None or not _follows(last, turn):
            self._history = [] if turn.place == 1 else None
            return ()
        found = _pair(last, turn, self._history) if last.corrected else ()
        if self._history is not None:
            self._history += last.messages
        return found

    def nothing_found(self) -> str:
        """See `CandidateFormat`."""
        seen = ", ".join(self._values) or "none at all"
        return (
            "no verdict that is ok and says neg_correction or neg_constraint_restate is followed "
            f"by that on the conversation's next turn; values seen: {seen}. Judge whole "
            'conversations ({"messages": [...]}), whose turns stay together'
        )

    def _note(self, verdict: JudgedRow) -> None:
        if len(self._values) < _MOST_VALUES:
            self._values[f"{verdict.value} ({verdict.status})"[:40]] = None


def _read_turn(line: bytes, number: int) -> _Turn:
    verdict = read_verdict(line, "feedback")
    try:
        said = _decode_said(verdict.input)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed("verdict", error) from None
    named = _ID.fullmatch(verdict.id)
    conversation, place = ("", 0) if named is None else (named[1], int(named[2]))
    return _Turn(verdict, number, conversation, place, said)


def _follows(last: _Turn, turn: _Turn) -> bool:
    return (
        last.place > 0
        and turn.place == last.place + 1
        and turn.conversation == last.conversation
        and turn.said.query == last.said.follow_up
    )


def _pair(first: _Turn, second: _Turn, history: list[Raw] | None) -> list[Candidate]:
    prompt, said = first.said.query, (first.said.answer, second.said.answer)
    if history:
        prompt = joined([*history, _message("user", prompt)])
        said = tuple(_message("assistant", answer) for answer in said)
    example = _example(first)
    return [
        Candidate(
            example_id=example,
            turn_id=first.number,
            index=index,
            prompt=prompt,
            response=response,
            score=turn.verdict.score,
            confidence=turn.verdict.confidence,
            metadata=object_of(turn.verdict.metadata),
        )
        for index, (turn, response) in enumerate(zip((first, second), said, strict=True))
    ]


def _example(turn: _Turn) -> Id:
    given = ids_in(object_of(turn.verdict.metadata)).example_id
    return turn.conversation if given is None else given


def _message(role: str, content: Raw) -> Raw:
    return Raw(b'{"role":"%s","content":%s}' % (role.encode(), bytes(content)))
