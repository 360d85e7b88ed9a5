"""`correctness`: whether the final answer is right, given the question's references."""

from typing import Annotated, Literal

import msgspec

from plaudit._util.ranges import COUNT, FINITE, check_ranges
from plaudit.engines.base import Engine
from plaudit.engines.replies import mend_text
from plaudit.errors import Cause, UsageError
from plaudit.judge import Judge
from plaudit.judges.verify import REWARDS
from plaudit.rollouts.rewards.base import broken_off, scored, unscored
from plaudit.rollouts.rewards.reading import (
    answer_of,
    is_poured_out,
    no_answer,
    question_of,
    references_of,
    says_a_reference,
)
from plaudit.rollouts.trace import Score, Trace, Unscored
from plaudit.sending.pool import SendPolicy
from plaudit.types import Json, Verdict

_UNMADE = {
    "abstained": Unscored.JUDGE_ABSTAINED,
    "invalid": Unscored.JUDGE_INVALID,
    "failed": Unscored.JUDGE_FAILED,
}
_RESERVED = frozenset({"kind", "engine", "cache", "send"})
_EXCERPT = 300


class Grader(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked about what types, guards and head leave undecided, and how."""

    engine: str | Engine | None = None
    """None: no model is asked."""
    cache: bool | str = True
    """Whether replies are kept in the store, or the path of another store."""
    send: SendPolicy | None = None


class CorrectnessOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `correctness`."""

    by: Literal["rules", "judge"] | None = None
    """`rules`: types of answers, guards and head, and no model. `judge`: these, and an engine for
    what they leave undecided. None: `judge` where an engine is named, else `rules`."""
    undecided: Annotated[float | None, FINITE] = None
    """What an answer is worth that nobody decided; None: it has no value."""
    longest: Annotated[int, COUNT] = 2000
    """Characters from which on an answer is wrong unseen, unless it equals a reference."""
    engine: str | None = None
    """Engine URI; None: the one that scoring is given."""
    judge: dict[str, Json] = {}
    """Further options of the judge, such as `readout`, `gate`, `votes` and `reward_map`."""

    def __post_init__(self) -> None:
        check_ranges(self)
        reserved = sorted(self.judge.keys() & _RESERVED)
        if reserved:
            raise UsageError(f"'judge' cannot set {reserved[0]!r}")


class Correctness:
    """1 for a right final answer and 0 for a wrong one, or as the judge's `reward_map` says.

    Only the final answer is graded, which the model wrote, and never a tool result. Wrong, without
    a comparison, are: no answer though the rollout finished, an answer that says nothing, one that
    is poured out of tool results, and one that is too long. None, with its cause: a rollout that
    was broken off, a question without a reference, an answer that nobody could decide, a judge that
    failed, is invalid or abstained.
    """

    name = "correctness"

    def __init__(self, options: CorrectnessOptions, grader: Grader) -> None:
        """Make the judge; no engine is loaded before it is asked.

        Raises:
            UsageError: there is no such engine or option of the judge, or a judge is to be asked
                and no engine is named.
        """
        self.options = options
        engine = None
        if options.by != "rules":
            engine = grader.engine if options.engine is None else options.engine
        self.judge = Judge(
            "verify", engine=engine, cache=grader.cache, send=grader.send, **options.judge
        )
        if options.by == "judge" and not self.judge.engine.capabilities.model:
            raise UsageError("by = 'judge' asks a model: name it with engine = 'URI', or -e URI")
        given = self.judge.config.reward_map
        self._values = dict(REWARDS if given is None else given)
        if self._values.keys() != REWARDS.keys():
            raise UsageError("'reward_map' needs 'correct' and 'incorrect'")
        values = [*self._values.values()]
        values += [] if options.undecided is None else [options.undecided]
        self.low, self.high = min(values), max(values)

    @property
    def identity(self) -> Json:
        """Name and options; the verdicts name the model that is asked."""
        return [self.name, msgspec.to_builtins(self.options)]

    async def score(self, trace: Trace) -> Score:
        """Score the final answer; see the class.

        Raises:
            EngineUnusableError: the judge's engine can answer nothing.
        """
        row = self._row(trace)
        return row if isinstance(row, Score) else self._read(await self.judge.ajudge(row))

    def score_now(self, trace: Trace) -> Score | None:
        """Return what `score` does; None where a model is asked, or formulas are compared."""
        row = self._row(trace)
        if isinstance(row, Score):
            return row
        verdict = self.judge.judge_now(row)
        return None if verdict is None else self._read(verdict)

    async def close(self) -> None:
        """Write replies that are not written yet, and free the engine."""
        await self.judge.aclose()

    def _row(self, trace: Trace) -> dict[str, Json] | Score:
        """Return the row that is judged, or the score of a trace that nobody judges."""
        ended = broken_off(trace)
        if ended is not None:
            return ended
        references = references_of(trace)
        if not references:
            return unscored(Unscored.NO_REFERENCE, "the question has no reference answer")
        wrong = None if says_a_reference(trace) else self._wrong_unseen(trace)
        if wrong is not None:
            return _by("guard", scored(self._values["incorrect"], wrong))
        return {
            "id": mend_text(trace.id),
            "question": mend_text(question_of(trace)),
            "answer": mend_text(answer_of(trace)),
            "reference": [mend_text(reference) for reference in references],
        }

    def _wrong_unseen(self, trace: Trace) -> str | None:
        """Return why an answer is wrong whatever it says, or None."""
        if nothing := no_answer(trace):
            return nothing
        if len(answer_of(trace)) > self.options.longest:
            return f"the answer is longer than {self.options.longest} characters"
        return "the answer is poured out of tool results" if is_poured_out(trace) else None

    def _read(self, verdict: Verdict) -> Score:
        error = verdict.error
        if error is not None and error.cause == Cause.UNDECIDED:
            if self.options.undecided is not None:
                return scored(self.options.undecided, f"undecided: {error.message}")
            return unscored(Unscored.UNDECIDED, error.message)
        return _read(verdict)


def _read(verdict: Verdict) -> Score:
    if verdict.reward is None:
        why = "" if verdict.error is None else f": {verdict.error.cause}, {verdict.error.message}"
        return unscored(_UNMADE[verdict.status], f"the judge's verdict is {verdict.status}{why}")
    reasoning = verdict.fields.get("reasoning")
    by = verdict.fields["decided_by"]
    reason = f"{verdict.value} by {by}" + (f": {reasoning}" if reasoning else "")
    parts = {} if verdict.confidence is None else {"confidence": verdict.confidence}
    return _by(by, scored(verdict.reward, reason[:_EXCERPT], **parts))


def _by(decider: str, score: Score) -> Score:
    return msgspec.structs.replace(score, by=decider)
