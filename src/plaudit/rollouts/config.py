"""How an agent is run. Plain data: can be written to JSON, read back, and hashed."""

import re
from typing import Annotated, Literal

import msgspec

from plaudit._util.choices import check_choices
from plaudit._util.options import Generation, Help, TopP
from plaudit._util.ranges import (
    SECONDS,
    TEMPERATURES,
    WHOLE,
    WHOLE_32,
    Range,
    check_ranges,
    check_values,
)
from plaudit.errors import UsageError
from plaudit.rollouts.calls.syntax import CallForm

ToolsAs = Literal["auto", "native", CallForm]
"""How a model is shown its tools, and how its calls are read: `native` by the engine, else as text
in a form; `auto`: native where the engine has it."""

TokensWanted = Literal["auto", "exact", "off"]
"""`auto`: as exact as the engine allows; `exact`: or else the run is refused; `off`: none."""

GROUP_TEMPERATURE = 1.0
"""Default temperature for the samples of a group, which should differ."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class RolloutConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Prompts, limits and sampling of a rollout."""

    samples_per_question: Annotated[
        int,
        Range(1, 100_000),
        Help("Rollouts of each question.", "Agent", flags=("--samples-per-question", "-n")),
    ] = 1
    """The rollouts of a question are a group; each has its own draw."""
    max_turns: Annotated[int, Range(1, WHOLE_32), Help("Most replies of the model.", "Agent")] = 5
    max_new_tokens: Annotated[
        int,
        Range(1, WHOLE_32),
        Help("Most tokens that the model writes, over all its turns.", "Agent"),
    ] = 4096
    """Tool results do not count."""
    max_tool_calls: Annotated[int | None, Range(0, WHOLE_32), Help("Most tool calls.", "Agent")] = (
        None
    )
    """Calls count whether they are readable or not; None: as many as the turns allow."""
    deadline: Annotated[
        float | None,
        Range(0, SECONDS, above=True),
        Help("Most seconds of a rollout, queues included.", "Agent", "S"),
    ] = None
    tools_as: Annotated[
        ToolsAs,
        Help(
            "How the model calls tools: `native` by its API, or as text in a form: `json`, "
            "`hermes`, `llama`, `qwen`, `mistral`, `glm`, `harmony`, `gemma`, `deepseek`, `kimi`, "
            "`lfm2` or `minimax`; `auto`: native where the engine has it.",
            "Agent",
            "FORM",
            rare=True,
        ),
    ] = "auto"
    system: Annotated[
        str | None,
        Help("A Jinja template of your own for the system prompt.", "Prompt", "FILE"),
    ] = None
    prompt: Annotated[
        str | None,
        Help("A Jinja template for the user's message; uses `question`.", "Prompt", "FILE"),
    ] = None
    date: Annotated[
        str,
        Help(
            "The date that the prompts show; by default the day on which the run first began.",
            "Prompt",
            "YYYY-MM-DD",
        ),
    ] = ""
    temperature: Annotated[
        float | None,
        TEMPERATURES,
        Help("Temperature of the sampling; by default 0, for several samples 1.", "Engine"),
    ] = None
    top_p: TopP = 1.0
    seed: Annotated[
        int | None, WHOLE, Help("Seed of the first sample; the next has the next.", "Engine")
    ] = 0
    generation: Generation = {}
    tokens: Annotated[
        TokensWanted,
        Help(
            "Token ids of the traces: `auto` as exact as the engine allows; `exact` or an error; "
            "`off` none.",
            "Tokens",
        ),
    ] = "auto"
    tokenizer: Annotated[
        str | None,
        Help(
            "A tokenizer.json with its chat template, or the folder that holds them.",
            "Tokens",
            "PATH",
        ),
    ] = None
    """For engines that do not bring theirs."""
    max_length: Annotated[
        int | None, Range(1, WHOLE_32), Help("Cut the tokens of a trace to N.", "Tokens")
    ] = None
    """The mask and the log-probabilities are cut with the tokens."""

    def __post_init__(self) -> None:
        """Check numbers and choices.

        Raises:
            UsageError: one is out of range, or none of its choices.
        """
        check_ranges(self)
        check_choices(self)
        check_values("generation", self.generation)
        if self.date and not _DATE.fullmatch(self.date):
            raise UsageError(f"the date {self.date!r} is not of the form YYYY-MM-DD")

    @property
    def sampling_temperature(self) -> float:
        """The temperature that is used."""
        if self.temperature is not None:
            return float(self.temperature)
        return GROUP_TEMPERATURE if self.samples_per_question > 1 else 0.0
