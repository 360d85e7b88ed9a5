"""Loaders: the published formats as they are, and what is not of them."""

import copy
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plaudit.bench.datasets import DATASETS, load_dataset, place_sides, turn_over
from plaudit.errors import InputError, UsageError
from plaudit.judges.load import task_type

LLMBAR = [
    {"input": "Name a prime.", "output_1": "Seven.", "output_2": "Nine.", "label": 1},
    {"input": "Name a fruit.", "output_1": "A chair.", "output_2": "A plum.", "label": 2},
]
PANDALM = [
    {
        "idx": 0, "motivation_app": "Notes", "cmp_key": "one_two", "instruction": "Shorten this.",
        "input": "It is the case that it rains.", "response1": "It rains.", "response2": "",
        "annotator1": 1, "annotator2": 1, "annotator3": 2,
    },
    {
        "idx": 1, "motivation_app": "Notes", "cmp_key": "one_two", "instruction": "Is it true?",
        "input": "", "response1": True, "response2": "It is.",
        "annotator1": 0, "annotator2": 0, "annotator3": 0,
    },
    {
        "idx": 2, "motivation_app": "Notes", "cmp_key": "one_two", "instruction": "Say it.",
        "input": "", "response1": "It.", "response2": "That.",
        "annotator1": 0, "annotator2": 1, "annotator3": 2,
    },
]  # fmt: skip
BIASBENCH = {
    "length bias": [
        {
            "bias": "length bias", "instruction": "In one word: what is it?", "response1": "A cat.",
            "response2": "A small animal that purrs.", "label": 1,
        }
    ],
    "concreteness": [
        {
            "bias": "concreteness", "instruction": "When?", "response1": "On 3 May 1807, at 4.",
            "response2": "Nobody knows.", "label": 2,
        }
    ],
}  # fmt: skip
EVOUNA = [
    {
        "question": "who sang it", "golden_answer": "Ann Lee/A. Lee/ ", "answer_one": "Ann Lee.",
        "judge_one": True, "answer_two": "Bob.", "judge_two": False, "improper": False,
    },
    {
        "question": "who is it now", "golden_answer": None, "answer_one": "Ann.",
        "judge_one": None, "answer_two": "None", "judge_two": "nan", "improper": True,
    },
    {
        "question": "how many", "golden_answer": "three", "answer_one": None,
        "judge_one": False, "answer_two": "None", "judge_two": "nan", "improper": False,
    },
    {
        "question": "which one", "golden_answer": None, "answer_one": "This.",
        "judge_one": True, "answer_two": "That.", "judge_two": True, "improper": False,
    },
]  # fmt: skip
REWARDBENCH = [
    {
        "prompt": "Say hello.", "chosen": "Hello!", "chosen_model": "x", "rejected": "No.",
        "rejected_model": "y", "subset": "greetings", "id": 4,
    }
]  # fmt: skip
REWARDBENCH2 = [
    {
        "id": "7", "prompt": "Add 2 and 2.", "chosen": ["Four."], "rejected": ["5", "6", "7"],
        "num_correct": 1, "num_incorrect": 3, "total_completions": 4, "models": ["x"] * 4,
        "subset": "Math",
    },
    {
        "id": "tied:3", "prompt": "Name a primary colour.", "chosen": ["Red.", "Blue."],
        "rejected": ["Mauve.", "Teal.", "Pink."], "num_correct": 2, "num_incorrect": 3,
        "total_completions": 5, "models": ["x"] * 5, "subset": "Ties",
    },
]  # fmt: skip
RMBENCH = [
    {
        "id": "chat/1", "prompt": "What is rain?", "chosen": ["Wet.", "Wet, falling.", "# Wet"],
        "rejected": ["Sand.", "Sand, falling.", "# Sand"], "domain": "chat",
    }
]  # fmt: skip
OWN = [
    {"id": "o1", "prompt": "Say hi.", "response_a": "Hi.", "response_b": "No.", "label": "A>B"},
    {"prompt": "Say ho.", "response_a": "Hi.", "response_b": "Ho.", "label": "[[B]]"},
]
JUDGEBENCH = [
    {
        "pair_id": "p-1", "original_id": "1", "source": "sums", "question": "1 + 1?",
        "response_model": "m", "response_A": "3", "response_B": "2", "label": "B>A",
    }
]  # fmt: skip
USS = """\
USER\tI need a room for two nights.\tINFORM\t3,3,3
SYSTEM\tThe Vine has one for 60 pounds.\tOFFER\t
USER\tPerfect, book it please!\tACCEPT\t4,5,4
SYSTEM\tIt is booked for one night.\tNOTIFY\t
USER\tTwo nights, I said.\tREJECT\t2,1,2
SYSTEM\tMy mistake. It is two nights now.\tNOTIFY\t
USER\tWhat is the address?\tREQUEST\t3,3,4
USER\tOVERALL\t\t3,3,4

USER\tHello\tGREET\t3,3,3
SYSTEM\tHello, what can I do?\tGREET\t
USER\tNothing, thanks.\tBYE\t4,4
"""
PUBLISHED: dict[str, tuple[str, Any]] = {
    "llmbar": ("natural.json", LLMBAR),
    "pandalm": ("testset-v1.json", PANDALM),
    "biasbench": ("biasbench.json", BIASBENCH),
    "evouna": ("NQ.json", EVOUNA),
    "rewardbench": ("filtered.json", REWARDBENCH),
    "rewardbench2": ("test.json", REWARDBENCH2),
    "rmbench": ("total_dataset.json", RMBENCH),
    "judgebench": ("gpt.json", JUDGEBENCH),
    "uss": ("talk.txt", USS),
    "own": ("mine.json", OWN),
}
OPTIONS: dict[str, dict[str, Any]] = {"own": {"kind": "pairwise"}}


