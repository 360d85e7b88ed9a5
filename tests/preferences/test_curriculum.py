"""Curricula: easy before difficult, wider every interval, the same whatever the order read."""

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError, UsageError
from plaudit.preferences.curriculum import Curriculum, CurriculumOptions, Rewards
from plaudit.preferences.curriculum_files import (
    CurriculumJob,
    CurriculumSummary,
    read_rewards,
    write_curriculum,
)
from plaudit.preferences.types import Id
from tests.support.command import rows_of, write_rows

TEN = {f"e{n}": Rewards(mean=n / 10, spread=0.5) for n in range(10)}


def test_D8_the_defaults_are_those_of_the_known_tool() -> None:
    options = CurriculumOptions()
    assert (options.start, options.widen, options.interval, options.min_spread) == (
        0.3, 0.2, 5, 0.1,
    )  # fmt: skip
    curriculum = Curriculum(TEN)
    sizes = [len(curriculum.examples_at(epoch)) for epoch in (0, 4, 5, 10, 15, 19, 20, 900)]
    assert sizes == [3, 3, 5, 7, 9, 9, 10, 10]
    assert curriculum.examples_at(0) == ("e9", "e8", "e7")


def test_each_stage_lasts_its_interval() -> None:
    epochs = list(Curriculum(TEN, CurriculumOptions(interval=2)).epochs())
    assert [epoch for epoch, _ in epochs] == list(range(10))
    assert [len(ids) for _, ids in epochs] == [3, 3, 5, 5, 7, 7, 9, 9, 10, 10]
    assert len(list(Curriculum(TEN).epochs(3))) == 3


def test_a_wide_spread_makes_an_example_easy_as_a_high_mean_does() -> None:
    rewards: dict[Id, Rewards] = {
        "good, spread": Rewards(0.9, 0.9),
        "good, alike": Rewards(0.9, 0.2),
        "bad, spread": Rewards(0.1, 0.9),
        "bad, alike": Rewards(0.1, 0.2),
    }
    curriculum = Curriculum(rewards)
    order = [one.example_id for one in curriculum.examples]
    assert (order[0], order[3]) == ("good, spread", "bad, alike")
    difficulty = {one.example_id: one.difficulty for one in curriculum.examples}
    assert difficulty["good, alike"] == difficulty["bad, spread"] == 0.5
    by_mean = Curriculum(rewards, CurriculumOptions(by="mean")).examples
    assert {one.example_id for one in by_mean[:2]} == {"good, spread", "good, alike"}
    by_spread = Curriculum(rewards, CurriculumOptions(by="spread")).examples
    assert {one.example_id for one in by_spread[:2]} == {"good, spread", "bad, spread"}


def test_examples_with_too_little_spread_are_dropped_and_those_at_the_least_are_not() -> None:
    rewards: dict[Id, Rewards] = {"a": Rewards(0.5, 0.1), "b": Rewards(0.5, 0.0999), "c": TEN["e1"]}
    curriculum = Curriculum(rewards)
    assert curriculum.dropped == ["b"]
    assert {one.example_id for one in curriculum.examples} == {"a", "c"}


def test_nothing_left_is_said_with_the_widest_spread() -> None:
    with pytest.raises(InputError, match=r"no example is left of 2: the widest spread .* is 0\.05"):
        Curriculum({"a": Rewards(1, 0.05), 1: Rewards(1, 0)})


def test_one_example_is_open_from_the_beginning() -> None:
    curriculum = Curriculum({"only": Rewards(0.2, 1.0)})
    assert curriculum.examples_at(0) == ("only",)
    assert curriculum.examples[0].difficulty == 0


def test_ids_of_equal_text_and_number_are_two() -> None:
    curriculum = Curriculum({1: Rewards(0.2, 1.0), "1": Rewards(0.9, 1.0)})
    assert [one.example_id for one in curriculum.examples] == ["1", 1]


@pytest.mark.parametrize(
    "option",
    [
        {"start": 0}, {"start": 1.1}, {"widen": 0}, {"widen": -1}, {"widen": 0.001},
        {"interval": 0}, {"min_spread": -1}, {"min_spread": float("nan")}, {"by": "size"},
    ],
)  # fmt: skip
def test_an_option_out_of_range_is_refused(option: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(option))):
        CurriculumOptions(**option)  # pyright: ignore[reportArgumentType]


def test_epochs_count_from_0() -> None:
    with pytest.raises(UsageError, match="from 0"):
        Curriculum(TEN).examples_at(-1)


REWARDS = st.builds(Rewards, st.sampled_from([0.1, 0.2, 0.3, 0.7]), st.sampled_from([0.05, 0.2, 1]))
IDS = st.one_of(st.integers(0, 50), st.text(max_size=3))


