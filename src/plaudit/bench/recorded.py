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

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from plaudit.bench.formats import Row
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


def read_recorded(
    form: Recording, entries: Iterator[tuple[str, Mapping[str, Any]]]
) -> tuple[dict[Key, Recorded], int]:
    """Return the recorded judgements by key, and how many were recorded again.

    Of several for one row the last counts, as in a file to which a tool only appends.

    Raises:
        InputError: an entry is not of that form; names it.
    """
    found: dict[Key, Recorded] = {}
    again = 0
    for where, data in entries:
        try:
            for key, judgement in form.read(data):
                again += key in found
                found[key] = judgement
        except InputError as error:
            raise InputError(f"{where}: {error}; a recorded entry has {form.fields}") from None
    return found, again


def recorded_entries(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Read the entries of a recorded file, or of all files of a folder."""
    files = sorted(p for p in path.rglob("*.json*") if p.name != "statistics.json")
    for file in files if path.is_dir() else [path]:
        with RowReader(file, strict=True) as rows:
            for row in rows:
                assert row.data is not None  # strict
                for number, entry in enumerate(_as_rows(row.data)):
                    yield row.where + (f", sample {number + 1}" if number else ""), entry


def _as_rows(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Turn columns, in which RewardBench saves its samples, into rows; leave all else."""
    columns = {name: cast("list[Any]", c) for name, c in data.items() if isinstance(c, list)}
    results = columns.get("subset")
    if results is None:
        yield data
        return
    if any(len(column) != len(results) for column in columns.values()):
        sizes = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise InputError(f"columns of different lengths: {sizes}")
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


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
    if not isinstance(judgement, dict):
        return None
    decision: Any = cast("dict[str, Any]", judgement).get("decision")
    return _DECISIONS.get(decision) if isinstance(decision, str) else None


def _judgement_scores(judgement: Any) -> tuple[Lean, Lean] | None:
    inner: Any = cast("dict[str, Any]", judgement).get("judgment") if judgement else None
    scores: Any = cast("dict[str, Any]", inner).get("scores") if isinstance(inner, dict) else None
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
    winner: Any = cast("dict[str, Any]", result).get("winner") if result else None
    return {"1": 1.0, "2": 0.0}.get(str(winner))


def _biasbench(data: Mapping[str, Any]) -> Iterator[tuple[Key, Recorded]]:
    for items in data.values():
        for item in cast("list[Any]", items) if isinstance(items, list) else [None]:
            if not isinstance(item, dict):
                raise InputError("each bias must be a list of objects")
            entry = cast("dict[str, Any]", item)
            result: Any = _need(entry, "result")
            if not isinstance(result, dict):
                raise InputError("'result' must have 'orig' and 'swap'")
            both = cast("dict[str, Any]", result)
            first, swapped = (_prediction(both.get(order)) for order in ("orig", "swap"))
            second = None if swapped is None else 1 - swapped
            texts = (str(_need(entry, n)) for n in ("instruction", "response1", "response2"))
            yield tuple(texts), Recorded(orders=(first, second))


def _prediction(result: Any) -> Lean:
    found: Any = cast("dict[str, Any]", result).get("prediction") if result else None
    return {"1": 1.0, "2": 0.0, "3": 0.5}.get(str(found))


# Shared


def _need(data: Mapping[str, Any], name: str) -> Any:
    if name not in data:
        raise InputError(f"the field {name!r} is missing")
    return data[name]


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
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float(value) if isinstance(value, bool) else None
    return float(value)


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