def publish(folder: Path, name: str, content: Any = None) -> Path:
    file, own = PUBLISHED[name]
    path = folder / file
    whole = own if content is None else content
    path.write_text(whole if isinstance(whole, str) else json.dumps(whole, indent=1))
    return path


def test_every_data_set_is_tried_here() -> None:
    assert PUBLISHED.keys() == DATASETS.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_rows_are_read_by_the_judge_that_they_are_for(tmp_path: Path, name: str) -> None:
    rows = load_dataset(name, publish(tmp_path, name), **OPTIONS.get(name, {}))
    for index, row in enumerate(list(rows)):
        (sample,) = task_type(rows.kind).read_row(row, index)
        assert sample.id == row["id"]
        assert sample.metadata["label"] == row["label"]


def test_llmbar_gives_the_better_output(tmp_path: Path) -> None:
    rows = load_dataset("llmbar", publish(tmp_path, "llmbar"))
    assert rows.kind == "pairwise"
    assert list(rows) == [
        {
            "id": "natural-1", "prompt": "Name a prime.", "response_a": "Seven.",
            "response_b": "Nine.", "label": "A", "subset": "natural",
        },
        {
            "id": "natural-2", "prompt": "Name a fruit.", "response_a": "A chair.",
            "response_b": "A plum.", "label": "B", "subset": "natural",
        },
    ]  # fmt: skip


def test_llmbar_is_found_in_its_own_folders(tmp_path: Path) -> None:
    for place in ("Natural", "Adversarial/Neighbor"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "dataset.json").write_text(json.dumps(LLMBAR))
    (tmp_path / "Natural" / "result.json").write_text("not of it")
    rows = list(load_dataset("llmbar", tmp_path))
    assert Counter(row["subset"] for row in rows) == {"natural": 2, "adversarial_neighbor": 2}
    (one, _) = load_dataset("llmbar", tmp_path / "Adversarial" / "Neighbor" / "dataset.json")
    assert one["subset"] == "adversarial_neighbor"


def test_a_folder_with_a_file_a_subset_is_read_whole(tmp_path: Path) -> None:
    publish(tmp_path, "llmbar")
    (tmp_path / "adversarial_manual.json").write_text(json.dumps(LLMBAR[:1]))
    rows = list(load_dataset("llmbar", tmp_path))
    assert [row["id"] for row in rows] == ["adversarial_manual-1", "natural-1", "natural-2"]


