"""Questions that an agent is to answer: read, written, counted, picked, loaded as a data set."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

import msgspec

from plaudit._util.packages import load_package
from plaudit.errors import InputError, StoreError, UsageError
from plaudit.io.partial import PartialFile
from plaudit.io.sources import RowReader
from plaudit.judges.rows import (
    json_type,
    row_id,
    take_optional_text,
    take_text,
    take_texts,
    unknown_columns,
)
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


OnReject = Callable[[str, InputError], object]
"""Called with the place of a malformed row, such as `questions.jsonl:3`, and its error."""

Taken = TypeVar("Taken")

_FIELDS = frozenset(Question.__struct_fields__)


class QuestionIds:
    """Where the ids of questions stand. None may stand twice: they identify rollouts."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}

    def take(self, id: str, where: str) -> None:
        """Note the id of a question.

        Args:
            id: of the question; a hash of its text and answer where its row has none.
            where: the question's place, for a person.

        Raises:
            InputError: another question has it; the message names the other's place.
        """
        before = self._places.setdefault(id, where)
        if before is not where:
            raise InputError(
                f"the id {id!r} stands at {before} too; give each question an id of its own, and "
                "ask one several times with more samples of it"
            )


def iter_questions(
    source: str | Path, *, split: Split | None = None, on_reject: OnReject | None = None
) -> Iterator[Question]:
    """Read questions one by one.

    A row is `{"id", "question", "answer", "difficulty", "chunk_ids", "supporting_text", "split"}`,
    of which only `question` must be there. No `id` may stand twice. `answer` is a text, a number,
    or a list of accepted ones. Other columns are kept in `metadata`.

    Args:
        source: JSON Lines, a JSON array, Parquet, a saved `datasets` folder, or `-`.
        split: give only the questions of this split; None: all.
        on_reject: called for each malformed row, which is left out; None: the first one raises.

    Raises:
        InputError: the source cannot be read; or a row is malformed, the message names its place.
    """
    ids = QuestionIds()

    def take(row: dict[str, Any], where: str, number: int) -> Question:
        del number
        question = read_question(row)
        ids.take(question.id, where)
        return question

    for question in read_rows(source, take, on_reject):
        if split is None or question.split == split:
            yield question


def read_rows(
    source: str | Path,
    take: Callable[[dict[str, Any], str, int], Taken],
    on_reject: OnReject | None,
) -> Iterator[Taken]:
    """Yield what is taken of each row, given the row, its place and its number, from 0.

    Raises:
        InputError: a row is malformed, and `on_reject` is None.
    """
    with RowReader(source) as rows:
        for number, row in enumerate(rows):
            try:
                if row.data is None:
                    raise InputError(row.error or "it cannot be read")
                taken = take(row.data, row.where, number)
            except InputError as error:
                named = InputError(f"{row.where}: {error}")
                if on_reject is None:
                    raise named from None
                on_reject(row.where, named)
            else:
                yield taken


def read_questions(
    source: str | Path, *, split: Split | None = None, on_reject: OnReject | None = None
) -> list[Question]:
    """Read all questions of a file; see `iter_questions`.

    Raises:
        InputError: it cannot be read, a row is malformed, or no question is of the split.
    """
    found = list(iter_questions(source, split=split, on_reject=on_reject))
    if not found:
        of_split = "" if split is None else f" of the split {split!r}"
        raise InputError(f"{source} holds no question{of_split}")
    return found


def read_question(row: Mapping[str, Any]) -> Question:
    """Take a question from a row; see `iter_questions`.

    Raises:
        InputError: it is malformed; the message names the field.
    """
    text = take_text(row, "question")
    if not text.strip():
        raise InputError("'question' is empty")
    answer = _answer(row)
    split = row.get("split")
    if split is not None and split not in get_args(Split):
        raise InputError(f"'split' must be 'train' or 'test', not {split!r}")
    own = row.get("metadata")
    if own is not None and not isinstance(own, dict):
        raise InputError(f"'metadata' must be an object, not {json_type(own)}")
    return Question(
        id=row_id(row, [text, answer]),
        question=text,
        answer=answer,
        difficulty=take_optional_text(row, "difficulty"),
        chunk_ids=list(take_texts(row, "chunk_ids")) if row.get("chunk_ids") else [],
        supporting_text=take_optional_text(row, "supporting_text"),
        split=split,
        metadata=unknown_columns(row, _FIELDS) | cast("dict[str, Any]", own or {}),
    )


def _answer(row: Mapping[str, Any]) -> str | list[str] | None:
    """Return the reference; a number as its text."""
    given = row.get("answer")
    if given is None:
        return None
    if isinstance(given, int | float) and not isinstance(given, bool):
        return str(given)
    texts = take_texts(row, "answer")
    return list(texts) if isinstance(given, list) else texts[0]


def write_questions(out: str | Path, questions: Iterable[Question]) -> None:
    """Write questions as JSON Lines: the whole file, or none.

    Raises:
        StoreError: it cannot be written.
    """
    encode = msgspec.json.Encoder().encode
    try:
        partial = PartialFile(Path(out))
        try:
            for question in questions:
                partial.file.write(encode(question) + b"\n")
            partial.commit()
        finally:
            partial.abort()
    except OSError as error:
        raise StoreError(f"{out} could not be written: {error.strerror or error}") from error


def count_questions(questions: Iterable[Question]) -> dict[str, int]:
    """Count questions by split; those without one under `none`."""
    counts: dict[str, int] = {}
    for question in questions:
        name = question.split or "none"
        counts[name] = counts.get(name, 0) + 1
    return counts


def pick_questions(
    questions: Iterable[Question], count: int, *, seed: int = 42, split: Split | None = None
) -> list[Question]:
    """Pick questions at random, in a random order; a larger count picks the same ones and more.

    Args:
        questions: what to pick from.
        count: how many; all, in a random order, where there are not so many.
        seed: the same seed picks the same questions, whatever order they come in.
        split: pick only from this split; None: from all.

    Raises:
        UsageError: the count is negative.
    """
    if count < 0:
        raise UsageError(f"{count} questions cannot be picked")
    of_split = [one for one in questions if split is None or one.split == split]
    return sorted(of_split, key=lambda one: _order(seed, one.id))[:count]


def _order(seed: int, id: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0pick\0{id}".encode(errors="replace"), digest_size=16).digest()


def question_dataset(source: str | Path | Iterable[Question], *, split: Split | None = None) -> Any:
    """Return questions as a `datasets.Dataset`, such as trainers take.

    Its columns are `id`, `question`, `answer`, `difficulty`, `chunk_ids`, `supporting_text`,
    `split` and `metadata` (JSON text). `answer` is a text; or, where any question has several, a
    list of texts everywhere.

    Raises:
        InputError: the file cannot be read, or there is no question of the split.
        MissingDependencyError: `datasets` is not installed.
    """
    datasets = load_package("datasets", "datasets")
    if isinstance(source, str | Path):
        questions = read_questions(source, split=split)
    else:
        questions = [one for one in source if split is None or one.split == split]
        if not questions:
            raise InputError("there is no question to make a data set of")
    several = any(isinstance(one.answer, list) for one in questions)
    return datasets.Dataset.from_list([_row(one, several) for one in questions])


def _row(question: Question, several: bool) -> dict[str, Any]:
    row = {name: getattr(question, name) for name in Question.__struct_fields__}
    if several:
        row["answer"] = list(question.references)
    row["metadata"] = msgspec.json.encode(question.metadata).decode()
    return row
