import json
import random
from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import InputError, UsageError
from plaudit.preferences.files import PairJob, PairSummary, pair_file
from plaudit.preferences.options import PairOptions
from plaudit.runs.progress import Progress
from tests.support.command import rows_of, write_rows


def row(score: Any, response: str | None = None, **fields: Any) -> dict[str, Any]:
    """A candidate row of one turn."""
    given = {"example_id": "e", "turn_id": "t", "prompt": "Why?", "score": score}
    return given | {"response": response or f"answer {score}"} | fields


def paired(source: Path, out: Path | None = None, **given: Any) -> PairSummary:
    options = PairOptions(**given.pop("options", {}))
    job = PairJob(source=str(source), out=out and str(out), options=options, **given)
    summary = pair_file(job, Progress("pairs", enabled=False))
    assert summary.adds_up
    if out is not None:
        assert len(rows_of(out)) == summary.pairs
    return summary


def many(turns: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of many turns, mixed, each turn's last response the longest."""
    draw = random.Random(seed)
    rows = [
        row(
            draw.random(), "word " * (1 + n + draw.randrange(20)) + str(n),
            example_id=turn // 3, turn_id=str(turn), candidate_index=n, prompt=f"question {turn}",
            metadata={"n": n},
        )
        for turn in range(turns)
        for n in range(4)
    ]  # fmt: skip
    draw.shuffle(rows)
    return rows


def test_candidates_of_a_turn_may_lie_anywhere(tmp_path: Path) -> None:
    rows = many(20)
    source, out = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    summary = paired(source, out)
    assert (summary.turns, summary.candidates, summary.pairs) == (20, 80, 120)
    turns = list(dict.fromkeys(pair["turn_id"] for pair in rows_of(out)))
    assert turns == list(dict.fromkeys(one["turn_id"] for one in rows))


def test_beyond_memory_the_output_is_the_same(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", many(200))
    paired(source, tmp_path / "a.jsonl")
    paired(source, tmp_path / "b.jsonl", memory=1_000)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_D7_a_sample_of_all_pairs_is_drawn_by_the_seed(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", many(50))
    drawn = []
    for seed in (0, 0, 1):
        out = tmp_path / f"{len(drawn)}.jsonl"
        summary = paired(source, out, options={"max_pairs": 40, "seed": seed})
        assert (summary.pairs, summary.dropped_pairs) == (40, {"over_cap": 260})
        drawn.append(out.read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]
    paired(source, tmp_path / "all.jsonl")
    everything = (tmp_path / "all.jsonl").read_bytes().splitlines()
    places = [everything.index(line) for line in drawn[0].splitlines()]
    assert places == sorted(places)
    assert paired(source, options={"max_pairs": 10_000}).pairs == 300


def test_dedupe_drops_what_another_turn_had(tmp_path: Path) -> None:
    rows = [row(s, turn_id=t) for t in ("t", "u") for s in (0.1, 0.9, 0.5)]
    rows += [row(0.1, turn_id="v"), row(0.9, turn_id="v", prompt="Why?")]
    source, out = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    summary = paired(source, out, options={"dedupe": True})
    assert (summary.pairs, summary.dropped_pairs) == (3, {"duplicate": 4})
    assert {pair["turn_id"] for pair in rows_of(out)} == {"t"}


def test_length_is_balanced(tmp_path: Path) -> None:
    rows = [one | {"score": one["score"] + len(one["response"]) / 100} for one in many(300)]
    source, out = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    assert paired(source, out).pairs == 1800

    def longer() -> float:
        pairs = rows_of(out)
        return sum(len(one["chosen"]) > len(one["rejected"]) for one in pairs) / len(pairs)

    assert longer() > 0.6
    summary = paired(source, out, balance="length")
    assert summary.dropped_pairs["length_balance"] > 100
    assert abs(longer() - 0.5) < 0.06  # Some are of equal length.
    assert paired(source, balance="length", options={"max_pairs": 50}).pairs == 50


def test_rejected_rows_are_set_aside_with_their_place(tmp_path: Path) -> None:
    lines = [json.dumps(row(0.1)), "{", "", json.dumps(row("high")), json.dumps(row(0.9)), "[]",
             '{"prompt": "p", "response": "r", "score": NaN}', "\udcff"]  # fmt: skip
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
    summary = paired(source, out)
    assert (summary.pairs, summary.rejected, summary.exit_status) == (1, 5, 1)
    rejected = rows_of(tmp_path / "out.rejected.jsonl")
    assert [one["where"].rpartition(":")[2] for one in rejected] == ["2", "4", "6", "7", "8"]
    with pytest.raises(InputError, match=r"in\.jsonl:2: not JSON"):
        paired(source, strict=True)


def test_infinite_scores_are_no_scores(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    lines = [json.dumps(row(0.1)), json.dumps(row(0.2)), json.dumps(row(0)).replace("0,", "1e999,")]
    source.write_text("\n".join(lines), encoding="utf-8")
    summary = paired(source)
    assert (summary.pairs, summary.dropped, summary.rejected) == (1, {"no_score": 1}, 0)


def test_a_score_column_that_is_all_null_is_said(tmp_path: Path) -> None:
    source, out = write_rows(tmp_path / "in.jsonl", [row(None), row(None)]), tmp_path / "out.jsonl"
    with pytest.raises(InputError, match=r"no candidate has a score: each of 2 is null"):
        paired(source, out)
    assert not out.exists()


def test_a_million_candidates_in_one_turn_are_refused_early(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    line = json.dumps(row(0.5)) + "\n"
    with source.open("w") as file:
        for _ in range(100):
            file.write(line * 10_000)
    with pytest.raises(InputError, match="turn 't' of example 'e' has more than 10,000"):
        paired(source, out)
    assert list(tmp_path.iterdir()) == [source]


def test_rows_that_hold_no_candidates_are_told_by_their_columns(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"text": "a", "rating": 3}])
    with pytest.raises(InputError, match=r"in\.jsonl:1: no candidates.*text, rating"):
        paired(source)


def test_nothing_at_all(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("\n\n")
    with pytest.raises(InputError, match="is empty"):
        paired(source)
    with pytest.raises(InputError, match="no such file"):
        paired(tmp_path / "nowhere.jsonl")


def test_outputs_that_cannot_be_are_refused_first(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(0.1), row(0.2)])
    with pytest.raises(UsageError, match=r"name a \.jsonl file"):
        paired(source, tmp_path / "out.parquet")
    with pytest.raises(UsageError, match="does not exist"):
        paired(source, tmp_path / "nowhere" / "out.jsonl")


@pytest.mark.parametrize("kind", ["array", "parquet"])
def test_other_kinds_of_files(tmp_path: Path, kind: str) -> None:
    rows = many(5)
    paired(write_rows(tmp_path / "in.jsonl", rows), tmp_path / "a.jsonl")
    source = tmp_path / f"in.{kind}"
    if kind == "array":
        source.write_text(json.dumps(rows, indent=1))
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        arrow = pytest.importorskip("pyarrow")
        parquet.write_table(arrow.Table.from_pylist(rows), source)
    paired(source, tmp_path / "b.jsonl")
    assert rows_of(tmp_path / "a.jsonl") == rows_of(tmp_path / "b.jsonl")


def test_an_error_leaves_the_output_as_it_was(tmp_path: Path) -> None:
    source, out = write_rows(tmp_path / "in.jsonl", [row(0.1), row(0.2)]), tmp_path / "out.jsonl"
    paired(source, out)
    before = out.read_bytes()
    write_rows(source, [row(float(n)) for n in range(2_000)])
    with pytest.raises(InputError, match="give --max-per-turn"):
        paired(source, out)
    assert out.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [source, out]


@pytest.mark.parametrize(
    "first",
    [
        "{",
        "[1]",
        '{"text": "a"}',
        '{"prompt": "p", "response": 3, "score": 1}',
        '{"messages": 3, "rewards": {}, "prompt": "p", "response": "r", "score": 1}',
        '{"judge": "jester/0", "status": "ok", "reward": 1, "id": "v"}',
        '{"judge": "pairwise/0", "status": "ok", "reward": 1, "id": "v", "input": {}}',
        '{"payload": 3}',
        "\udcff",
    ],
)
def test_defect_35_a_malformed_first_row_is_set_aside_like_any_other(
    tmp_path: Path, first: str
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [first, first, *(json.dumps(row(n)) for n in range(3))]
    source.write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
    summary = paired(source, out)
    assert (summary.format, summary.pairs, summary.rejected) == ("rows", 3, 2)
    rejected = rows_of(tmp_path / "out.rejected.jsonl")
    assert [one["where"].rpartition(":")[2] for one in rejected] == ["1", "2"]


def test_defect_35_a_file_of_malformed_rows_alone_is_an_error_that_shows_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"text": n} for n in range(9)])
    with pytest.raises(
        InputError, match=r"no row can be read; 9 rejected, the first: .*in\.jsonl:1: no candidates"
    ):
        paired(source)
    monkeypatch.setattr("plaudit.preferences.reading._MOST_UNREAD", 5)
    with pytest.raises(InputError, match=r"none of the first 5 rows can be read, the first: .*:1:"):
        paired(source)