def test_pandalm_takes_the_majority_of_the_annotators(tmp_path: Path) -> None:
    rows = load_dataset("pandalm", publish(tmp_path, "pandalm"))
    first, second = rows
    assert first["label"] == "A"
    assert first["votes"] == ["A", "A", "B"]
    assert first["prompt"] == "Shorten this.\n\nIt is the case that it rains."
    assert first["response_b"] == ""
    assert second["label"] == "A=B"
    assert second["prompt"] == "Is it true?"
    assert second["response_a"] == "True"
    assert rows.left_out == {"no majority": 1}


def test_pandalm_can_be_held_to_unanimity(tmp_path: Path) -> None:
    rows = load_dataset("pandalm", publish(tmp_path, "pandalm"), unanimous=True)
    assert [row["label"] for row in rows] == ["A=B"]
    assert rows.left_out == {"not unanimous": 1, "no majority": 1}


def test_biasbench_names_the_bias(tmp_path: Path) -> None:
    rows = list(load_dataset("biasbench", publish(tmp_path, "biasbench")))
    assert [(row["id"], row["subset"], row["label"]) for row in rows] == [
        ("length bias-1", "length bias", "A"),
        ("concreteness-1", "concreteness", "B"),
    ]


def test_evouna_gives_a_row_a_system_and_counts_what_has_no_judgement(tmp_path: Path) -> None:
    rows = load_dataset("evouna", publish(tmp_path, "evouna"))
    assert rows.kind == "verify"
    assert list(rows) == [
        {
            "id": "NQ-1-one", "question": "who sang it", "answer": "Ann Lee.",
            "reference": ["Ann Lee", "A. Lee"], "label": "correct", "subset": "NQ", "system": "one",
            "cluster": "NQ-1",
        },
        {
            "id": "NQ-1-two", "question": "who sang it", "answer": "Bob.",
            "reference": ["Ann Lee", "A. Lee"], "label": "incorrect", "subset": "NQ",
            "system": "two", "cluster": "NQ-1",
        },
    ]  # fmt: skip
    assert rows.left_out == {
        "improper question": 2, "no answer": 1, "not judged": 1, "no golden answer": 2
    }  # fmt: skip


def test_evouna_reads_both_of_its_files(tmp_path: Path) -> None:
    publish(tmp_path, "evouna")
    (tmp_path / "TQ.json").write_text(json.dumps(EVOUNA[:1]))
    (tmp_path / "other.json").write_text("not of it")
    rows = list(load_dataset("evouna", tmp_path))
    assert Counter(row["subset"] for row in rows) == {"NQ": 2, "TQ": 2}


def test_an_answer_of_the_word_none_that_was_judged_stays(tmp_path: Path) -> None:
    entry = EVOUNA[0] | {"answer_two": "None"}
    rows = list(load_dataset("evouna", publish(tmp_path, "evouna", [entry])))
    assert rows[1]["answer"] == "None"


