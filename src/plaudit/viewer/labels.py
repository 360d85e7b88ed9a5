"""Labels of people: a file of their own, and the queue that draws what to look at.

Random draws and active ones are mixed in a stated share. A promise rests on the random ones alone,
at looks that are fixed beforehand.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from plaudit._util.packages import load_package
from plaudit.errors import InputError, StoreError
from plaudit.runs.labels import Answer, Drawn
from plaudit.viewer.index import EXTRA
from plaudit.viewer.kinds import STATUS
from plaudit.viewer.table import Table

LOOKS = (100, 200, 400, 800)
"""Numbers of random labels at which a promise may be made; they share its delta equally, so that
looking again and again breaks no more promises than were allowed (Bonferroni)."""
ACTIVE_SHARE = 0.25
"""Share of the draws that are active."""
_MOST_CHOICES = 20
_JUDGED = frozenset({"ok", "abstained"})


class LabelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One label: a line of the file."""

    run: str
    """The file or run that was judged."""
    index: int
    id: str
    label: str | None
    """None: the person gave none; `answer` says why."""
    answer: Answer = "label"
    annotator: str
    drawn: Drawn


class LabelFile:
    """A file of labels: a line is written, and is on the disk, before the next sample is shown."""

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            InputError: a line is no label; the message names it.
        """
        self.path = path
        self.rows: list[LabelRow] = list(_read(path))

    def add(self, *rows: LabelRow) -> None:
        """Write labels.

        Raises:
            StoreError: the file cannot be written; nothing was added.
        """
        data = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
        try:
            with self.path.open("ab") as file:
                start = file.tell()
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), start)
                    raise
        except OSError as error:
            raise StoreError(
                f"{self.path}: {error.strerror}. The label was not kept: make room or name another "
                "file with --labels, and answer again"
            ) from error
        self.rows += rows

    def undo(self) -> LabelRow | None:
        """Take the last label back, and return it; None where there is none.

        Raises:
            StoreError: the file cannot be written.
        """
        if not self.rows:
            return None
        try:
            with self.path.open("r+b") as file:
                lines = file.read().splitlines(keepends=True)
                file.truncate(sum(map(len, lines[:-1])))
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        return self.rows.pop()


def _read(path: Path) -> Iterator[LabelRow]:
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    for number, line in enumerate(data.splitlines(), 1):
        try:
            yield msgspec.json.decode(line, type=LabelRow)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}:{number}: not a label of plaudit view: {error}; name another file with "
                "--labels"
            ) from None


class Draw(NamedTuple):
    """The sample that is to be labelled next."""

    row: int
    drawn: Drawn


class LabelProgress(NamedTuple):
    """How far the labels are."""

    random: int
    """Random draws that were answered, skipped and unsure ones among them."""
    active: int
    next_look: int | None
    """Random draws at the next look; None: all looks are past."""
    last_look: int | None


class LabelQueue:
    """Draws samples of one file of verdicts to be labelled."""

    def __init__(
        self, table: Table, file: LabelFile, name: str, annotator: str, *, seed: int = 0
    ) -> None:
        """Begin, or go on with what a file of labels has.

        Args:
            table: the verdicts.
            file: where labels go.
            name: of the verdicts, for the label rows.
            annotator: who labels.
            seed: of the random order; the same seed draws the same samples.
        """
        self._np = load_package("numpy", EXTRA)
        self.table, self.file, self.name, self.annotator = table, file, name, annotator
        self._indexes: dict[int, int] = {}
        judged = self._judged()
        self._random: list[int] = self._np.random.default_rng(seed).permutation(judged).tolist()
        self._active = self._doubtful(judged)

    @property
    def own(self) -> list[LabelRow]:
        """The labels of this person for this file, in the order in which they were given."""
        return [
            row
            for row in self.file.rows
            if row.run == self.name and row.annotator == self.annotator
        ]

    def progress(self) -> LabelProgress:
        """Return how far the labels are."""
        random = sum(row.drawn == "random" for row in self.own)
        return LabelProgress(
            random,
            len(self.own) - random,
            next((look for look in LOOKS if look > random), None),
            next((look for look in reversed(LOOKS) if look <= random), None),
        )

    def next(self) -> Draw | None:
        """Return what is to be labelled next; None where nothing is left.

        A random draw whose sample has an active label already takes that label over: it was drawn
        by chance now, and the person has answered.
        """
        while (draw := self._drawn()) is not None:
            known = [row for row in self.own if row.index == self.index(draw.row)]
            if not known or draw.drawn == "active":
                return draw
            self.file.add(msgspec.structs.replace(known[0], drawn="random"))
        return None

    def undo(self) -> LabelRow | None:
        """Take this person's last answer back, and return it; None where it is not the last line.

        Raises:
            StoreError: the file cannot be written.
        """
        own = self.own
        if not own or self.file.rows[-1] is not own[-1]:
            return None
        taken_over = any(row.index == own[-1].index for row in own[:-1])
        self.file.undo()
        return self.undo() if taken_over else own[-1]

    def answer(self, draw: Draw, answer: Answer, label: str | None) -> LabelRow:
        """Keep what a person said of a draw.

        Raises:
            StoreError: the file cannot be written.
        """
        row = LabelRow(
            run=self.name,
            index=self.index(draw.row),
            id=self.table.id(draw.row),
            label=label if answer == "label" else None,
            answer=answer,
            annotator=self.annotator,
            drawn=draw.drawn,
        )
        self.file.add(row)
        return row

    def choices(self) -> list[str]:
        """Return the labels that a person may give: what the judge said, and could have said."""
        words = {word for word in self.table.index.words["value"] if word}
        for row in range(min(len(self.table.index), 20)):
            try:
                found = msgspec.json.decode(self.table.line(row), type=_Options)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            words |= set(found.probabilities or ())
        return sorted(words, key=_by_number)[:_MOST_CHOICES]

    def index(self, row: int) -> int:
        """Return the index of a verdict in its run."""
        found = self._indexes.get(row)
        if found is None:
            found = msgspec.json.decode(self.table.line(row), type=_Indexed).index
            self._indexes[row] = found
        return found

    def promise_labels(self, look: int) -> dict[str | int, str | None]:
        """Return the first random labels, as many as a look has, by index."""
        random = [row for row in self.own if row.drawn == "random"]
        return {row.index: row.label for row in random[:look]}

    def _drawn(self) -> Draw | None:
        own = self.own
        random = sum(row.drawn == "random" for row in own)
        active = len(own) - random
        wants_active = active < int((len(own) + 1) * ACTIVE_SHARE)
        if wants_active:
            seen = {row.index for row in own}
            for row in self._active:
                if self.index(row) not in seen:
                    return Draw(row, "active")
        by_chance = {row.index for row in own if row.drawn == "random"}
        left = (row for row in self._random if self.index(row) not in by_chance)
        return next((Draw(row, "random") for row in left), None)

    def _judged(self) -> Any:
        """Return the rows with a verdict that a person can agree with."""
        np, index = self._np, self.table.index
        wanted = [number for number, word in enumerate(index.words[STATUS]) if word in _JUDGED]
        return np.flatnonzero(np.isin(index.columns[STATUS], wanted))

    def _doubtful(self, judged: Any) -> list[int]:
        """Return the rows that promise to show a fault: the least sure first."""
        np, confidence = self._np, self.table.index.columns["confidence"][judged]
        known = np.isfinite(confidence)
        return judged[known][np.argsort(confidence[known], kind="stable")].tolist()


class _Indexed(msgspec.Struct, frozen=True):
    index: int


class _Options(msgspec.Struct, frozen=True):
    probabilities: dict[str, Any] | None = None


def _by_number(word: str) -> tuple[float, str]:
    try:
        return float(word), word
    except ValueError:
        return float("inf"), word
