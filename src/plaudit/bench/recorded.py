"""Judgements that others recorded, in the forms in which their tools write them.

- JudgeBench: its `outputs/*.jsonl`, a `decision` for each order in `judgments` (`run_judge.py`,
  ScalerLab/JudgeBench at 12a499c5).
- RewardBench and RewardBench 2: the file of scores of each sample, columns or rows of `id`,
  `subset`, `results`, `scores_chosen` and `scores_rejected`, or `scores` (`scripts/run_rm.py` and
  `run_v2.py`, allenai/reward-bench at 045c7f82 and 0016644d).
- RM-Bench: its results, `score_chosen` and `score_rejected` of each item (`scripts/run_rm.py`,
  THU-KEG/RM-Bench at 659399ce).
- LLMBar: `result.json` of an evaluator, the `winner` of each order (`LLMEvaluator/evaluate.py`,
  princeton-nlp/LLMBar at caa7bee7).
- EvalBiasBench: its result file, the `prediction` of each order (`run_bench.py`, ncsoft/offsetbias
  at a1344b20).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple, cast

from plaudit.bench.formats import Row
from plaudit.bench.results import RESULTS
from plaudit.errors import InputError
from plaudit.io.sources import RowReader

Key = tuple[str, ...]
"""Identifies a row of the set in the recorded file."""

Lean = float | None
"""How far a judgement leans to A, from 0 to 1; None: it cannot be read, or is missing."""


class Recorded(NamedTuple):
    """What one recorded judgement says of a pair."""

    orders: tuple[Lean, Lean] | None = None
    """Both orders, with A and B mapped back."""
    lean: Lean = None
    """A judgement without orders."""
    scores: tuple[Lean, Lean] | None = None
    """Of A and B."""


class Recording(NamedTuple):
    """How recorded judgements of one set are read."""

    fields: str
    """What an entry holds, for the message when one does not."""
    key_of: Callable[[Row], Key]
    """The key of a row of the set."""
    read: Callable[[Mapping[str, Any]], Iterator[tuple[Key, Recorded]]]
    """Reads an entry of the recorded file."""


class RecordedEntry(NamedTuple):
    """One entry of a recorded file."""

    file: Path
    where: str
    data: Mapping[str, Any]


def read_recorded(
    form: Recording, entries: Iterable[RecordedEntry]
) -> tuple[dict[Key, Recorded], int]:
    """Return the recorded judgements by key, and how many were recorded again.

    Of several for one row the last counts, as in a file to which a tool only appends.

    Raises:
        InputError: an entry is not of that form, or two files have the same row, as those of two
            judges have.
    """
    found: dict[Key, Recorded] = {}
    files: dict[Key, Path] = {}
    again = 0
    for entry in entries:
        try:
            for key, judgement in form.read(entry.data):
                again += key in found
                found[key] = judgement
                refuse_two_judges(files.setdefault(key, entry.file), entry)
        except InputError as error:
            expected = f"a recorded entry has {form.fields}"
            raise InputError(f"{entry.where}: {error}; {expected}") from None
    return found, again


def refuse_two_judges(first: Path, entry: RecordedEntry) -> None:
    """Refuse an entry whose row another file has, too, as files of two judges do.

    Args:
        first: the file that the row was found in first.
        entry: another entry for it.

    Raises:
        InputError: that file is another one.
    """
    if first != entry.file:
        raise InputError(f"this row is in {first}, too: give the files of one judge")


_BESIDE = ("statistics.json", RESULTS)
"""Files of figures, which stand beside recorded judgements."""


def recorded_files(outputs: str | Path) -> list[Path]:
    """Return the recorded files: the file, all that a folder holds, or those of a pattern.

    Raises:
        InputError: there are none.
    """
    path = Path(outputs)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*.json*") if p.name not in _BESIDE and p.is_file())
    else:
        files = [path] if path.exists() else sorted(map(Path, glob(str(outputs), recursive=True)))
    if not files:
        raise InputError(f"{outputs}: no such file, and no recorded judgements")
    return files


def recorded_entries(files: Iterable[Path]) -> Iterator[RecordedEntry]:
    """Read the entries of recorded files."""
    for file in files:
        with RowReader(file, strict=True) as rows:
            for row in rows:
                assert row.data is not None  # strict
                for number, data in enumerate(_as_rows(row.data, row.where), 1):
                    where = row.where if data is row.data else f"{row.where}, sample {number}"
                    yield RecordedEntry(file, where, data)


def _as_rows(data: Mapping[str, Any], where: str) -> Iterator[Mapping[str, Any]]:
    """Turn columns, in which RewardBench saves its samples, into rows; leave all else."""
    columns = {name: cast("list[Any]", c) for name, c in data.items() if isinstance(c, list)}
    subsets = columns.get("subset")
    if subsets is None:
        yield data
        return
    if any(len(column) != len(subsets) for column in columns.values()):
        sizes = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise InputError(f"{where}: columns of different lengths: {sizes}")
    shared = {name: value for name, value in data.items() if name not in columns}
    for values in zip(*columns.values(), strict=True):
        yield shared | dict(zip(columns, values, strict=True))


def judge_name(entry: RecordedEntry) -> str:
    """Name who judged: as the tool recorded it, else by the file."""
    judged: Any = entry.data.get("judgments")
    first: Any = cast("list[Any]", judged)[0] if isinstance(judged, list) and judged else None
    model = _member(_member(first, "judgment"), "judge_model")
    names = (entry.data.get("judge_name"), model, entry.data.get("model"), entry.data.get("judge"))
    known = dict.fromkeys(name for name in names if isinstance(name, str))
    return ", ".join(known) or _path_name(entry.file)


def _path_name(file: Path) -> str:
    """Name a file by its stem; a `result.json` of LLMBar by its folders, model and prompt."""
    return "/".join(file.parts[-3:-1]) if file.name == "result.json" else file.stem


# JudgeBench


_DECISIONS = {"A>B": 1.0, "B>A": 0.0, "A=B": 0.5}


def _judgebench(data: Mapping[str, Any]) -> Iterator[tuple[Key, Recorded]]:
    judgments: Any = _need(data, "judgments")
    if not isinstance(judgments, list) or not 1 <= len(cast("list[Any]", judgments)) <= 2:
        raise InputError("'judgments' must be a list of one or two")
    judged = cast("list[Any]", judgments)
    leans = [_decision(one) for one in judged]
    scores = _judgement_scores(judged[0])
    key = (str(_need(data, "pair_id")),)
    if len(leans) == 1:
        yield key, Recorded(lean=leans[0], scores=scores)
    else:
        second = None if leans[1] is None else 1 - leans[1]
        yield key, Recorded(orders=(leans[0], second), scores=scores)


def _decision(judgement: Any) -> Lean:
    """Return how far a judgement leans to the first response; the authors know three decisions."""
    decision = _member(judgement, "decision")
    return _DECISIONS.get(decision) if isinstance(decision, str) else None


def _judgement_scores(judgement: Any) -> tuple[Lean, Lean] | None:
    scores = _member(_member(judgement, "judgment"), "scores")
    if not isinstance(scores, list) or len(cast("list[Any]", scores)) != 2:
        return None
    first, second = map(_number, cast("list[Any]", scores))
    return first, second


# RewardBench and RewardBench 2


def _rewardbench(data: Mapping[str, Any]) -> Iterator[tuple[Key, Recorded]]:
    chosen, rejected = _number(data.get("scores_chosen")), _number(data.get("scores_rejected"))
    lean = _number(data.get("results"))
    scores = None if chosen is None or rejected is None else (chosen, rejected)
    if lean is None and scores is not None:
        lean = float(scores[0] > scores[1])  # A tie is not right in the authors' script.
    if "results" not in data and "scores_chosen" not in data:
        raise InputError("there is neither 'results' nor 'scores_chosen'")
    yield (str(_need(data, "subset")), str(_need(data, "id"))), Recorded(lean=lean, scores=scores)


def _rewardbench2(data: Mapping[str, Any]) -> Iterator[tuple[Key, Recorded]]:
    scores = _scores(data, "scores")
    right = int(_number(data.get("num_correct")) or 1)
    subset, item = str(_need(data, "subset")), str(_need(data, "id"))
    chosen, rejected = scores[:right], scores[right:]
    for n, a in enumerate(chosen):
        for m, b in enumerate(rejected):
            yield (subset, item, str(n), str(m)), _by_scores(a, b)


# RM-Bench


def _rmbench(data: Mapping[str, Any]) -> Iterator[tuple[Key, Recorded]]:
    chosen, rejected = _scores(data, "score_chosen"), _scores(data, "score_rejected")
    item = str(_need(data, "id"))
    for n, a in enumerate(chosen):
        for m, b in enumerate(rejected):
            yield (str(_need(data, "domain")), item, str(n), str(m)), _by_scores(a, b)


def _by_scores(a: Lean, b: Lean) -> Recorded:
    if a is None or b is None:
        return Recorded(scores=(a, b))
    return Recorded(lean=0.5 + 0.5 * ((a > b) - (a < b)), scores=(a, b))


# LLMBar and EvalBiasBench


def _llmbar(data: Mapping[str, Any]) -> Iterator[tuple[Key, Recorded]]:
    results: Any = _need(data, "results")
    last: Any = cast("list[Any]", results)[-1] if isinstance(results, list) and results else None
    if not isinstance(last, dict) or not {"swap = False", "swap = True"} <= last.keys():
        raise InputError("'results' must end with 'swap = False' and 'swap = True'")
    first, second = (_winner(last[f"swap = {swap}"]) for swap in (False, True))
    texts = (str(_need(data, name)) for name in ("input", "output_1", "output_2"))
    yield tuple(texts), Recorded(orders=(first, second))


def _winner(result: Any) -> Lean:
    return {"1": 1.0, "2": 0.0}.get(str(_member(result, "winner")))


def _biasbench(data: Mapping[str, Any]) -> Iterator[tuple[Key, Recorded]]:
    for items in data.values():
        for item in cast("list[Any]", items) if isinstance(items, list) else [None]:
            if not isinstance(item, dict):
                raise InputError("each bias must be a list of objects")
            entry = cast("dict[str, Any]", item)
            result: Any = _need(entry, "result")
            if not isinstance(result, dict):
                raise InputError("'result' must have 'orig' and 'swap'")
            first, swapped = (_prediction(_member(result, order)) for order in ("orig", "swap"))
            second = None if swapped is None else 1 - swapped
            texts = (str(_need(entry, n)) for n in ("instruction", "response1", "response2"))
            yield tuple(texts), Recorded(orders=(first, second))


def _prediction(result: Any) -> Lean:
    return {"1": 1.0, "2": 0.0, "3": 0.5}.get(str(_member(result, "prediction")))


# Shared


def _need(data: Mapping[str, Any], name: str) -> Any:
    if name not in data:
        raise InputError(f"the field {name!r} is missing")
    return data[name]


def _member(thing: Any, name: str) -> Any:
    """Return a member of an object; None: it is no object, or has none of that name."""
    return cast("dict[str, Any]", thing).get(name) if isinstance(thing, dict) else None


def _scores(data: Mapping[str, Any], name: str) -> list[Lean]:
    value: Any = _need(data, name)
    if not isinstance(value, list):
        raise InputError(f"{name!r} must be a list of scores")
    return [_number(score) for score in cast("list[Any]", value)]


def _number(value: Any) -> Lean:
    """Return a score; some tools write each as a list of one. None: it is no number."""
    if isinstance(value, list):
        inner = cast("list[Any]", value)
        return _number(inner[0]) if len(inner) == 1 else None
    try:
        return float(value) if isinstance(value, bool | int | float) else None
    except OverflowError:
        return None


def _own_id(row: Row) -> Key:
    return (str(row["id"]),)


def _published_id(row: Row) -> Key:
    return str(row["subset"]), str(row["tags"].get("item"))


def _texts(row: Row) -> Key:
    return str(row["prompt"]), str(row["response_a"]), str(row["response_b"])


def _pair_of_item(row: Row) -> Key:
    tags = row["tags"]
    return str(row["subset"]), tags["item"], str(tags["chosen"]), str(tags["rejected"])


RECORDINGS: Mapping[str, Recording] = {
    "judgebench": Recording("pair_id and judgments, each with a decision", _own_id, _judgebench),
    "rewardbench": Recording(
        "id, subset, and results or scores_chosen and scores_rejected",
        _published_id,
        _rewardbench,
    ),
    "rewardbench2": Recording("id, subset, scores and num_correct", _pair_of_item, _rewardbench2),
    "rmbench": Recording("id, domain, score_chosen and score_rejected", _pair_of_item, _rmbench),
    "llmbar": Recording("input, output_1, output_2 and results", _texts, _llmbar),
    "biasbench": Recording(
        "by bias, lists of instruction, response1, response2 and result", _texts, _biasbench
    ),
}
"""The sets whose tools write judgements in a form of their own."""
