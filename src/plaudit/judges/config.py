"""Configuration of a judge."""

from typing import Annotated, Literal

import msgspec

from plaudit._util.ranges import (
    TEMPERATURES,
    WHOLE,
    WHOLE_32,
    Range,
    check_ranges,
    check_values,
)
from plaudit.errors import ArgumentError
from plaudit.judges.answers.base import AnswerOptions, AnswerType, DayFirst, Extract
from plaudit.judges.criteria import Criterion
from plaudit.judges.shot_text import TemplateChoice
from plaudit.judges.shots import Select, Shots
from plaudit.scoring.votes import MOST_VOTES
from plaudit.types import Json


class JudgeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to judge. Plain data: can be written to JSON, read back, and hashed."""

    kind: str
    """`feedback`, `pointwise`, `pairwise` or `verify`."""
    readout: Literal["auto", "logprob", "json"] = "auto"
    mode: Literal["auto", "chat", "completion"] = "auto"
    template: TemplateChoice = None
    """Path of a template of the user's own, or paths by mode."""
    shot_template: TemplateChoice = None
    """Path of a template of one shot, or paths by mode."""
    feedback_template: TemplateChoice = None
    """Path of a template of the reply in a shot, or paths by mode."""
    shots: Shots = None
    """How many shots are drawn from the pool; or rows, or ready text; None: the default ones."""
    pool: str | None = None
    """Path of the pool file; None: the pool that ships with the judge."""
    select: Select = "fixed"
    """`fixed`: the same shots for all; `random`, `similar`: chosen for each sample."""
    prior: Literal["auto", "none"] = "auto"
    """`auto`: in the logprob readout, remove the prior measured on a shipped balanced set."""
    swap: bool = True
    """Whether the pairwise judge asks both orders."""
    gate: Annotated[float | None, Range(0, 1)] = None
    """Least confidence of an `ok` verdict; None: the calibration's, else the judge's own."""
    calibration: str | None = None
    """Path of a calibration that `plaudit calibrate` wrote for this very judge."""
    reward_map: dict[str, float] | None = None
    """Rewards by value, in place of the judge's own, for the judges that have such a map."""
    votes: Annotated[int, Range(1, MOST_VOTES)] = 1
    """Most judgements of one sample that are drawn and combined."""
    vote_error: float = 0.05
    """Chance with which the votes may stop at another outcome than the judge's most frequent."""
    all_votes: bool = False
    """Whether all votes are drawn and the plurality counts, decided or not."""
    criteria: tuple[Criterion, ...] = ()
    """What pointwise and pairwise judge by, instead of their own question."""
    temperature: Annotated[float | None, TEMPERATURES] = None
    """None: 0, or 0.7 with votes. Like the next two, of no use to the logprob readout."""
    top_p: Annotated[float, Range(0, 1)] = 1.0
    max_tokens: Annotated[int | None, Range(1, WHOLE_32)] = None
    """None: 256 (feedback and verify), 3072 (others). The logprob readout always writes 1."""
    seed: Annotated[int | None, WHOLE] = 0
    """Of the engine's sampling and of the choice of shots, where None counts as 0."""
    generation: dict[str, Json] = {}
    """Further generation parameters, sent to the engine as they are."""
    extract: Extract = "auto"
    """verify: where the final answer stands in a text."""
    answer_type: AnswerType = "auto"
    """verify: how answers are compared; a row's own `answer_type` comes first."""
    tolerance: Annotated[float, Range(0, 1)] = 0.0
    """verify: relative error up to which numbers and quantities are equal."""
    date_order: DayFirst = "auto"
    """verify: how 03/04/2020 is read; `auto`: not at all."""

    def __post_init__(self) -> None:
        """Check the numbers, for the command line and for Python alike.

        Raises:
            ArgumentError: one is out of range, cannot be sent, or belongs to another judge.
        """
        check_ranges(self)
        for name in ("generation", "reward_map", "shots", "vote_error"):
            check_values(name, getattr(self, name))
        if self.kind != "verify" and (names := options_that_differ(self.answers, AnswerOptions())):
            raise ArgumentError(names[0], "is for the verify judge only; leave it out")

    @property
    def answers(self) -> AnswerOptions:
        """How the verify judge extracts and compares answers."""
        return AnswerOptions(
            extract=self.extract,
            answer_type=self.answer_type,
            tolerance=self.tolerance,
            date_order=self.date_order,
        )


def options_that_differ(given: msgspec.Struct, usual: msgspec.Struct) -> list[str]:
    """Return the names of the options in which two structs of one type differ."""
    names = given.__struct_fields__
    return [name for name in names if getattr(given, name) != getattr(usual, name)]
