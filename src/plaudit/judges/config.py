"""Configuration of a judge."""

from typing import Annotated, Literal

import msgspec

from plaudit._util.options import Generation, Help, TopP
from plaudit._util.ranges import (
    TEMPERATURES,
    WHOLE,
    WHOLE_32,
    WHOLE_64,
    Range,
    check_ranges,
    check_values,
)
from plaudit.engines.base import Capabilities, Mode, Sampling, Schema
from plaudit.errors import ArgumentError, UsageError
from plaudit.judges.answers.base import AnswerOptions, AnswerType, DayFirst, Extract
from plaudit.judges.criteria import Criterion
from plaudit.judges.kind import JudgeKind
from plaudit.judges.shots import Select, Shots
from plaudit.prompts.template import TemplateChoice
from plaudit.scoring.votes import MOST_VOTES, VoteRule

Readout = Literal["logprob", "json", "score", "none"]
"""How replies are read. `score`: a reward model's; `none`: no model is asked. Users name neither of
these two."""
VOTE_TEMPERATURE = 0.7
"""Temperature of votes where none is given: votes must be able to differ."""


class JudgeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to judge. Plain data: can be written to JSON, read back, and hashed."""

    kind: str
    """`feedback`, `pointwise`, `pairwise` or `verify`."""
    readout: Annotated[
        Literal["auto", "logprob", "json"],
        Help(
            "`logprob` reads the distribution of one token, `json` a schema-constrained reply; "
            "`auto`: logprob where the engine has it.",
            "Prompt",
        ),
    ] = "auto"
    mode: Annotated[
        Literal["auto", "chat", "completion"],
        Help(
            "`chat` or `completion`; `auto`: completion for base models and local.",
            "Prompt",
            rare=True,
        ),
    ] = "auto"
    template: Annotated[
        TemplateChoice,
        Help(
            "A Jinja prompt template of your own; `chat=FILE` and `completion=FILE`: for that "
            "mode only, may be repeated.",
            "Prompt",
            "[MODE=]FILE",
            rare=True,
        ),
    ] = None
    shot_template: Annotated[
        TemplateChoice,
        Help("A template of one shot; as for --template.", "Prompt", "[MODE=]FILE", rare=True),
    ] = None
    feedback_template: Annotated[
        TemplateChoice,
        Help(
            "A template of the reply in a shot; as for --template.",
            "Prompt",
            "[MODE=]FILE",
            rare=True,
        ),
    ] = None
    shots: Annotated[
        Shots,
        Range(0, WHOLE_64),
        Help("Draw N shots from the pool (3 where only the pool is given).", "Prompt", "N"),
    ] = None
    """Also rows, or ready texts; None: the default shots."""
    pool: Annotated[
        str | None,
        Help("A pool of labelled shots; without it the pool that ships is used.", "Prompt", "FILE"),
    ] = None
    select: Annotated[
        Select,
        Help(
            "`fixed`: the same shots for all; `random`: drawn for each sample; `similar`: the "
            "nearest to each (needs plaudit\\[search]). All balanced over labels.",
            "Prompt",
        ),
    ] = "fixed"
    prior: Annotated[
        Literal["auto", "none"],
        Help("`auto` removes the judge's measured prior; `none` does not.", "Decision", rare=True),
    ] = "auto"
    """The prior is measured on a shipped balanced set, in the logprob readout."""
    swap: Annotated[bool, Help("pairwise: ask one order only instead of both.", "Decision")] = True
    gate: Annotated[
        float | None,
        Range(0, 1),
        Help("Abstain under this confidence (feedback: 0.6).", "Decision", "P"),
    ] = None
    """None: the calibration's gate, else the judge's own."""
    calibration: Annotated[
        str | None,
        Help("Apply the calibration and gate that `plaudit calibrate` wrote.", "Decision", "FILE"),
    ] = None
    reward_map: dict[str, float] | None = None
    """Rewards by value, in place of the judge's own, for the judges that have such a map."""
    votes: Annotated[
        int,
        Range(1, MOST_VOTES),
        Help("Judge up to N times (json readout), until the votes decide.", "Decision"),
    ] = 1
    vote_error: Annotated[
        float,
        Help(
            "--votes: chance of stopping at another outcome than the most frequent one.",
            "Decision",
            "E",
            rare=True,
        ),
    ] = 0.05
    all_votes: Annotated[
        bool, Help("--votes: take all N, and the plurality.", "Decision", rare=True)
    ] = False
    criteria: Annotated[
        tuple[Criterion, ...],
        Help(
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
        Help("Temperature of the sampling; by default 0, with --votes 0.7.", "Engine"),
    ] = None
    """The logprob readout ignores this field and the next two."""
    top_p: TopP = 1.0
    max_tokens: Annotated[
        int | None, Range(1, WHOLE_32), Help("Most tokens of a reply.", "Engine")
    ] = None
    """None: 256 (feedback and verify), 3072 (others). The logprob readout always writes 1."""
    seed: Annotated[
        int | None, WHOLE, Help("Seed of the sampling and of the choice of shots.", "Engine")
    ] = 0
    """None: unset for the engine, 0 for the choice of shots."""
    generation: Generation = {}
    extract: Annotated[
        Extract,
        Help(
            "verify: where the final answer stands: `boxed`, `tag`, `last_line`; `auto`: the "
            "first mark in the text.",
            "Decision",
        ),
    ] = "auto"
    answer_type: Annotated[
        AnswerType,
        Help(
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
        Help(
            "verify: relative error up to which numbers and quantities are equal.", "Decision", "P"
        ),
    ] = 0.0
    date_order: Annotated[
        DayFirst,
        Help(
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


# The configuration together with the model


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge must know of its engine."""

    identity: str
    capabilities: Capabilities
    special_tokens: tuple[str, ...] = ()
    reasoning: bool = False
    """Whether the model always thinks before it answers."""


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What a configuration comes to for one kind of judge and one engine."""

    readout: Readout
    mode: Mode
    gate: float | None
    """Least confidence of an `ok` verdict, unless a calibration sets it; None: no gate."""
    sampling: Sampling
    """Without the stop texts, which depend on the template."""
    schema: Schema | None
    """Schema of a reply, in the json readout."""
    logprobs: int
    """Log-probabilities that the engine can give; 0 outside the logprob readout."""
    votes: VoteRule | None
    """None: one judgement a sample."""


def settle(config: JudgeConfig, facts: EngineFacts, kind: JudgeKind) -> Settled:
    """Return what a configuration comes to.

    Args:
        config: of the judge.
        facts: of its engine.
        kind: what the judge says of itself.

    Raises:
        UsageError: the engine or the kind cannot do what the configuration asks for.
    """
    if config.criteria and not kind.takes_criteria:
        raise UsageError(f"the {kind.kind} judge takes no criteria; pointwise and pairwise do")
    readout = _settle_readout(config, facts)
    sure = readout == "logprob" or kind.json_has_confidence or config.votes > 1
    if not sure:
        _refuse_confidence(config, kind, readout)
    return Settled(
        readout=readout,
        mode=_settle_mode(config, facts.capabilities),
        gate=(kind.default_gate if config.gate is None else config.gate) if sure else None,
        sampling=_settle_sampling(config, kind, readout),
        schema=_settle_schema(kind) if readout == "json" else None,
        logprobs=facts.capabilities.logprobs if readout == "logprob" else 0,
        votes=_settle_votes(config, kind, readout),
    )


def _settle_readout(config: JudgeConfig, facts: EngineFacts) -> Readout:
    can = facts.capabilities.logprobs > 0
    if not facts.capabilities.model:
        return "none"
    if facts.capabilities.scores:
        return "score"
    if config.readout == "json":
        return "json"
    if config.readout == "auto":
        return "logprob" if can and not facts.reasoning else "json"
    if not can:
        raise UsageError(
            f"{facts.identity} gives no log-probabilities, which the logprob readout reads; "
            'use readout="json"'
        )
    if facts.reasoning:
        raise UsageError(
            f"{facts.identity} thinks before it answers, so its first token is no answer and the "
            'logprob readout cannot be used; use readout="json"'
        )
    return "logprob"


def _settle_mode(config: JudgeConfig, capabilities: Capabilities) -> Mode:
    mode = capabilities.default_mode if config.mode == "auto" else config.mode
    if not (capabilities.chat if mode == "chat" else capabilities.completion):
        raise UsageError(f"this engine has no {mode} mode; leave out mode=")
    return mode


def _refuse_confidence(config: JudgeConfig, kind: JudgeKind, readout: Readout) -> None:
    """Refuse what needs a confidence, for a judge that has none."""
    why = f"the {kind.kind} judge has no confidence in the {readout} readout, so "
    if config.calibration is not None:
        raise UsageError(f"{why}there is nothing to calibrate; leave out calibration=")
    if config.gate is not None:
        raise UsageError(f"{why}it cannot be gated; leave out gate=")


def _settle_sampling(config: JudgeConfig, kind: JudgeKind, readout: Readout) -> Sampling:
    extra = tuple(sorted(config.generation.items()))
    if readout == "score":  # Nothing is drawn: requests differ in the conversation only.
        return Sampling(max_tokens=0, seed=None, extra=extra)
    if readout == "logprob":  # One token, from whose distribution nothing is drawn.
        return Sampling(seed=config.seed, extra=extra)
    usual = VOTE_TEMPERATURE if config.votes > 1 else 0.0
    return Sampling(
        temperature=usual if config.temperature is None else float(config.temperature),
        top_p=config.top_p,
        max_tokens=config.max_tokens or kind.json_tokens,
        seed=config.seed,
        extra=extra,
    )


def _settle_schema(kind: JudgeKind) -> Schema:
    return Schema(f"{kind.kind}_verdict", msgspec.Raw(msgspec.json.encode(kind.reply_schema())))


def _settle_votes(config: JudgeConfig, kind: JudgeKind, readout: Readout) -> VoteRule | None:
    if config.votes == 1:
        if config.all_votes:
            raise UsageError("all_votes= goes with votes=N")
        return None
    if readout == "logprob":
        raise UsageError(
            "votes draw replies to learn how they are distributed, and the logprob readout "
            "reads that distribution itself, from one token; leave out votes=, or use "
            'readout="json"'
        )
    if config.temperature == 0:
        raise UsageError("at temperature 0 all votes would be alike; leave out temperature=")
    return VoteRule(
        votes=config.votes,
        error=config.vote_error,
        outcomes=kind.outcomes,
        every=config.all_votes,
    )


def idle_sampling(config: JudgeConfig) -> list[str]:
    """Return a note on sampling options that the logprob readout does not use; empty: none."""
    used = Sampling()
    given = {
        "temperature": config.temperature not in (None, used.temperature),
        "top_p": config.top_p != used.top_p,
        "max_tokens": config.max_tokens not in (None, used.max_tokens),
    }
    names = [name for name, is_given in given.items() if is_given]
    if not names:
        return []
    return [
        f"{', '.join(names)}: without effect in the logprob readout, which writes one token and "
        "reads the probabilities of all that it could have been"
    ]
