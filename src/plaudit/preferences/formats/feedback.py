"""Feedback verdicts: an answer that the user corrected, and the one that followed the correction.

A conversation `r` is judged turn by turn, as `r#1`, `r#2` and so on. Where the user asked for
another answer, the next turn has it: the two compete as answers to the question of the first.
"""

import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from plaudit.preferences.candidate import Candidate, Id
from plaudit.preferences.formats.base import Format, malformed
from plaudit.preferences.formats.messages import joined
from plaudit.preferences.formats.rows import object_of
from plaudit.preferences.formats.verdicts import Verdict, ids_in, read_verdict

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

    verdict: Verdict
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


class Feedback(Format):
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
        """See `Format`."""
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
        """See `Format`."""
        seen = ", ".join(self._values) or "none at all"
        return (
            "no verdict that is ok and says neg_correction or neg_constraint_restate is followed "
            f"by that on the conversation's next turn; values seen: {seen}. Judge whole "
            'conversations ({"messages": [...]}), whose turns stay together'
        )

    def _note(self, verdict: Verdict) -> None:
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
