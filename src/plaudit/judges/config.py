"""Configuration of a judge."""

from typing import Annotated, Literal

import msgspec

from plaudit._util.options import Option
from plaudit._util.ranges import (
    TEMPERATURES,
    WHOLE,
    WHOLE_32,
    WHOLE_64,
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
    readout: Annotated[
        Literal["auto", "logprob", "json"],
        Option(
            "`logprob` reads the distribution of one token, `json` a schema-constrained reply; "
            "`auto`: logprob where the engine has it.",
            "Prompt",
        ),
    ] = "auto"
    mode: Annotated[
        Literal["auto", "chat", "completion"],
        Option(
            "`chat` or `completion`; `auto`: completion for base models and local.",
            "Prompt",
            rare=True,
        ),
    ] = "auto"
    template: Annotated[
        TemplateChoice,
        Option(
            "A Jinja prompt template of your own; `chat=FILE` and `completion=FILE`: for that "
            "mode only, may be repeated.",
            "Prompt",
            "[MODE=]FILE",
            rare=True,
        ),
    ] = None
    shot_template: Annotated[
        TemplateChoice,
        Option("A template of one shot; as for --template.", "Prompt", "[MODE=]FILE", rare=True),
    ] = None
    feedback_template: Annotated[
        TemplateChoice,
        Option(
            "A template of the reply in a shot; as for --template.",
            "Prompt",
            "[MODE=]FILE",
            rare=True,
        ),
    ] = None
    shots: Annotated[
        Shots,
        Range(0, WHOLE_64),
        Option("Draw N shots from the pool (3 where only the pool is given).", "Prompt", "N"),
    ] = None
    """Also rows, or ready texts; None: the default shots."""
    pool: Annotated[
        str | None,
        Option(
            "A pool of labelled shots; without it the pool that ships is used.", "Prompt", "FILE"
        ),
    ] = None
    select: Annotated[
        Select,
        Option(
            "`fixed`: the same shots for all; `random`: drawn for each sample; `similar`: the "
            "nearest to each (needs plaudit\\[search]). All balanced over labels.",
            "Prompt",
        ),
    ] = "fixed"
    prior: Annotated[
        Literal["auto", "none"],
        Option(
            "`auto` removes the judge's measured prior; `none` does not.", "Decision", rare=True
        ),
    ] = "auto"
    """The prior is measured on a shipped balanced set, in the logprob readout."""
    swap: Annotated[bool, Option("pairwise: ask one order only instead of both.", "Decision")] = (
        True
    )
    gate: Annotated[
        float | None,
        Range(0, 1),
        Option("Abstain under this confidence (feedback: 0.6).", "Decision", "P"),
    ] = None
    """None: the calibration's gate, else the judge's own."""
    calibration: Annotated[
        str | None,
        Option(
            "Apply the calibration and gate that `plaudit calibrate` wrote.", "Decision", "FILE"
        ),
    ] = None
    reward_map: dict[str, float] | None = None
    """Rewards by value, in place of the judge's own, for the judges that have such a map."""
    votes: Annotated[
        int,
        Range(1, MOST_VOTES),
        Option("Judge up to N times (json readout), until the votes decide.", "Decision"),
    ] = 1
    vote_error: Annotated[
        float,
        Option(
            "--votes: chance of stopping at another outcome than the most frequent one.",
            "Decision",
            "E",
            rare=True,
        ),
    ] = 0.05
    all_votes: Annotated[
        bool, Option("--votes: take all N, and the plurality.", "Decision", rare=True)
    ] = False
    criteria: Annotated[
        tuple[Criterion, ...],
        Option(
            "pointwise, pairwise: judge by these criteria (JSON, JSON Lines or TOML: name, "
            "description, scale, weight).",
            "Prompt",
            "FILE",
        ),
    ] = ()
    """Criteria stand in place of the judge's own question."""
    temperature: Annotated[
        float | None,
        TEMPERATURES,
        Option("Temperature of the sampling; by default 0, with --votes 0.7.", "Engine"),
    ] = None
    """The logprob readout ignores this field and the next two."""
    top_p: Annotated[
        float, Range(0, 1), Option("Nucleus of the sampling.", "Engine", "P", rare=True)
    ] = 1.0
    max_tokens: Annotated[
        int | None, Range(1, WHOLE_32), Option("Most tokens of a reply.", "Engine")
    ] = None
    """None: 256 (feedback and verify), 3072 (others). The logprob readout always writes 1."""
    seed: Annotated[
        int | None, WHOLE, Option("Seed of the sampling and of the choice of shots.", "Engine")
    ] = 0
    """None: unset for the engine, 0 for the choice of shots."""
    generation: Annotated[
        dict[str, Json],
        Option(
            "A further generation parameter, sent as it is; may be repeated.",
            "Engine",
            "K=V",
            rare=True,
        ),
    ] = {}
    extract: Annotated[
        Extract,
        Option(
            "verify: where the final answer stands: `boxed`, `tag`, `last_line`; `auto`: the "
            "first mark in the text.",
            "Decision",
        ),
    ] = "auto"
    answer_type: Annotated[
        AnswerType,
        Option(
            "verify: compare answers as `text`, `number`, `math`, `choice`, `list`, `date`, "
            "`quantity` or `code`; `auto`: as each reference looks.",
            "Decision",
            "TYPE",
        ),
    ] = "auto"
    """A row's own `answer_type` comes first."""
    tolerance: Annotated[
        float,
        Range(0, 1),
        Option(
            "verify: relative error up to which numbers and quantities are equal.", "Decision", "P"
        ),
    ] = 0.0
    date_order: Annotated[
        DayFirst,
        Option(
            "verify: what comes first in 03/04/2020, `day` or `month`; `auto`: left open.",
            "Decision",
            "ORDER",
        ),
    ] = "auto"

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
