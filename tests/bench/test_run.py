"""What a bench is made of: rows in a file, arms of a sweep, a folder of results."""

import random
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from plaudit.bench.arms import Sweep, arms_of_engines
from plaudit.bench.datasets import place_rows, place_sides, with_ids
from plaudit.bench.prepared import prepare
from plaudit.bench.results import (
    ArmResults,
    BenchResults,
    Figure,
    JudgeCard,
    OutcomeCounts,
    SetCard,
    SubsetResults,
    write_results,
)
from plaudit.bench.run import exit_status, results_folder
from plaudit.bench.scored_pairs import outcomes_of_pairs, split_pair
from plaudit.engines.load import load_engine
from plaudit.errors import UsageError
from plaudit.judges.config import JudgeConfig
from plaudit.judges.pairwise import PairwiseJudge
from plaudit.judges.pointwise import PointwiseJudge
from plaudit.types import Failure, Status, Usage, Verdict
from tests.support.command import rows_of


def pair(n: int, **more: Any) -> dict[str, Any]:
    row = {"id": f"p{n}", "prompt": f"q{n}", "response_a": f"a{n}", "response_b": f"b{n}"}
    return row | {"label": "A", "subset": "xy"[n % 2]} | more


# Rows


def test_rows_are_written_once_under_their_digest(tmp_path: Path) -> None:
    rows = [pair(n) for n in range(5)]
    one = prepare(rows, tmp_path / "rows", "set", PairwiseJudge.read_row)
    again = prepare(rows, tmp_path / "rows", "set", PairwiseJudge.read_row)
    other = prepare(rows[1:], tmp_path / "rows", "set", PairwiseJudge.read_row)
    assert one == again
    assert one.digest != other.digest
    assert rows_of(one.path) == rows
    assert len(list((tmp_path / "rows").iterdir())) == 2


def test_ids_are_made_unique_and_unreadable_rows_rejected(tmp_path: Path) -> None:
    rows = [pair(1), pair(1), {**pair(2), "id": None}, pair(3, response_b=" ")]
    found = prepare(with_ids(rows), tmp_path, "set", PointwiseJudge.read_row, split=True)
    assert (found.rows, found.rejected) == (3, 1)
    assert found.first_reject.startswith("p3: ")
    ids = [row["id"] for row in rows_of(found.path)]
    assert ids == ["p1/A", "p1/B", "p1#2/A", "p1#2/B", "3/A", "3/B"]


def test_ids_stay_apart_where_one_is_already_numbered() -> None:
    given = ["q", "q#2", "q", "q", "", None, 6]
    names = [row["id"] for row in with_ids([{"id": one} for one in given])]
    assert names == ["q", "q#2", "q#3", "q#4", "", "6", "6#2"]


def test_a_subset_whose_rows_are_all_rejected_is_known(tmp_path: Path) -> None:
    rows = [pair(1, subset="x"), pair(2, subset="empty", response_a=7)]
    found = prepare(with_ids(rows), tmp_path, "set", PairwiseJudge.read_row)
    assert (found.rows, list(found.subsets)) == (1, ["x", "empty"])


def test_pairs_are_placed_alike_from_a_stream() -> None:
    draw = random.Random(3)
    rows = [pair(n, label=draw.choice(["A", "A", "B", "A=B"])) for n in range(60)]
    placed = place_sides(rows, 5)
    assert list(place_rows(iter(rows), 5)) == placed
    for subset in "xy":
        labels = [row["label"] for row in placed if row["subset"] == subset]
        assert abs(labels.count("A") - labels.count("B")) <= 1


def test_whole_dialogues_are_placed_too() -> None:
    rows = [
        {"conversation_A": [{"n": n}], "conversation_B": [], "label": "A", "id": str(n)}
        for n in range(8)
    ]
    placed = place_sides(rows)
    assert sum(row["label"] == "A" for row in placed) == 4
    assert all(bool(row["conversation_A"]) == (row["label"] == "A") for row in placed)


