"""Published sets of human labels, read in the formats in which their authors publish them.

    rows = load_dataset("llmbar", "LLMBar/Natural/dataset.json")
    verdicts = Judge(rows.kind).judge_batch(rows)

The rows have the form of plaudit's own input, with the human's answer as `label`; what else a set
says of a row (subset, system, ...) comes along in columns that judges pass on as metadata. A file
that is not of the named format is an error that names the file and the entry: a set that is read
half is worse than none. What a set itself marks as unusable is left out, and counted.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from plaudit.bench import formats
from plaudit.bench.dialogues import read_dialogues
from plaudit.bench.formats import Entry, Row
from plaudit.errors import InputError, UsageError
from plaudit.io.sources import RowReader
from plaudit.types import Json

Source = tuple[str, Path]
"""The name of a subset, and its file."""


class FoundRow(NamedTuple):
    """One entry of a published file, as it stands there."""

    where: str
    data: Mapping[str, Any]


def _json_entries(path: Path) -> Iterator[FoundRow]:
    with RowReader(path, strict=True) as entries:
        for entry in entries:
            assert entry.data is not None  # strict
            yield FoundRow(entry.where, entry.data)


def _dialogues(path: Path) -> Iterator[FoundRow]:
    for dialogue in read_dialogues(path):
        yield FoundRow(f"{path}: line {dialogue.line}", {"turns": dialogue.turns})


class DatasetFormat(NamedTuple):
    """How one published set is read."""

    kind: str
    """The judge that its rows are for."""
    title: str
    fields: str
    """What an entry holds, for the message when one does not."""
    find: Callable[[Path], Sequence[Source]]
    """Finds the files of the set in a folder."""
    read: Callable[[Entry], Iterator[Row]]
    options: frozenset[str] = frozenset()
    entries: Callable[[Path], Iterator[FoundRow]] = _json_entries
    """Reads the entries of a file."""


class LabelledRows(Iterator[Row]):
    """The rows of a labelled set, in the order of its files; read once.

    Attributes:
        kind: the judge that the rows are for.
        left_out: how many rows the set itself marks as unusable, by reason; grows while reading.
    """

    def __init__(
        self, form: DatasetFormat, sources: Sequence[Source], options: Mapping[str, bool]
    ) -> None:
        self.kind = form.kind
        self.left_out: Counter[str] = Counter()
        self._rows = _read(form, sources, options, self.left_out)

    def __next__(self) -> Row:
        return next(self._rows)


def load_dataset(name: str, path: str | Path, **options: bool) -> LabelledRows:
    """Open a published set of human labels.

    Args:
        name: one of `DATASETS`.
        path: its file, or a folder that holds its files as they were published.
        options: `unanimous=True` (pandalm): only rows on which all annotators agree.

    Raises:
        UsageError: there is no such set, or it has no such option.
        InputError: there is no such file, or (while reading) it is not of that format.
    """
    form = DATASETS.get(name)
    if form is None:
        raise UsageError(f"there is no data set {name!r}; there are {', '.join(DATASETS)}")
    for option in options:
        if option not in form.options:
            known = ", ".join(sorted(form.options)) or "none"
            raise UsageError(f"the data set {name} has no option {option!r}; it has {known}")
    path = Path(path)
    sources = form.find(path) if path.is_dir() else [(_subset(path), path)]
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not sources:
        raise InputError(f"{path} holds no file of {form.title}")
    return LabelledRows(form, sources, options)


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
    keys = [(str(row.get("subset")), _pair(row, seed)) for row in rows]
    order = sorted(range(len(rows)), key=keys.__getitem__)
    winners = [i for i in order if rows[i]["label"] in ("A", "B")]
    wanted = {i: "AB"[place % 2] for place, i in enumerate(winners)}
    placed: list[Row] = []
    for i, row in enumerate(rows):
        turn = wanted[i] != row["label"] if i in wanted else _first_is_b(row, seed)
        placed.append({**(turn_over(row) if turn else row), "turned": turn})
    return placed


def turn_over(row: Mapping[str, Json]) -> Row:
    """Exchange the responses of a pair, and its label with them."""
    turned = dict(row)
    turned["response_a"], turned["response_b"] = row["response_b"], row["response_a"]
    return turned | {"label": _MIRRORED[row["label"]]}


_MIRRORED = {"A": "B", "B": "A", "A=B": "A=B"}


def _pair(row: Mapping[str, Json], seed: int) -> str:
    responses = sorted((row["response_a"], row["response_b"]))
    return _hash(seed, row["prompt"], *responses)


def _first_is_b(row: Mapping[str, Json], seed: int) -> bool:
    return _hash(seed, row["response_b"]) < _hash(seed, row["response_a"])


def _hash(seed: int, *texts: str) -> str:
    whole = "\0".join((str(seed), *texts)).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(whole, digest_size=16).hexdigest()


def _read(
    form: DatasetFormat,
    sources: Sequence[Source],
    options: Mapping[str, bool],
    left_out: Counter[str],
) -> Iterator[Row]:
    for subset, path in sources:
        for number, found in enumerate(form.entries(path), 1):
            try:
                yield from form.read(Entry(found.data, subset, number, options, left_out))
            except InputError as error:
                raise InputError(
                    f"{found.where}: {error}; {form.title} has {form.fields}"
                ) from None


# Where the files of a set are


def _subset(path: Path) -> str:
    """Name the subset that a file holds: the file's name, or that of its folder."""
    if path.stem != "dataset":
        return path.stem
    parents = [p.name.lower() for p in (path.parent.parent, path.parent)]
    return "_".join(parents if parents[0] == "adversarial" else parents[1:])


