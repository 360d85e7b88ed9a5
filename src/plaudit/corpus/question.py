"""A question that an agent is to answer."""

from typing import Literal

import msgspec

from plaudit.types import Json

Split = Literal["train", "test"]


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of a questions file. Only `question` is ever shown to a policy."""

    id: str
    question: str
    answer: str | list[str] | None = None
    """The reference, or several that are accepted; None where there is none."""
    difficulty: str | None = None
    chunk_ids: list[str] = []
    """Chunks that hold the answer; empty where they are not known."""
    supporting_text: str | None = None
    """The passage that holds the answer."""
    split: Split | None = None
    metadata: dict[str, Json] = {}
    """Columns that nothing here reads."""

    @property
    def references(self) -> tuple[str, ...]:
        """Accepted answers; empty where there is none."""
        if self.answer is None:
            return ()
        return (self.answer,) if isinstance(self.answer, str) else tuple(self.answer)