# Pairs by scores


def scored(row: dict[str, Any], score: int | None, status: Status = "ok") -> Verdict:
    metadata = {name: row[name] for name in ("pair", "pair_label", "subset")}
    why = None if status == "ok" else Failure("timeout", "no reply")  # pyright: ignore
    return Verdict(
        index=0, id=row["id"], status=status, value=score, metadata=metadata, error=why,
        usage=Usage(5, 1), judge="pointwise/0",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("a", "b", "credit", "scores"),
    [(7, 3, 1.0, (7.0, 3.0)), (3, 7, 0.0, (3.0, 7.0)), (5, 5, 0.5, (5.0, 5.0))],
)
def test_the_higher_score_wins(a: int, b: int, credit: float, scores: Any) -> None:
    first, second = split_pair(pair(1), 1)
    (found,) = outcomes_of_pairs([scored(first, a), scored(second, b)])
    assert (found.id, found.subset, found.tokens) == ("p1", "y", 12)
    assert (found.credit, found.scores) == (credit, scores)


def test_a_pair_without_a_score_has_the_cause_and_no_credit() -> None:
    first, second = split_pair(pair(1), 1)
    (found,) = outcomes_of_pairs([scored(first, 7), scored(second, None, "failed")])
    assert (found.status, found.cause, found.credit, found.agrees) == (
        "failed", "timeout", None, None
    )  # fmt: skip


# Arms


def test_a_sweep_is_every_combination_of_one_engine_after_the_other() -> None:
    config, sweep = JudgeConfig(kind="verify"), Sweep((0, 1), (1, 3))
    arms = arms_of_engines(config, ["none:"], load_engine, sweep)
    assert [arm.name for arm in arms] == [
        "no model, 0 shots, 1 vote", "no model, 0 shots, 3 votes",
        "no model, 1 shot, 1 vote", "no model, 1 shot, 3 votes",
    ]  # fmt: skip
    assert [(a.config.shots, a.config.votes, a.config.all_votes) for a in arms] == [
        (0, 1, False), (0, 3, True), (1, 1, False), (1, 3, True)
    ]  # fmt: skip
    with pytest.raises(UsageError, match="-e none: is given twice"):
        arms_of_engines(config, ["none:", "none:"], load_engine, Sweep())


# Results


def results(**counts: int) -> BenchResults:
    overall = SubsetResults(name="", counts=OutcomeCounts(samples=9, **counts), figures={})
    arm = ArmResults(
        judge=JudgeCard(name="j", kind="verify"), overall=overall, score=Figure(value=0.5, n=9)
    )
    return BenchResults(plaudit="1", set=SetCard(name="s", title="S", score="", rows=9), arms=[arm])


def test_the_exit_status_says_whether_something_is_missing() -> None:
    assert exit_status(results(abstained=3)) == 0
    assert exit_status(results(failed=1)) == exit_status(results(invalid=1)) == 1
    assert exit_status(replace(results(), rejected=1)) == 1
    unscored = replace(results().arms[0], score=Figure(value=None, n=0))
    assert exit_status(replace(results(), arms=[unscored])) == 1


def test_a_folder_of_results_is_whole_or_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with results_folder(str(out), []) as folder:
        folder.open("outcomes-1.jsonl").write(b"{}\n")
        folder.open("outcomes-2.jsonl").write(b"{}\n")
        write_results(results(), folder.path)
    before = (out / "results.json").read_bytes()
    with pytest.raises(KeyboardInterrupt), results_folder(str(out), []) as folder:
        folder.open("outcomes-1.jsonl").write(b"other")
        raise KeyboardInterrupt
    assert (out / "results.json").read_bytes() == before
    assert (out / "outcomes-1.jsonl").read_bytes() == b"{}\n"
    with results_folder(str(out), []) as folder:
        write_results(results(), folder.path)
    assert [path.name for path in out.iterdir()] == ["results.json"]
