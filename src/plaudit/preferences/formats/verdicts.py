"""Verdicts of plaudit's judges: what all have in common, and those on one response.

The score is the verdict's `reward`: unlike `fields.expected_score` it is null whenever the verdict
is not `ok`, and on one scale (0 to 1) with and without criteria, votes and juries.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.preferences.candidate import Candidate, Id
from plaudit.preferences.formats.base import ABSENT, Format, malformed, prompt_id, unpacked
from plaudit.preferences.formats.messages import split_last
from plaudit.preferences.formats.numbers import finite
from plaudit.preferences.formats.rows import object_of


class Verdict(msgspec.Struct, frozen=True, gc=False, kw_only=True):
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


class Ids(msgspec.Struct, frozen=True, gc=False):
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


_decode = msgspec.json.Decoder(Verdict).decode
_decode_ids = msgspec.json.Decoder(Ids).decode
_decode_input = msgspec.json.Decoder(_Input).decode


class Verdicts(Format):
    """Verdicts on one response: of the pointwise judge, and of `verify` on an answer.

    `example_id`, `turn_id` and `candidate_index` are those columns of what was judged; an id that
    it did not have is a hash of the prompt.
    """

    def __init__(self, kind: str) -> None:
        """Take the kind of the judge, `pointwise` or `verify`."""
        self.name = f"{kind} verdicts"
        self._kind = kind

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """See `Format`."""
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


def read_verdict(line: bytes, kind: str | None = None) -> Verdict:
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


def ids_in(metadata: Raw | None) -> Ids:
    """Return the ids that a verdict's metadata tells.

    Raises:
        InputError: one is neither text nor a whole number, or the index is negative.
    """
    if metadata is None:
        return Ids()
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
    raise InputError("the verdict's input holds no prompt with a response")
