"""The queue of labels: what is drawn, what is kept, and what it may promise."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from plaudit.errors import InputError, StoreError
from plaudit.viewer.labels import ACTIVE_SHARE, LOOKS, Draw, LabelFile, LabelQueue
from plaudit.viewer.table import Table
from tests.viewer.conftest import Write, not_ok, verdict


@pytest.fixture
def table(write: Write) -> Table:
    rows = [verdict(n, confidence=n / 100, value="AB"[n % 2]) for n in range(40)]
    return Table(write(*rows, not_ok(40, "failed", "timeout"), not_ok(41, "invalid", "no_object")))


def queue(table: Table, tmp_path: Path, **options: int) -> LabelQueue:
    return LabelQueue(table, LabelFile(tmp_path / "labels.jsonl"), "out.jsonl", "ada", **options)


def take(found: LabelQueue, count: int) -> list[Draw]:
    draws: list[Draw] = []
    for _ in range(count):
        draw = found.next()
        assert draw is not None
        found.answer(draw, "label", "A")
        draws.append(draw)
    return draws


def test_random_and_active_draws_are_mixed_in_the_stated_share(
    table: Table, tmp_path: Path
) -> None:
    draws = take(queue(table, tmp_path), 20)
    assert sum(draw.drawn == "active" for draw in draws) == 20 * ACTIVE_SHARE
    assert next(draw.row for draw in draws if draw.drawn == "active") < 4  # the least sure


def test_random_draws_are_a_permutation_of_what_was_judged(table: Table, tmp_path: Path) -> None:
    found = queue(table, tmp_path)
    while (draw := found.next()) is not None:
        found.answer(draw, "label", "A")
    random = [row.index for row in found.own if row.drawn == "random"]
    assert sorted(random) == list(range(40))
    expected = np.random.default_rng(0).permutation(np.arange(40)).tolist()
    assert random == expected  # Active draws never change which samples come by chance.


def test_the_same_seed_draws_the_same(table: Table, tmp_path: Path) -> None:
    one, other = tmp_path / "a", tmp_path / "b"
    one.mkdir()
    other.mkdir()
    assert take(queue(table, one, seed=3), 9) == take(queue(table, other, seed=3), 9)


def test_a_queue_goes_on_where_it_stopped(table: Table, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = take(queue(table, whole), 9)
    assert take(queue(table, tmp_path), 4) + take(queue(table, tmp_path), 5) == expected


def test_no_sample_is_drawn_twice_by_chance_where_the_order_changed(
    table: Table, tmp_path: Path
) -> None:
    take(queue(table, tmp_path), 20)
    found = queue(table, tmp_path, seed=5)
    while (draw := found.next()) is not None:
        found.answer(draw, "label", "A")
    random = [row.index for row in found.own if row.drawn == "random"]
    assert sorted(random) == list(range(40))


def test_two_people_share_a_file_and_no_answers(table: Table, tmp_path: Path) -> None:
    take(queue(table, tmp_path), 3)
    other = LabelQueue(table, LabelFile(tmp_path / "labels.jsonl"), "out.jsonl", "bob")
    assert other.own == []
    assert other.undo() is None


def test_undo_takes_the_last_line_back(table: Table, tmp_path: Path) -> None:
    found = queue(table, tmp_path)
    first, second = take(found, 2)
    assert found.undo() is not None
    assert found.next() == second
    assert found.undo() is not None
    assert (found.next(), found.undo()) == (first, None)
    assert (tmp_path / "labels.jsonl").read_bytes() == b""


def test_an_active_label_is_taken_over_when_its_sample_is_drawn_by_chance(
    table: Table, tmp_path: Path
) -> None:
    found = queue(table, tmp_path)
    while (draw := found.next()) is not None:
        found.answer(draw, "label", "A")
    twice = [row for row in found.own if row.drawn == "active"]
    assert twice
    for row in twice:
        same = [one for one in found.own if one.index == row.index]
        assert [one.drawn for one in same] in (["active", "random"], ["random", "active"])


def test_a_row_says_who_what_and_how_it_was_drawn(table: Table, tmp_path: Path) -> None:
    found = queue(table, tmp_path)
    draw = found.next()
    assert draw is not None
    found.answer(draw, "unsure", None)
    row = msgspec.json.decode((tmp_path / "labels.jsonl").read_bytes())
    assert row == {
        "run": "out.jsonl",
        "index": draw.row,
        "id": f"s-{draw.row}",
        "label": None,
        "answer": "unsure",
        "annotator": "ada",
        "drawn": "random",
    }


def test_looks_are_fixed_beforehand(table: Table, tmp_path: Path) -> None:
    assert LOOKS == (100, 200, 400, 800)
    found = queue(table, tmp_path)
    take(found, 8)
    progress = found.progress()
    assert (progress.random, progress.active) == (6, 2)
    assert (progress.last_look, progress.next_look) == (None, 100)
    assert list(found.promise_labels(3)) == [r.index for r in found.own if r.drawn == "random"][:3]


def test_choices_are_what_the_judge_could_say(write: Write, tmp_path: Path) -> None:
    rows = [verdict(0, value=7, probabilities={"7": 0.6, "10": 0.4}), verdict(1, value=2)]
    assert queue(Table(write(*rows)), tmp_path).choices() == ["2", "7", "10"]


def test_a_file_that_cannot_be_written_loses_nothing(table: Table, tmp_path: Path) -> None:
    found = LabelQueue(
        table, LabelFile(tmp_path / "no folder" / "labels.jsonl"), "out.jsonl", "ada"
    )
    draw = found.next()
    assert draw is not None
    with pytest.raises(StoreError, match="The label was not kept"):
        found.answer(draw, "label", "A")
    assert (found.own, found.next()) == ([], draw)


def test_a_line_that_is_no_label_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"label": "A"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"labels\.jsonl:1: not a label of plaudit view"):
        LabelFile(path)
