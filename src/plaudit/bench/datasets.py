"""Published sets of human labels, read in the formats in which their authors publish them.

    rows = load_dataset("llmbar", "LLMBar/Natural/dataset.json")
    verdicts = Judge(rows.kind).judge_batch(rows)

The rows have the form of plaudit's own input, with the human's answer as `label`; what else a set
says of a row (subset, system, ...) comes along in columns that judges pass on as metadata. A file
that is not of the named format is an error that names the file and the entry: a set that is read
half is worse than none. What a set itself marks as unusable is left out, and counted.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from plaudit.bench.catalog import DATASETS, DatasetFormat, FoundRow, Source, looks_like, subset_of
from plaudit.bench.formats import Entry, Row
from plaudit.bench.hub import fetch_dataset
from plaudit.bench.labels import LABELS
from plaudit.errors import ArgumentError, InputError, UsageError
from plaudit.io.scratch import close_scratch, open_scratch, scratch_error
from plaudit.judges.load import task_type
from plaudit.types import Json

Options = Mapping[str, bool | str]


class LabelledRows(Iterator[Row]):
    """The rows of a labelled set, in the order of its files; read once.

    Attributes:
        kind: the judge that the rows are for.
        source: where they are from: a path, or repository and commit.
        left_out: how many rows the set itself marks as unusable, or that have no label, by reason;
            grows while reading.
        empty: files that hold no row to judge; grows while reading.
    """

    def __init__(
        self,
        form: DatasetFormat,
        sources: Sequence[Source],
        options: Options,
        *,
        source: str,
        labelled: bool,
    ) -> None:
        self.source = source
        self.kind = str(options.get("kind") or form.kind)
        self.left_out: Counter[str] = Counter()
        self.empty: list[str] = []
        rows = _read(form, sources, options, self)
        self._rows = self._with_label(rows) if labelled else rows

    def __next__(self) -> Row:
        return next(self._rows)

    def _with_label(self, rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            if row["label"] is None:
                self.left_out["no label"] += 1
            else:
                yield row


def load_dataset(
    name: str,
    path: str | Path | None = None,
    *,
    labelled: bool = False,
    revision: str | None = None,
    **options: bool | str,
) -> LabelledRows:
    """Open a labelled set.

    Args:
        name: one of `DATASETS`; `own` takes any rows with a label.
        path: its file, or a folder that holds its files as they were published; None: it is
            fetched from the Hugging Face hub.
        revision: commit, branch or tag on the hub; None: that of the table of sets.
        labelled: leave out, and count, rows without a label, which some sets have.
        options: `unanimous=True` (pandalm): only rows on which all annotators agree; `kind=...`
            (own): the judge that the rows are for; `group=...` (own): the column with the subset.

    Raises:
        UsageError: there is no such set, it has no such option, or `own` has no kind.
        InputError: there is no such file, or (while reading) it is not of that format.
        MissingDependencyError: the file or the hub takes a package that is not installed.
    """
    form = DATASETS.get(name)
    if form is None:
        raise UsageError(f"there is no data set {name!r}; there are {', '.join(DATASETS)}")
    for option in options:
        if option not in form.options:
            known = ", ".join(sorted(form.options)) or "none"
            raise UsageError(f"the data set {name} has no option {option!r}; it has {known}")
    if not form.kind and options.get("kind") not in LABELS:
        raise ArgumentError("kind", f"must say who judges the rows: {', '.join(LABELS)}")
    source = str(path)
    if path is None:
        path, source = fetch_dataset(form, revision)
    elif revision is not None:
        raise ArgumentError("revision", "is for the hub, and not for files that are given")
    sources = _sources(form, Path(path))
    return LabelledRows(form, sources, options, source=source, labelled=labelled)


class UniqueIds:
    """Names for the rows of a set: each its id, or its number where it has none.

    What occurs again gets a number, such as `q1#2`. The same rows in the same order get the same
    names.
    """

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()
        self._taken: set[str] = set()
        self._rows = 0

    def name(self, row: Mapping[str, Json]) -> str:
        """Return the name of the next row."""
        self._rows += 1
        given = row.get("id")
        name = own = str(self._rows if given is None else given)
        while name in self._taken:
            self._given[own] += 1
            name = f"{own}#{self._given[own] + 1}"
        self._taken.add(name)
        return name


def with_ids(rows: Iterable[Mapping[str, Json]]) -> Iterator[Row]:
    """Give each row an id of its own; see `UniqueIds`."""
    ids = UniqueIds()
    for row in rows:
        yield {**row, "id": ids.name(row)}


def _sources(form: DatasetFormat, path: Path) -> Sequence[Source]:
    """Return the files of a set: the path, what its folder holds, or a folder of `datasets`."""
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_dir() or (path / "dataset_info.json").is_file():
        return [(subset_of(path), path)]
    sources = form.find(path)
    if not sources:
        raise InputError(f"{path} holds no file of {form.title}, which is {form.get}")
    return sources


def place_sides(rows: Sequence[Mapping[str, Json]], seed: int = 0) -> list[Row]:
    """Place the better response of pairs first in one half of them and second in the other.

    Sets that always give the better response first would otherwise call a judge right that always
    says "first". In each subset as many pairs get the label A as B, give or take one; which ones
    depends on their texts and the seed alone, and not on how the set was published. Pairs that
    were turned over have `turned` set to true.

    Args:
        rows: pairwise rows with a label `A`, `B` or `A=B`, as `load_dataset` gives them.
        seed: gives another, equally balanced placement.
    """
    turns = _turns([_pair_key(row, seed) for row in rows])
    return [_placed(row, turn) for row, turn in zip(rows, turns, strict=True)]


def place_rows(rows: Iterable[Mapping[str, Json]], seed: int = 0) -> Iterator[Row]:
    """Place pairs as `place_sides` does, with a digest of each in memory and not the pair.

    Raises:
        StoreError: temporary files cannot be written.
    """
    keys: list[_PairKey] = []
    file = open_scratch()
    try:
        for row in rows:
            keys.append(_pair_key(row, seed))
            file.write(msgspec.json.encode(row) + b"\n")
        file.seek(0)
        for line, turn in zip(file, _turns(keys), strict=True):
            yield _placed(msgspec.json.decode(line), turn)
    except OSError as error:
        raise scratch_error(error) from error
    finally:
        close_scratch(file)


class _PairKey(NamedTuple):
    """By what a pair is placed."""

    subset: str
    digest: str
    label: str
    first_is_b: bool


def _pair_key(row: Mapping[str, Json], seed: int) -> _PairKey:
    a, b = (_response(row, side) for side in "AB")
    digest = _hash(seed, _text(row.get("prompt")), *sorted((a, b)))
    label, subset = sys.intern(str(row["label"])), sys.intern(str(row.get("subset")))
    return _PairKey(subset, digest, label, _hash(seed, b) < _hash(seed, a))


def _turns(keys: Sequence[_PairKey]) -> list[bool]:
    """Return which pairs are turned over."""
    order = sorted(range(len(keys)), key=lambda place: keys[place][:2])
    winners = [place for place in order if keys[place].label in ("A", "B")]
    turns = [key.first_is_b for key in keys]
    for number, place in enumerate(winners):
        turns[place] = "AB"[number % 2] != keys[place].label
    return turns


def _placed(row: Mapping[str, Json], turn: bool) -> Row:
    return {**(turn_over(row) if turn else row), "turned": turn}


def turn_over(row: Mapping[str, Json]) -> Row:
    """Exchange the responses of a pair, and its label with them."""
    turned = {_OTHER.get(name, name): value for name, value in row.items()}
    return turned | {"label": _MIRRORED[row["label"]]}


_MIRRORED = {"A": "B", "B": "A", "A=B": "A=B"}
_SIDES = (("response_a", "response_b"), ("conversation_A", "conversation_B"))
_OTHER = dict(_SIDES) | {b: a for a, b in _SIDES}


def _response(row: Mapping[str, Json], side: str) -> str:
    """Return one side of a pair as text, also where its row cannot be judged."""
    return _text(row.get(f"response_{side.lower()}", row.get(f"conversation_{side}")))


def _text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _hash(seed: int, *texts: str) -> str:
    whole = "\0".join((str(seed), *texts)).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(whole, digest_size=16).hexdigest()


def _read(
    form: DatasetFormat, sources: Sequence[Source], options: Options, found: LabelledRows
) -> Iterator[Row]:
    for subset, path in sources:
        count = 0
        for number, entry in enumerate(form.entries(path), 1):
            try:
                if not form.kind and number == 1:
                    _refuse_other(found.kind, entry)
                for row in form.read(Entry(entry.data, subset, number, options, found.left_out)):
                    yield row
                    count += 1
            except InputError as error:
                raise InputError(_wrong_entry(form, entry, error)) from None
        if not count:
            found.empty.append(str(path))


def _refuse_other(kind: str, entry: FoundRow) -> None:
    """Refuse an entry of a published set that the judge of somebody's own rows cannot read."""
    if looks_like(entry.data):
        task_type(kind).read_row(entry.data, 0)


def _wrong_entry(form: DatasetFormat, entry: FoundRow, error: InputError) -> str:
    """Name the entry that cannot be read, what was expected, and what it may be instead."""
    other = looks_like(entry.data)
    message = f"{entry.where}: {error}; {form.title} has {form.fields}"
    if other and DATASETS[other] is not form:
        return f"{message}. The fields are those of {DATASETS[other].title}: use {other}"
    return message
