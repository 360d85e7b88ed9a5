"""`correctness`: whether the final answer is right, given the question's references."""

import math
from typing import Literal

import msgspec

from plaudit.engines.base import Engine
from plaudit.engines.pool import SendPolicy
from plaudit.errors import UsageError
from plaudit.judges import rules
from plaudit.judges.verification import REWARDS
from plaudit.rollouts.rewards.base import broken_off, check_range, told, untold
from plaudit.rollouts.rewards.copying import is_poured_out
from plaudit.rollouts.rewards.reading import answer_of, no_answer, question_of, references_of
from plaudit.rollouts.trace import Score, Trace, Untold
from plaudit.runs.api import Judge
from plaudit.types import Json, Verdict

_UNMADE = {
    "abstained": Untold.JUDGE_ABSTAINED,
    "invalid": Untold.JUDGE_INVALID,
    "failed": Untold.JUDGE_FAILED,
}
_RESERVED = frozenset({"kind", "engine", "cache", "send"})
_EXCERPT = 300


class Grader(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked where no rule decides, and how."""

    engine: str | Engine = "local"
    cache: bool | str = True
    """Whether replies are kept in the store, or the path of another store."""
    send: SendPolicy | None = None


class CorrectnessOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `correctness`."""

    by: Literal["judge", "rules"] = "judge"
    """`judge`: the verify judge, rules first, then the engine. `rules`: no engine; what is not
    equal to a reference as text, number or formula is wrong."""
    longest: int = 2000
    """Characters from which on an answer is wrong unseen, unless it equals a reference."""
    engine: str | None = None
    """Engine URI of the judge; None: the one that scoring is given."""
    judge: dict[str, Json] = {}
    """Further options of the judge, such as `readout`, `gate`, `votes` and `reward_map`."""

    def __post_init__(self) -> None:
        """Check the options."""
        check_range(1, math.inf, longest=self.longest)
        reserved = sorted(self.judge.keys() & _RESERVED)
        if reserved:
            raise UsageError(f"'judge' cannot set {reserved[0]!r}")


class Correctness:
    """1 for a right final answer and 0 for a wrong one, or as the judge's `reward_map` says.

    Only the final answer is graded, which the model wrote, and never a tool result. Wrong, without
    asking, are: no answer though the rollout finished, an answer that says nothing, one that is
    poured out of tool results, and one that is too long. None, with its cause: a rollout that was
    broken off, a question without a reference, a judge that failed, is invalid or abstained.
    """

    name = "correctness"

    def __init__(self, options: CorrectnessOptions, grader: Grader) -> None:
        """Make the judge; no engine is loaded before it is asked.

        Raises:
            UsageError: there is no such engine or option of the judge.
        """
        self.options = options
        engine = grader.engine if options.engine is None else options.engine
        self._judge = None
        if options.by == "judge":
            self._judge = Judge(
                "verify", engine=engine, cache=grader.cache, send=grader.send, **options.judge
            )
        given = None if self._judge is None else self._judge.config.reward_map
        self._values = dict(REWARDS if given is None else given)
        if self._values.keys() != REWARDS.keys():
            raise UsageError("'reward_map' needs 'correct' and 'incorrect'")
        self.low, self.high = min(self._values.values()), max(self._values.values())

    @property
    def identity(self) -> Json:
        """Name and options; the model that is asked is told by its verdicts."""
        return [self.name, msgspec.to_builtins(self.options)]

    async def score(self, trace: Trace) -> Score:
        """Score the final answer; see the class.

        Raises:
            EngineUnusableError: the judge's engine can answer nothing.
        """
        ended = broken_off(trace)
        if ended is not None:
            return ended
        references = references_of(trace)
        if not references:
            return untold(Untold.NO_REFERENCE, "the question has no reference answer")
        decided = self._decide(trace, references)
        if decided is not None:
            return decided
        if self._judge is None:
            return self._wrong("not equal to a reference")
        row = {
            "id": trace.id,
            "question": question_of(trace),
            "answer": answer_of(trace),
            "reference": list(references),
        }
        return _read(await self._judge.ajudge(row))

    async def close(self) -> None:
        """Write replies that are not written yet, and free the engine."""
        if self._judge is not None:
            await self._judge.aclose()

    def _decide(self, trace: Trace, references: tuple[str, ...]) -> Score | None:
        """Return what needs no judge."""
        nothing = no_answer(trace)
        if nothing:
            return self._wrong(nothing)
        answer = answer_of(trace)
        if len(answer) > self.options.longest and answer not in references:
            return self._wrong(f"the answer is longer than {self.options.longest} characters")
        decision = rules.decide(question_of(trace), answer, references)
        if decision is not None:
            return told(self._values[decision.value], decision.reason)
        if is_poured_out(trace):
            return self._wrong("the answer is poured out of tool results")
        return None

    def _wrong(self, reason: str) -> Score:
        return told(self._values["incorrect"], reason)


def _read(verdict: Verdict) -> Score:
    if verdict.reward is None:
        why = "" if verdict.error is None else f": {verdict.error.cause}, {verdict.error.message}"
        return untold(_UNMADE[verdict.status], f"the judge's verdict is {verdict.status}{why}")
    reasoning = verdict.fields.get("reasoning")
    reason = f"judged {verdict.value}" + (f": {reasoning}" if reasoning else "")
    parts = {} if verdict.confidence is None else {"confidence": verdict.confidence}
    return told(verdict.reward, reason[:_EXCERPT], **parts)
