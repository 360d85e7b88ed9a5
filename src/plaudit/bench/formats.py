"""How an entry of each published set becomes rows of plaudit's own input."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple, cast

from plaudit.bench.dialogues import FEWEST_RATERS, DialogueTurn, satisfaction
from plaudit.bench.labels import read_label
from plaudit.errors import InputError
from plaudit.judges.rows import (
    is_visible,
    json_type,
    take_optional_text,
    take_text,
    take_texts,
)
from plaudit.types import Json

Row = dict[str, Json]


class Entry(NamedTuple):
    """One entry of a published file, and where it stands."""

    data: Mapping[str, Any]
    subset: str
    number: int
    """From 1."""
    options: Mapping[str, bool | str]
    left_out: Counter[str]


def read_llmbar(entry: Entry) -> Iterator[Row]:
    """Return the pair of an entry of LLMBar."""
    data = entry.data
    yield {
        "id": f"{entry.subset}-{entry.number}",
        "prompt": take_text(data, "input"),
        "response_a": take_text(data, "output_1"),
        "response_b": take_text(data, "output_2"),
        "label": _side(data, "label", "AB"),
        "subset": entry.subset,
    }


def read_biasbench(entry: Entry) -> Iterator[Row]:
    """Return the pairs of all biases of EvalBiasBench."""
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


def read_pandalm(entry: Entry) -> Iterator[Row]:
    """Return the pair of an entry of PandaLM's test set, with the majority of three votes."""
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


def read_evouna(entry: Entry) -> Iterator[Row]:
    """Return an answer of each system to a question of EVOUNA."""
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
                "cluster": f"{entry.subset}-{entry.number}",
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


def read_rewardbench(entry: Entry) -> Iterator[Row]:
    """Return the pair of an entry of RewardBench."""
    data = entry.data
    yield {
        "id": f"{entry.subset}-{entry.number}",
        "prompt": take_text(data, "prompt"),
        "response_a": take_text(data, "chosen"),
        "response_b": take_text(data, "rejected"),
        "label": "A",
        "subset": take_text(data, "subset"),
        "tags": {"item": _item(data)} if "id" in data else {},
    }


def read_rewardbench2(entry: Entry) -> Iterator[Row]:
    """Return pairs of an entry of RewardBench 2, so that each of its responses is in one.

    An entry with one chosen response has a pair for each rejected one. In the subset Ties several
    are chosen, and it is their scores that count: they are paired off.
    """
    data = entry.data
    chosen, rejected = _responses(data, "chosen"), _responses(data, "rejected")
    count = max(len(chosen), len(rejected))
    places = [(n % len(chosen), n % len(rejected)) for n in range(count)]
    prompt = take_text(data, "prompt")
    item, subset = _item(data), take_text(data, "subset")
    yield from _item_rows(prompt, chosen, rejected, places, item, subset)


def read_rmbench(entry: Entry) -> Iterator[Row]:
    """Return the nine pairs of an entry of RM-Bench: each style chosen, with each rejected."""
    data = entry.data
    chosen, rejected = _responses(data, "chosen", 3), _responses(data, "rejected", 3)
    places = [(n, m) for n in range(3) for m in range(3)]
    prompt = take_text(data, "prompt")
    item, domain = _item(data), take_text(data, "domain")
    yield from _item_rows(prompt, chosen, rejected, places, item, domain)


def _item_rows(
    prompt: str,
    chosen: Sequence[str],
    rejected: Sequence[str],
    places: Sequence[tuple[int, int]],
    item: str,
    subset: str,
) -> Iterator[Row]:
    for c, r in places:
        yield {
            "id": f"{subset}-{item}-{c}-{r}",
            "prompt": prompt,
            "response_a": chosen[c],
            "response_b": rejected[r],
            "label": "A",
            "subset": subset,
            "cluster": f"{subset}-{item.rpartition(':')[2]}",
            "tags": {"item": item, "chosen": c, "rejected": r, "pairs": len(places)},
        }


def _item(data: Mapping[str, Any]) -> str:
    """Return the published id of an entry, a text or a number."""
    value = data.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"'id' must be text or a number, not {json_type(value)}")
    return str(value)


def _responses(data: Mapping[str, Any], name: str, count: int | None = None) -> tuple[str, ...]:
    if name not in data:
        raise InputError(f"the field {name!r} is missing")
    if not isinstance(data[name], list):
        raise InputError(f"{name!r} must be a list of texts, not {json_type(data[name])}")
    texts = take_texts(data, name)
    if count not in (None, len(texts)):
        raise InputError(f"{name!r} must hold {count} texts, not {len(texts)}")
    return texts


def read_judgebench(entry: Entry) -> Iterator[Row]:
    """Return the pair of an entry of JudgeBench."""
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


def read_uss(entry: Entry) -> Iterator[Row]:
    """Return the rated reactions of a dialogue, with a label where people clearly agree."""
    turns: list[DialogueTurn] = entry.data["turns"]
    for place in range(2, len(turns)):
        query, answer, follow_up = turns[place - 2 : place + 1]
        if (query.role, answer.role, follow_up.role) != ("USER", "SYSTEM", "USER"):
            continue
        if not all(map(is_visible, (query.text, answer.text, follow_up.text))):
            entry.left_out["blank text"] += 1
        elif len(follow_up.ratings) < FEWEST_RATERS:
            entry.left_out["fewer than three ratings"] += 1
        else:
            rating = fmean(follow_up.ratings)
            yield {
                "id": f"{entry.subset}-{entry.number}-{place + 1}",
                "query": query.text,
                "answer": answer.text,
                "follow_up": follow_up.text,
                "label": satisfaction(rating),
                "rating": rating,
                "subset": entry.subset,
            }


def read_own(entry: Entry) -> Iterator[Row]:
    """Return a row with its label in the judge's spelling, and the group as its subset."""
    data, options = entry.data, entry.options
    label = read_label(str(options["kind"]), data.get("label"))
    if label is None:
        entry.left_out["no label"] += 1
        return
    group = str(options.get("group") or "")
    if group and group not in data:
        raise InputError(f"there is no column {group!r}; there are {', '.join(data)}")
    subset = {"subset": str(data[group])} if group else {}
    yield {"id": f"{entry.subset}-{entry.number}", **data, "label": label, **subset}


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