def _llmbar_files(folder: Path) -> list[Source]:
    """Find LLMBar's own layout, a `dataset.json` a subset, or a file a subset."""
    files = sorted(folder.rglob("dataset.json")) or sorted(folder.glob("*.json"))
    return [(_subset(file), file) for file in files]


def _files_named(*patterns: str) -> Callable[[Path], list[Source]]:
    def find(folder: Path) -> list[Source]:
        found = [file for pattern in patterns for file in sorted(folder.glob(pattern))]
        return [(_subset(file), file) for file in found]

    return find


DATASETS: Mapping[str, DatasetFormat] = {
    "llmbar": DatasetFormat(
        kind="pairwise",
        title="LLMBar",
        fields="input, output_1, output_2 and label (1 or 2)",
        find=_llmbar_files,
        read=formats.read_llmbar,
    ),
    "pandalm": DatasetFormat(
        kind="pairwise",
        title="the test set of PandaLM",
        fields="instruction, input, response1, response2, cmp_key and annotator1 to annotator3",
        find=_files_named("testset-v1.json"),
        read=formats.read_pandalm,
        options=frozenset({"unanimous"}),
    ),
    "biasbench": DatasetFormat(
        kind="pairwise",
        title="EvalBiasBench",
        fields="by bias, lists of instruction, response1, response2 and label (1 or 2)",
        find=_files_named("biasbench.json"),
        read=formats.read_biasbench,
    ),
    "evouna": DatasetFormat(
        kind="verify",
        title="EVOUNA",
        fields="question, golden_answer, improper, and answer_X and judge_X of each system X",
        find=_files_named("NQ.json", "TQ.json"),
        read=formats.read_evouna,
    ),
    "rewardbench": DatasetFormat(
        kind="pairwise",
        title="RewardBench",
        fields="prompt, chosen, rejected and subset",
        find=_files_named("filtered*.parquet", "data/filtered*.parquet"),
        read=formats.read_rewardbench,
    ),
    "judgebench": DatasetFormat(
        kind="pairwise",
        title="JudgeBench",
        fields="pair_id, source, question, response_model, response_A, response_B and label",
        find=_files_named("*.jsonl", "data/*.jsonl"),
        read=formats.read_judgebench,
    ),
    "uss": DatasetFormat(
        kind="feedback",
        title="user-satisfaction-simulation",
        fields="dialogues of lines ROLE, text, action and ratings, with tabs between them",
        find=_files_named("*.txt", "dataset/*.txt"),
        read=formats.read_uss,
        entries=_dialogues,
    ),
}
"""The published sets that can be read, by name."""