def test_rewardbench_is_read_from_parquet(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = pa.Table.from_pylist(REWARDBENCH)
    pq.write_table(table, tmp_path / "data" / "filtered-00000-of-00001.parquet")
    (row,) = load_dataset("rewardbench", tmp_path)
    assert (row["label"], row["response_a"], row["subset"]) == ("A", "Hello!", "greetings")


def test_judgebench_is_read_from_json_lines(tmp_path: Path) -> None:
    (tmp_path / "gpt.jsonl").write_text("".join(json.dumps(row) + "\n" for row in JUDGEBENCH))
    (row,) = load_dataset("judgebench", tmp_path)
    assert (row["id"], row["label"], row["system"]) == ("p-1", "B", "m")


# What is not of the format


def broken(name: str, **changes: Any) -> Any:
    """The published file with fields of an entry changed; None takes a field out."""
    content = copy.deepcopy(PUBLISHED[name][1])
    entry = content["length bias"][0] if name == "biasbench" else content[0]
    for field, value in changes.items():
        entry[field] = value
        if value is None:
            del entry[field]
    return content


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("llmbar", {"label": 3}, "element 1: 'label' must be 1 or 2, not '3'"),
        ("llmbar", {"label": True}, "'label' must be 1 or 2, not 'True'"),
        ("llmbar", {"label": "1"}, "'label' must be 1 or 2"),
        ("llmbar", {"label": 0}, "'label' must be 1 or 2"),
        ("llmbar", {"label": None}, "the field 'label' is missing"),
        ("llmbar", {"output_2": None}, "the field 'output_2' is missing"),
        ("llmbar", {"input": 7}, "'input' must be text, not a number"),
        ("pandalm", {"annotator2": 3}, "'annotator2' must be 0 or 1 or 2, not '3'"),
        ("pandalm", {"annotator3": None}, "the field 'annotator3' is missing"),
        ("pandalm", {"response1": 4}, "'response1' must be text"),
        ("biasbench", {"label": 0}, "'length bias', entry 1: 'label' must be 1 or 2"),
        ("biasbench", {"response2": None}, "'length bias', entry 1: the field 'response2'"),
        ("evouna", {"judge_two": "yes"}, "'judge_two' must be true, false or null, not 'yes'"),
        ("evouna", {"judge_two": None}, "the field 'judge_two' is missing"),
        ("evouna", {"improper": None}, "'improper' must be true or false"),
        ("evouna", {"question": None}, "the field 'question' is missing"),
        ("rewardbench", {"rejected": None}, "the field 'rejected' is missing"),
        ("judgebench", {"label": "A=B"}, "'label' must be 'A>B' or 'B>A', not 'A=B'"),
    ],
)
def test_a_wrong_entry_is_named(
    tmp_path: Path, name: str, changes: dict[str, Any], said: str
) -> None:
    path = publish(tmp_path, name, broken(name, **changes))
    with pytest.raises(InputError) as caught:
        list(load_dataset(name, path))
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert DATASETS[name].title in str(caught.value)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("other", PUBLISHED)
def test_another_format_is_not_mistaken_for_it(tmp_path: Path, name: str, other: str) -> None:
    if name != other:
        with pytest.raises(InputError):
            list(load_dataset(name, publish(tmp_path, other), **OPTIONS.get(name, {})))


def test_a_bias_that_holds_no_entries_is_refused(tmp_path: Path) -> None:
    path = publish(tmp_path, "biasbench", {"length bias": ["x"]})
    with pytest.raises(InputError, match="'length bias', entry 1: must be an object, not text"):
        list(load_dataset("biasbench", path))


def test_evouna_without_systems_is_refused(tmp_path: Path) -> None:
    path = publish(tmp_path, "evouna", [{"question": "who", "improper": False}])
    with pytest.raises(InputError, match="answer_"):
        list(load_dataset("evouna", path))


def test_a_file_that_is_cut_off_is_an_error_after_what_is_whole(tmp_path: Path) -> None:
    path = publish(tmp_path, "llmbar")
    path.write_text(path.read_text()[:-40])
    rows = load_dataset("llmbar", path)
    assert next(rows)["id"] == "natural-1"
    with pytest.raises(InputError, match="element 2"):
        next(rows)


def test_what_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no data set 'llmbars'; there are rewardbench, "):
        load_dataset("llmbars", tmp_path)
    with pytest.raises(UsageError, match="llmbar has no option 'unanimous'; it has none"):
        load_dataset("llmbar", tmp_path, unanimous=True)
    with pytest.raises(InputError, match="no such file"):
        load_dataset("llmbar", tmp_path / "natural.json")
    with pytest.raises(InputError, match="holds no file of EVOUNA"):
        load_dataset("evouna", tmp_path)


# Placing the sides


def pairs(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": f"p-{n}", "prompt": f"question {n}", "response_a": f"good {n}",
            "response_b": f"bad {n}", "label": "A", **fields,
        }
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 2, 9, 40])
def test_the_better_response_is_first_in_one_half(count: int) -> None:
    labels = Counter(row["label"] for row in place_sides(pairs(count)))
    assert labels.total() == count
    assert abs(labels["A"] - labels["B"]) <= 1


