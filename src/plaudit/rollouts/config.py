"""How an agent is run. Plain data: can be written to JSON, read back, and hashed."""

import re
from typing import Annotated, Literal

import msgspec

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
from plaudit.types import Json

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

    samples_per_question: Annotated[int, Range(1, 100_000)] = 1
    """Rollouts of each question: a group, numbered by their draw."""
    max_turns: Annotated[int, Range(1, WHOLE_32)] = 5
    """Most replies of the model."""
    max_new_tokens: Annotated[int, Range(1, WHOLE_32)] = 4096
    """Most tokens that the model may write, over all turns; tool results do not count."""
    max_tool_calls: Annotated[int | None, Range(0, WHOLE_32)] = None
    """Most tool calls, readable or not; None: as many as the turns allow."""
    deadline: Annotated[float | None, Range(0, SECONDS, above=True)] = None
    """Seconds that a rollout may take, queues included; None: no limit."""
    tools_as: ToolsAs = "auto"
    system: str | None = None
    """Path of a template of the system prompt; None: the one that ships."""
    prompt: str | None = None
    """Path of a template of the user's message, which shows `question`; None: the question."""
    date: str = ""
    """What the prompts call today, as YYYY-MM-DD."""
    temperature: Annotated[float | None, TEMPERATURES] = None
    """None: 0, or 1 for several samples of a question."""
    top_p: Annotated[float, Range(0, 1)] = 1.0
    seed: Annotated[int | None, WHOLE] = 0
    """Of the first draw; each further one has the next number."""
    generation: dict[str, Json] = {}
    """Further generation parameters, sent to the engine as they are."""
    tokens: TokensWanted = "auto"
    tokenizer: str | None = None
    """Path of a tokenizer and its chat template, for engines that do not bring theirs."""
    max_length: Annotated[int | None, Range(1, WHOLE_32)] = None
    """Most tokens of a trace; what is longer is cut off, with its mask and log-probabilities."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            UsageError: one of them is out of range.
        """
        check_ranges(self)
        check_values("generation", self.generation)
        if self.date and not _DATE.fullmatch(self.date):
            raise UsageError(f"the date {self.date!r} is not of the form YYYY-MM-DD")

    @property
    def sampling_temperature(self) -> float:
        """The temperature that is used."""
        if self.temperature is not None:
            return float(self.temperature)
        return GROUP_TEMPERATURE if self.samples_per_question > 1 else 0.0
