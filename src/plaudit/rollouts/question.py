"""A question that an agent is to answer."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from plaudit.errors import InputError
from plaudit.judges import rows
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


_FIELDS = frozenset(Question.__struct_fields__)


def question_of_row(row: Mapping[str, Json]) -> Question:
    """Take a question from a row of a file or of a data set.

    A number as the answer is taken as its text; columns without a meaning here go to `metadata`; a
    row without an id gets a hash of its question and answer.

    Raises:
        InputError: the question is missing or empty, or a field is of the wrong type.
    """
    text = rows.take_text(row, "question")
    if not text.strip():
        raise InputError("'question' is empty")
    answer = _answer(row.get("answer"))
    fields = {name: row[name] for name in _FIELDS & row.keys() if row[name] is not None}
    metadata = fields.pop("metadata", {})
    if not isinstance(metadata, dict):
        raise InputError(f"'metadata' must be an object, not {rows.json_type(metadata)}")
    fields |= {
        "id": rows.row_id(row, [text, answer]),
        "answer": answer,
        "metadata": rows.unknown_columns(row, _FIELDS) | metadata,
    }
    try:
        return msgspec.convert(fields, Question)
    except msgspec.ValidationError as error:
        raise InputError(f"not a question: {error}") from None


def _answer(value: Json) -> Json:
    """Return numbers as text, alone or in a list; all else as it is."""
    if isinstance(value, list):
        return [_answer(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value