def test_each_subset_is_balanced() -> None:
    rows = pairs(11, subset="x") + pairs(9, subset="y")
    placed = place_sides(rows)
    for subset in ("x", "y"):
        labels = Counter(row["label"] for row in placed if row["subset"] == subset)
        assert abs(labels["A"] - labels["B"]) <= 1


def test_the_label_stays_with_the_response() -> None:
    for row, placed in zip(pairs(20), place_sides(pairs(20)), strict=True):
        better = placed["response_a"] if placed["label"] == "A" else placed["response_b"]
        assert placed["id"] == row["id"]
        assert better == row["response_a"]
        assert placed["turned"] == (placed["label"] == "B")


def test_placing_depends_on_the_texts_and_the_seed_alone() -> None:
    rows = [*pairs(20), *pairs(7, prompt="tie", label="A=B")]
    turned = [turn_over(row) if n % 3 else row for n, row in enumerate(rows)]

    def texts(placed: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
        return {(row["prompt"], row["response_a"], row["label"]) for row in placed}

    assert texts(place_sides(turned)) == texts(place_sides(rows))
    assert texts(place_sides(rows[::-1])) == texts(place_sides(rows))
    assert texts(place_sides(rows, seed=1)) != texts(place_sides(rows))


def test_turning_twice_changes_nothing() -> None:
    for label in ("A", "B", "A=B"):
        (row,) = pairs(1, label=label)
        assert turn_over(turn_over(row)) == row
        assert turn_over(row)["response_a"] == row["response_b"]


def test_uss_gives_the_rated_reactions_of_its_dialogues(tmp_path: Path) -> None:
    rows = load_dataset("uss", publish(tmp_path, "uss"))
    assert rows.kind == "feedback"
    happy, unhappy, neither = rows
    assert happy == {
        "id": "talk-1-3",
        "query": "I need a room for two nights.",
        "answer": "The Vine has one for 60 pounds.",
        "follow_up": "Perfect, book it please!",
        "label": "positive",
        "rating": pytest.approx(13 / 3),
        "subset": "talk",
    }
    assert unhappy["label"] == "negative"
    assert unhappy["query"] == "Perfect, book it please!"
    assert neither["label"] is None
    assert rows.left_out == {"fewer than three ratings": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("USER", "talk.txt: line 3 has 1 columns"),
        ("USER\ta\tb\t3\tc", "talk.txt: line 3 has 5 columns"),
        ("AGENT\ta\tb\t3,3,3", "talk.txt: line 3: the role must be USER or SYSTEM, not 'AGENT'"),
        ("USER\ta\tb\t3,three", "talk.txt: line 3: a rating must be 1 to 5, not 'three'"),
        ("USER\ta\tb\t6,3,3", "talk.txt: line 3: a rating must be 1 to 5, not '6'"),
    ],
)
def test_a_line_of_uss_that_is_no_turn_is_named(tmp_path: Path, line: str, message: str) -> None:
    text = f"USER\tHi\tGREET\t3,3,3\nSYSTEM\tHello\n{line}\n"
    with pytest.raises(InputError, match=re.escape(message)):
        list(load_dataset("uss", publish(tmp_path, "uss", text)))


@pytest.mark.parametrize("text", ["\n\n", " \n"])
def test_uss_without_a_dialogue_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="is empty"):
        list(load_dataset("uss", publish(tmp_path, "uss", text)))


def test_uss_that_is_not_utf_8_is_named_by_its_line(tmp_path: Path) -> None:
    path = publish(tmp_path, "uss")
    path.write_bytes(b"USER\tHi\tGREET\t3\nSYSTEM\t\xff\n")
    with pytest.raises(InputError, match=r"talk\.txt: line 2 is not UTF-8"):
        list(load_dataset("uss", path))


def test_blank_turns_of_uss_are_left_out_and_counted(tmp_path: Path) -> None:
    text = "USER\tHi\tG\t3,3,3\nSYSTEM\t\tG\t\nUSER\tHm?\tG\t2,2,2\n"
    rows = load_dataset("uss", publish(tmp_path, "uss", text))
    assert list(rows) == []
    assert rows.left_out == {"blank text": 1}