@given(st.dictionaries(IDS, REWARDS, max_size=40), st.randoms(use_true_random=False))
def test_the_order_read_does_not_matter(rewards: dict[Id, Rewards], draw: random.Random) -> None:
    rewards["a"] = Rewards(0.4, 1.0)
    mixed = list(rewards.items())
    draw.shuffle(mixed)
    first, second = Curriculum(rewards), Curriculum(dict(mixed))
    assert first.examples == second.examples
    difficulties = [one.difficulty for one in first.examples]
    assert difficulties == sorted(difficulties)
    assert all(0 <= one <= 1 for one in difficulties)
    stages = [one.stage for one in first.examples]
    for stage in range(first.stages):
        opened = first.examples_at(stage * 5)
        assert len(opened) == sum(one <= stage for one in stages)
    assert len(first.examples) + len(first.dropped) == len(rewards)


# Files


def pair(
    example: Id, chosen: float | None, rejected: float | None, turn: Id = 0
) -> dict[str, object]:
    return {
        "example_id": example, "turn_id": turn, "prompt": "p", "chosen": "größer \\n",
        "chosen_score": chosen, "rejected": "r", "rejected_score": rejected,
    }  # fmt: skip


def written(tmp_path: Path, rows: list[object], **options: object) -> CurriculumSummary:
    source = write_rows(tmp_path / "in.jsonl", rows)
    job = CurriculumJob(
        source=str(source),
        out=str(tmp_path / "out"),
        options=CurriculumOptions(**options),  # pyright: ignore[reportArgumentType]
    )
    return write_curriculum(job)


def test_the_files_together_are_the_whole_from_easy_to_difficult(tmp_path: Path) -> None:
    rows: list[object] = [
        pair(f"e{n}", n / 10 + 0.2, n / 10) for n in (3, 9, 1, 0, 7, 2, 8, 4, 6, 5)
    ]
    rows.append(pair("e9", 1.5, 0.2, turn=1))
    done = written(tmp_path, rows)
    out = tmp_path / "out"
    assert [one.file for one in done.stages] == [f"stage-{n:02}.jsonl" for n in range(5)]
    assert [one.from_epoch for one in done.stages] == [0, 5, 10, 15, 20]
    assert [one.examples for one in done.stages] == [3, 2, 2, 2, 1]
    assert [one.rows for one in done.stages] == [4, 2, 2, 2, 1]
    assert [one.open_rows for one in done.stages] == [4, 6, 8, 10, 11]
    lines = b"".join((out / str(one.file)).read_bytes() for one in done.stages).splitlines()
    assert sorted(lines) == sorted((tmp_path / "in.jsonl").read_bytes().splitlines())
    assert [row["example_id"] for row in rows_of(out / "stage-00.jsonl")] == [
        "e9",
        "e7",
        "e8",
        "e9",
    ]
    examples = rows_of(out / "examples.jsonl")
    assert [(one["example_id"], one["stage"]) for one in examples][:4] == [
        ("e9", 0), ("e8", 0), ("e7", 0), ("e6", 1),
    ]  # fmt: skip
    plan = msgspec.json.decode((out / "curriculum.json").read_bytes(), type=CurriculumSummary)
    assert plan == done
    ids = [one.example_id for one in Curriculum(read_rewards(tmp_path / "in.jsonl")).examples]
    assert [one["example_id"] for one in examples] == ids


def test_bytes_of_rows_stay_what_they_were(tmp_path: Path) -> None:
    line = b'{ "example_id":"a", "chosen_score":1.0E0,"rejected_score":0, "x":[1e999,"\\u00e9"] }'
    (tmp_path / "in.jsonl").write_bytes(line + b"\n\n")
    write_curriculum(CurriculumJob(source=str(tmp_path / "in.jsonl"), out=str(tmp_path / "out")))
    assert (tmp_path / "out/stage-00.jsonl").read_bytes() == line + b"\n"


def test_candidates_of_other_turns_do_not_widen_the_spread(tmp_path: Path) -> None:
    rows: list[object] = [
        {"example_id": "a", "turn_id": 0, "score": 0.1},
        {"example_id": "a", "turn_id": 1, "score": 0.9},
        {"example_id": "a", "turn_id": 0, "score": 0.15},
        {"example_id": "b", "turn_id": 0, "score": 0.2},
        {"example_id": "b", "turn_id": 0, "score": 0.8},
        {"example_id": "b", "turn_id": 0, "score": None},
        {"example_id": "c", "turn_id": 0, "score": None},
    ]
    done = written(tmp_path, rows)
    assert done.dropped_examples == {"little_spread": 1}
    assert done.dropped_rows == {"no_score": 2, "little_spread": 3}
    assert done.rows == len(rows) == sum(one.rows for one in done.stages) + 5
    found = read_rewards(tmp_path / "in.jsonl")
    assert found["b"] == Rewards(0.5, pytest.approx(0.6))  # pyright: ignore[reportArgumentType]


def test_traces_are_grouped_by_question(tmp_path: Path) -> None:
    rows: list[object] = [
        {"id": f"q/{n}", "question_id": "q", "group": "g", "rewards": {"total": {"value": v}}}
        for n, v in enumerate((0.0, 1.0, None))
    ]
    rows.append(
        {"id": "p/0", "question_id": "p", "group": "", "rewards": {"total": {"value": 0.5}}}
    )
    write_rows(tmp_path / "t.jsonl", rows)
    assert read_rewards(tmp_path / "t.jsonl") == {"g": Rewards(0.5, 1.0), "p": Rewards(0.5, 0.0)}


