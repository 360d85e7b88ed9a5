"""Labels of one file of verdicts: what is shown, what is kept, and what it promises."""

import asyncio
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from plaudit._util.options import Help
from plaudit._util.ranges import WHOLE_64, Range
from plaudit.errors import UsageError
from plaudit.runs.learning import fit_calibration
from plaudit.scoring.calibration import Calibration
from plaudit.scoring.fitting import Promise
from plaudit.viewer import rows
from plaudit.viewer.chats import JudgedChat, judged_of
from plaudit.viewer.labels import LOOKS, Draw, LabelFile, LabelQueue, LabelRow
from plaudit.viewer.library import ViewedFile
from plaudit.viewer.table import Table

KEYS = "1234567890"
"""Keys of the labels, in their order."""


class LabelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How people label."""

    file: Annotated[
        str | None,
        Help(
            "Labels go here, a line each; without it, to NAME.labels.jsonl beside what was judged.",
            metavar="FILE",
            flags=("--labels",),
        ),
    ] = None
    annotator: Annotated[
        str, Help("Who labels; without it, the name of the user.", metavar="NAME")
    ] = ""
    seed: Annotated[int, Range(0, WHOLE_64), Help("Seed of the random draws.")] = 0


class LabelChoice(NamedTuple):
    """A label that may be given."""

    label: str
    key: str


class ShownSample(NamedTuple):
    """A sample to be labelled, without what the judge said of it."""

    draw: Draw
    id: str
    judged: JudgedChat
    total: int


class Last(NamedTuple):
    """What was said last, by the person and by the judge."""

    id: str
    said: str
    value: str
    status: str
    agrees: bool | None


class Labelling:
    """The labels of one file of verdicts."""

    def __init__(self, document: ViewedFile, table: Table, options: LabelOptions) -> None:
        """Begin, or go on.

        Raises:
            UsageError: the file holds no verdicts.
            InputError: the file of labels cannot be read.
        """
        if table.kind.name != "verdicts":
            raise UsageError(f"{document.title} holds {table.kind.name}, and no verdicts to label")
        place = options.file or f"{document.path.with_suffix('')}.labels.jsonl"
        self.table = table
        self.file = LabelFile(Path(place))
        annotator = options.annotator or getpass.getuser()
        self.queue = LabelQueue(table, self.file, document.path.name, annotator, seed=options.seed)
        self.choices = [
            LabelChoice(label, KEYS[number] if number < len(KEYS) else "")
            for number, label in enumerate(self.queue.choices())
        ]
        self._lock = asyncio.Lock()

    async def shown(self) -> ShownSample | None:
        """Return the next sample; None where none is left."""
        async with self._lock:
            draw = self.queue.next()
        if draw is None:
            return None
        found = rows.decode_row(self.table.line(draw.row), self.table.where(draw.row))
        given = rows.verdict_page(found)
        judged = given.judged or judged_of({})
        return ShownSample(draw, given.id, judged, len(self.table.index))

    async def answer(self, row: int, said: str) -> None:
        """Keep an answer; one to another sample than the next is left out: it was given twice.

        Args:
            row: the sample that the page showed.
            said: `label:WORD`, `unsure`, `skipped` or `undo`.

        Raises:
            UsageError: it is no answer.
            StoreError: the file cannot be written.
        """
        async with self._lock:
            if said == "undo":
                self.queue.undo()
                return
            draw = self.queue.next()
            if draw is None or draw.row != row:
                return
            kind, _, label = said.partition(":")
            if kind == "label" and label in {choice.label for choice in self.choices}:
                self.queue.answer(draw, "label", label)
            elif said == "unsure":
                self.queue.answer(draw, "unsure", None)
            elif said == "skipped":
                self.queue.answer(draw, "skipped", None)
            else:
                raise UsageError(f"{said!r} is no answer")

    def last(self) -> Last | None:
        """Return what was said last of a sample."""
        own = self.queue.own
        if not own:
            return None
        row: LabelRow = own[-1]
        found = self.table.find(row.id)
        if found is None:
            return Last(row.id, row.label or row.answer, "", "", None)
        value = self.table.fact(found, "value")
        agrees = None if row.label is None else row.label == value
        status = str(self.table.fact(found, "status"))
        return Last(row.id, row.label or row.answer, str(value), status, agrees)

    async def calibrate(self, target: float, delta: float) -> "LookPromise":
        """Fit a calibration on the random labels of the last look, and keep it beside the labels.

        Raises:
            UsageError: no look was reached.
            InputError: the labels are of no use for a calibration.
        """
        look = self.queue.progress().last_look
        if look is None:
            raise UsageError(f"a promise may first be made with {LOOKS[0]} random labels")
        Promise(target=target, delta=delta)
        work: Callable[[], Calibration] = lambda: fit_calibration(  # noqa: E731
            self.table.path,
            self.queue.promise_labels(look),
            target=target,
            delta=delta / len(LOOKS),
        )
        found = await asyncio.to_thread(work)
        name = self.file.path.name.removesuffix(".jsonl").removesuffix(".labels")
        out = self.file.path.with_name(f"{name}.calibration.json")
        await asyncio.to_thread(found.save, out)
        return LookPromise(look, target, delta, found, out)


class LookPromise(NamedTuple):
    """What the labels of a look promise."""

    look: int
    target: float
    delta: float
    calibration: Calibration
    out: Path
