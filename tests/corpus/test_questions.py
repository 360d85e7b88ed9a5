"""Files of questions: what is read, what is refused, and what can be done with them."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from plaudit.corpus.questions import (
    Question,
    count_questions,
    iter_questions,
    pick_questions,
    question_dataset,
    read_questions,
    write_questions,
)
from plaudit.errors import InputError, StoreError, UsageError
from tests.support.command import write_rows


def made(count: int) -> list[Question]:
    return [
        Question(
            id=f"q{n}",
            question=f"What is {n} and {n}?",
            answer=str(2 * n),
            chunk_ids=[f"c{n}"],
            split="test" if n % 5 == 0 else "train",
        )
        for n in range(count)
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    full = Question(
        id="x",
        question="Who?",
        answer=["A", "B"],
        difficulty="hard",
        chunk_ids=["c1", "c2"],
        supporting_text="A or B",
        split="test",
        metadata={"place": "here"},
    )
    questions = [*made(3), full, Question(id="bare", question="Why?")]
    write_questions(path, questions)
    assert read_questions(path) == questions
    again = tmp_path / "array.json"
    again.write_bytes(msgspec.json.encode(questions))
    assert read_questions(again) == questions


def test_rows_of_others_are_read_too(tmp_path: Path) -> None:
    rows = [
        {"question": "2+2?", "answer": 4, "source": "arithmetic"},
        {"id": 7, "question": "Pi?", "answer": 3.14, "chunk_ids": "c9", "metadata": {"a": 1}},
        {"question": "Why?", "answer": None, "chunk_ids": None, "split": None},
        {"question": "Which?", "answer": ["a", "b"]},
    ]
    one, two, three, four = read_questions(write_rows(tmp_path / "q.jsonl", rows))
    assert (one.answer, one.metadata, len(one.id)) == ("4", {"source": "arithmetic"}, 16)
    assert (two.id, two.answer, two.chunk_ids, two.metadata) == ("7", "3.14", ["c9"], {"a": 1})
    assert (three.references, three.chunk_ids) == ((), [])
    assert four.references == ("a", "b")


BAD = [
    ({"answer": "x"}, "the field 'question' is missing"),
    ({"question": " "}, "'question' is empty"),
    ({"question": 3}, "'question' must be text"),
    ({"question": "x", "answer": True}, "'answer' must be text"),
    ({"question": "x", "answer": []}, "'answer' is an empty list"),
    ({"question": "x", "answer": ["a", 1]}, "'answer' must hold texts"),
    ({"question": "x", "split": "dev"}, "'split' must be 'train' or 'test', not 'dev'"),
    ({"question": "x", "split": ["test"]}, "'split' must be 'train' or 'test'"),
    ({"question": "x", "chunk_ids": [1]}, "'chunk_ids' must hold texts"),
    ({"question": "x", "metadata": 1}, "'metadata' must be an object, not a number"),
    ({"question": "x", "supporting_text": 1}, "'supporting_text' must be text"),
    ({"question": "first", "id": "q"}, "the id 'q' stands at"),
]


@pytest.mark.parametrize(("row", "problem"), BAD)
def test_a_malformed_row_is_named(tmp_path: Path, row: object, problem: str) -> None:
    path = write_rows(
        tmp_path / "q.jsonl", [{"question": "good", "id": "q"}, row, {"question": "z"}]
    )
    with pytest.raises(InputError) as caught:
        read_questions(path)
    assert str(caught.value).startswith(f"{path}:2: {problem}")
    scored: list[tuple[str, str]] = []
    found = read_questions(path, on_reject=lambda where, error: scored.append((where, str(error))))
    assert [question.question for question in found] == ["good", "z"]
    assert scored == [(f"{path}:2", str(caught.value))]


def test_lines_that_are_no_json_are_named(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "a"}\nnot json\n')
    with pytest.raises(InputError, match=r"q\.jsonl:2: not JSON"):
        read_questions(path)
    with pytest.raises(InputError, match="no such file"):
        read_questions(tmp_path / "none.jsonl")
    path.write_text("")
    with pytest.raises(InputError, match="is empty"):
        list(iter_questions(path))


def test_a_split_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    write_questions(path, made(10))
    assert [question.id for question in read_questions(path, split="test")] == ["q0", "q5"]
    write_questions(path, [Question(id="a", question="b")])
    with pytest.raises(InputError, match="holds no question of the split 'test'"):
        read_questions(path, split="test")


def test_questions_are_counted(tmp_path: Path) -> None:
    assert count_questions(made(10)) == {"test": 2, "train": 8}
    assert count_questions([Question(id="a", question="b")]) == {"none": 1}
    assert count_questions([]) == {}


def test_a_pick_is_decided_by_the_seed_alone() -> None:
    questions = made(40)
    picked = pick_questions(questions, 10, seed=1)
    assert picked == pick_questions(reversed(questions), 10, seed=1)
    assert picked == pick_questions(questions, 20, seed=1)[:10]
    assert picked != pick_questions(questions, 10, seed=2)
    assert len(pick_questions(questions, 100)) == 40
    assert {question.split for question in pick_questions(questions, 99, split="test")} == {"test"}
    assert [question.id for question in pick_questions(questions, 3)] == ["q13", "q31", "q20"]
    with pytest.raises(UsageError):
        pick_questions(questions, -1)


def test_a_data_set_has_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    write_questions(path, made(10))
    dataset = question_dataset(path, split="train")
    assert dataset.column_names == [
        "id", "question", "answer", "difficulty", "chunk_ids", "supporting_text", "split",
        "metadata",
    ]  # fmt: skip
    assert (len(dataset), dataset[0]["answer"], dataset[0]["chunk_ids"]) == (8, "2", ["c1"])
    several = [*made(2), Question(id="z", question="?!", answer=["a", "b"], metadata={"k": [1]})]
    mixed = question_dataset(several)
    assert mixed["answer"] == [["0"], ["2"], ["a", "b"]]
    assert json.loads(mixed[2]["metadata"]) == {"k": [1]}
    with pytest.raises(InputError, match="no question"):
        question_dataset(made(1), split="train")


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    write_questions(path, made(1))

    def breaking() -> Iterator[Question]:
        yield made(1)[0]
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError):
        write_questions(path, breaking())
    assert read_questions(path) == made(1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["q.jsonl"]
    with pytest.raises(StoreError, match="could not be written"):
        write_questions(tmp_path / "none" / "q.jsonl", made(1))
