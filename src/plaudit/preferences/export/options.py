"""What is exported, and how."""

from typing import Literal

import msgspec

from plaudit.preferences.split import SplitOptions

Style = Literal["plain", "conversational"]

Problem = Literal[
    "messages",
    "several_messages",
    "not_assistant",
    "content_parts",
    "images",
    "tool_calls",
    "tool_arguments",
    "tools",
    "message_fields",
    "no_text",
    "roles",
    "same_response",
]
"""Why a format cannot carry a pair; docs/reference/export.md explains each."""


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How pairs are exported."""

    split: SplitOptions = SplitOptions()
    style: Style | Literal["auto"] = "auto"
    """`auto`: plain if every prompt and response is text, else conversational throughout."""


class ExportSummary(msgspec.Struct, kw_only=True):
    """What an export came to."""

    format: str
    out: str
    files: list[str] = []
    """What was written, by their names in `out`."""
    style: Style = "plain"
    mixed: bool = False
    """Whether some pairs were all text and others had messages."""
    pairs: int = 0
    """Pairs that were read; rejected rows are none."""
    train: int = 0
    """Rows written for training."""
    validation: int = 0
    """Rows written for validation."""
    examples: int = 0
    train_examples: int = 0
    validation_examples: int = 0
    groups: int = 0
    """Groups of examples that are kept on one side since their prompts are near duplicates."""
    largest_group: int = 0
    strata: dict[str, tuple[int, int]] = {}
    """Examples for training and for validation, by stratum."""
    set_aside: dict[Problem, int] = {}
    """Pairs that the format cannot carry, by reason."""
    ties: int = 0
    """Responses without a label, since they were chosen as often as rejected (`trl-kto`)."""
    rejected: int = 0
    """Rows that are no pair, or whose margin is not above 0."""
    rejects: str | None = None
    """Where rejected rows and pairs that were set aside are, with the reasons."""
    notes: list[str] = []
    """What a person should know of the result."""

    @property
    def exit_status(self) -> int:
        """0, or 1 where not every row was exported."""
        return int(bool(self.rejected or self.set_aside))