def test_stages_without_examples_have_no_file_and_old_ones_go(tmp_path: Path) -> None:
    written(tmp_path, [pair(n, n / 10 + 0.2, n / 10) for n in range(10)])
    (tmp_path / "out/stage-notes.jsonl").write_text("mine")
    done = written(tmp_path, [pair("a", 1, 0), pair("b", 0.5, 0)])
    assert [one.file for one in done.stages] == ["stage-00.jsonl", *[None] * 3, "stage-04.jsonl"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "curriculum.json", "examples.jsonl", "stage-00.jsonl", "stage-04.jsonl",
        "stage-notes.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"example_id": "a", "score": "0.5"}, "score must be a number or null, not text"),
        ({"example_id": "a", "score": True}, "score must be a number or null, not true or false"),
        ({"example_id": None, "score": 1}, "example_id must be a text or a whole number"),
        ({"example_id": 1.5, "score": 1}, "example_id must be a text or a whole number"),
        ({"score": 1, "prompt": "p"}, "it has no example_id; its columns are score, prompt"),
        ({"example_id": "a", "reward": 1}, "no chosen_score and rejected_score; its columns are"),
        ({}, "it is empty"),
        ([1], "not a JSON object"),
        ({"rewards": {"total": {"value": 1}}}, "group or question_id must be a text"),
    ],
)
def test_a_row_that_cannot_be_used_is_set_aside(tmp_path: Path, row: object, error: str) -> None:
    done = written(tmp_path, [pair("a", 1, 0), row])
    assert (done.rejected, done.rows, done.exit_status) == (1, 1, 1)
    assert error in done.first_reject
    assert "in.jsonl:2" in done.first_reject
    assert len(rows_of(tmp_path / "out/curriculum.rejected.jsonl")) == 1
    job = CurriculumJob(source=str(tmp_path / "in.jsonl"), out=str(tmp_path / "new"), strict=True)
    with pytest.raises(InputError, match=r"in\.jsonl:2: "):
        write_curriculum(job)
    assert not (tmp_path / "new").exists()


def test_numbers_beyond_floats_are_no_scores(tmp_path: Path) -> None:
    text = b'{"example_id":"a","score":%b}\n'
    lines = [text % n for n in (b"1e999", b"1" + b"0" * 400, b"0", b"1", b"\xff")]
    (tmp_path / "in.jsonl").write_bytes(b"".join(lines))
    job = CurriculumJob(source=str(tmp_path / "in.jsonl"), out=str(tmp_path / "out"))
    done = write_curriculum(job)
    assert sum(one.rows for one in done.stages) == 2
    assert done.rejected + done.dropped_rows.get("no_score", 0) == 3


def test_a_column_of_nulls_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of 3 rows has a score"):
        written(tmp_path, [{"example_id": "a", "score": None}] * 3)
    assert not (tmp_path / "out").exists()


def test_standard_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="read twice"):
        write_curriculum(CurriculumJob(source="-", out=str(tmp_path)))


def test_files_of_stages_load_as_one_set_in_order(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    done = written(tmp_path, [pair(f"e{n}", n / 10 + 0.2, n / 10) for n in range(10)])
    files = [str(tmp_path / "out" / str(one.file)) for one in done.stages]
    rows = datasets.load_dataset("json", data_files=files, split="train", cache_dir=str(tmp_path))
    assert sorted(rows["example_id"][:3]) == ["e7", "e8", "e9"]
    assert rows["example_id"][9] == "e0"
    assert rows[0]["chosen"] == "größer \\n"


def test_turns_of_two_runs_are_two(tmp_path: Path) -> None:
    rows = [
        {"example_id": "a", "turn_id": 0, "run": run, "chosen_score": high, "rejected_score": low}
        for run, high, low in (("one", 0.9, 0.7), ("two", 0.3, 0.1))
    ]
    found = read_rewards(write_rows(tmp_path / "in.jsonl", rows))
    assert found == {"a": Rewards(0.5, 0.2)}


def test_defect_38_scores_beyond_what_can_be_compared_are_rejected(tmp_path: Path) -> None:
    rows = [{"example_id": "a", "score": score} for score in (1.7e308, -1.7e308, 0.25, 0.5)]
    with pytest.raises(InputError, match="too large to be compared"):
        read_rewards(write_rows(tmp_path / "in.jsonl", rows))
    done = write_curriculum(
        CurriculumJob(source=str(tmp_path / "in.jsonl"), out=str(tmp_path / "o"))
    )
    assert (done.rejected, done.examples) == (2, 1)
    assert rows_of(tmp_path / "o" / "examples.jsonl")[0]["spread"] == 0.25


def test_defect_39_a_missing_example_id_is_named(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"id": "a", "score": 0.5}] * 2)
    job = CurriculumJob(source=str(source), out=str(tmp_path / "out"))
    with pytest.raises(InputError, match=r"2 rejected, the first: .*it has no example_id"):
        write_curriculum(job)
