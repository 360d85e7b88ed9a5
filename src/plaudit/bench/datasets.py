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
from typing import Any, NamedTuple, cast

from plaudit.errors import InputError, UsageError
from plaudit.judges.rows import json_type, take_optional_text, take_text
from plaudit.runs.sources import RowReader
from plaudit.types import Json

Row = dict[str, Json]

Source = tuple[str, Path]
"""The name of a subset, and its file."""


class _Entry(NamedTuple):
    """One entry of a published file, and where it stands."""

    data: Mapping[str, Any]
    subset: str
    number: int
    """From 1."""
    options: Mapping[str, bool]
    left_out: Counter[str]


class DatasetFormat(NamedTuple):
    """How one published set is read."""

    kind: str
    """The judge that its rows are for."""
    title: str
    fields: str
    """What an entry holds, for the message when one does not."""
    find: Callable[[Path], Sequence[Source]]
    """Finds the files of the set in a folder."""
    read: Callable[[_Entry], Iterator[Row]]
    options: frozenset[str] = frozenset()


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
        with RowReader(path, strict=True) as entries:
            for entry in entries:
                assert entry.data is not None  # strict
                try:
                    yield from form.read(
                        _Entry(entry.data, subset, entry.number + 1, options, left_out)
                    )
                except InputError as error:
                    raise InputError(
                        f"{entry.where}: {error}; {form.title} has {form.fields}"
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


# The formats


def _read_llmbar(entry: _Entry) -> Iterator[Row]:
    data = entry.data
    yield {
        "id": f"{entry.subset}-{entry.number}",
        "prompt": take_text(data, "input"),
        "response_a": take_text(data, "output_1"),
        "response_b": take_text(data, "output_2"),
        "label": _side(data, "label", "AB"),
        "subset": entry.subset,
    }


def _read_biasbench(entry: _Entry) -> Iterator[Row]:
    for bias, items in entry.data.items():
        if not isinstance(items, list):
            raise InputError(f"{bias!r} must be a list, not {json_type(items)}")
        for number, item in enumerate(cast("list[Any]", items), 1):
            try:
                yield _bias_row(item, bias, number)
            except InputError as error:
                raise InputError(f"{bias!r}, entry {number}: {error}") from None


def _bias_row(item: Any, bias: str, number: int) -> Row:
    if not isinstance(item, dict):
        raise InputError(f"must be an object, not {json_type(item)}")
    data = cast("dict[str, Any]", item)
    return {
        "id": f"{bias}-{number}",
        "prompt": take_text(data, "instruction"),
        "response_a": take_text(data, "response1"),
        "response_b": take_text(data, "response2"),
        "label": _side(data, "label", "AB"),
        "subset": bias,
    }


def _read_pandalm(entry: _Entry) -> Iterator[Row]:
    data = entry.data
    votes = [_side(data, f"annotator{n}", _PANDALM_SIDES) for n in (1, 2, 3)]
    label, count = Counter(votes).most_common(1)[0]
    if count == 1:
        entry.left_out["no majority"] += 1
    elif count < 3 and entry.options.get("unanimous"):
        entry.left_out["not unanimous"] += 1
    else:
        instruction, context = take_text(data, "instruction"), take_text(data, "input")
        yield {
            "id": f"{entry.subset}-{entry.number}",
            "prompt": f"{instruction}\n\n{context}" if context else instruction,
            "response_a": _response(data, "response1"),
            "response_b": _response(data, "response2"),
            "label": label,
            "votes": votes,
            "systems": take_text(data, "cmp_key"),
        }


_PANDALM_SIDES = ("A=B", "A", "B")


def _response(data: Mapping[str, Any], name: str) -> str:
    """Return a response. Six of those published are true instead of the text "True"."""
    value = data.get(name)
    return str(value) if isinstance(value, bool) else take_text(data, name)


def _read_evouna(entry: _Entry) -> Iterator[Row]:
    data = entry.data
    systems = [name.removeprefix("answer_") for name in data if name.startswith("answer_")]
    if not systems:
        raise InputError("there is no field 'answer_...'")
    question, improper = take_text(data, "question"), data.get("improper")
    golden = take_optional_text(data, "golden_answer")
    if not isinstance(improper, bool):
        raise InputError(f"'improper' must be true or false, not {json_type(improper)}")
    references = [r for r in map(str.strip, (golden or "").split("/")) if r]
    for system in systems:
        answer = take_optional_text(data, f"answer_{system}")
        verdict = _judgement(data, f"judge_{system}")
        if improper:
            entry.left_out["improper question"] += 1
        elif not references:
            entry.left_out["no golden answer"] += 1
        elif verdict is None:
            entry.left_out["not judged"] += 1
        elif answer is None:
            entry.left_out["no answer"] += 1
        else:
            yield {
                "id": f"{entry.subset}-{entry.number}-{system}",
                "question": question,
                "answer": answer,
                "reference": references,
                "label": "correct" if verdict else "incorrect",
                "subset": entry.subset,
                "system": system,
            }


def _judgement(data: Mapping[str, Any], name: str) -> bool | None:
    """Return a human's judgement; what was not judged is null in one file, "nan" in the other."""
    value = data.get(name)
    if isinstance(value, bool):
        return value
    if name not in data:
        raise InputError(f"the field {name!r} is missing")
    if value is None or value == "nan":
        return None
    raise InputError(f"{name!r} must be true, false or null, not {str(value)[:40]!r}")


def _read_rewardbench(entry: _Entry) -> Iterator[Row]:
    data = entry.data
    yield {
        "id": f"{entry.subset}-{entry.number}",
        "prompt": take_text(data, "prompt"),
        "response_a": take_text(data, "chosen"),
        "response_b": take_text(data, "rejected"),
        "label": "A",
        "subset": take_text(data, "subset"),
    }


def _read_judgebench(entry: _Entry) -> Iterator[Row]:
    data = entry.data
    label = data.get("label")
    if label not in ("A>B", "B>A"):
        raise InputError(f"'label' must be 'A>B' or 'B>A', not {str(label)[:40]!r}")
    yield {
        "id": take_text(data, "pair_id"),
        "prompt": take_text(data, "question"),
        "response_a": take_text(data, "response_A"),
        "response_b": take_text(data, "response_B"),
        "label": label[0],
        "subset": take_text(data, "source"),
        "system": take_text(data, "response_model"),
    }


def _side(data: Mapping[str, Any], name: str, sides: Sequence[str]) -> str:
    """Return the side that a published number stands for.

    Args:
        data: the entry.
        name: the field with the number.
        sides: two: the number counts from 1; three: from 0, which is a tie.
    """
    value = data.get(name)
    least = 1 if len(sides) == 2 else 0
    if name not in data:
        raise InputError(f"the field {name!r} is missing")
    if type(value) is not int or not 0 <= value - least < len(sides):
        numbers = " or ".join(str(n) for n in range(least, least + len(sides)))
        raise InputError(f"{name!r} must be {numbers}, not {str(value)[:40]!r}")
    return sides[value - least]


DATASETS: Mapping[str, DatasetFormat] = {
    "llmbar": DatasetFormat(
        kind="pairwise",
        title="LLMBar",
        fields="input, output_1, output_2 and label (1 or 2)",
        find=_llmbar_files,
        read=_read_llmbar,
    ),
    "pandalm": DatasetFormat(
        kind="pairwise",
        title="the test set of PandaLM",
        fields="instruction, input, response1, response2, cmp_key and annotator1 to annotator3",
        find=_files_named("testset-v1.json"),
        read=_read_pandalm,
        options=frozenset({"unanimous"}),
    ),
    "biasbench": DatasetFormat(
        kind="pairwise",
        title="EvalBiasBench",
        fields="by bias, lists of instruction, response1, response2 and label (1 or 2)",
        find=_files_named("biasbench.json"),
        read=_read_biasbench,
    ),
    "evouna": DatasetFormat(
        kind="verify",
        title="EVOUNA",
        fields="question, golden_answer, improper, and answer_X and judge_X of each system X",
        find=_files_named("NQ.json", "TQ.json"),
        read=_read_evouna,
    ),
    "rewardbench": DatasetFormat(
        kind="pairwise",
        title="RewardBench",
        fields="prompt, chosen, rejected and subset",
        find=_files_named("filtered*.parquet", "data/filtered*.parquet"),
        read=_read_rewardbench,
    ),
    "judgebench": DatasetFormat(
        kind="pairwise",
        title="JudgeBench",
        fields="pair_id, source, question, response_model, response_A, response_B and label",
        find=_files_named("*.jsonl", "data/*.jsonl"),
        read=_read_judgebench,
    ),
}
"""The published sets that can be read, by name."""
