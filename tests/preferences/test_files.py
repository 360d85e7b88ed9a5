import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import InputError, UsageError
from plaudit.io.progress import Progress
from plaudit.preferences.files import PairJob, PairSummary, pair_file
from plaudit.preferences.formats.base import ReadOptions
from plaudit.preferences.types import PairOptions
from tests.support.command import rows_of, write_rows


def row(score: Any, response: str | None = None, **fields: Any) -> dict[str, Any]:
    """A candidate row of one turn."""
    given = {"example_id": "e", "turn_id": "t", "prompt": "Why?", "score": score}
    return given | {"response": response or f"answer {score}"} | fields


def paired(source: Path | list[str], out: Path | None = None, **given: Any) -> PairSummary:
    options = PairOptions(**given.pop("options", {}))
    sources = source if isinstance(source, list) else str(source)
    job = PairJob(source=sources, out=out and str(out), options=options, **given)
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
    with pytest.raises(InputError, match="give max_per_turn=N"):
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
    tmp_path: Path,
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"text": n} for n in range(9)])
    with pytest.raises(
        InputError, match=r"no row can be read; 9 rejected, the first: .*in\.jsonl:1: no candidates"
    ):
        paired(source)
    with pytest.raises(InputError, match=r"none of the first 5 rows can be read, the first: .*:1:"):
        paired(source, most_unread=5)


def judged(*sides: tuple[str, str], prompt: str = "Why?", first: int = 0) -> list[dict[str, Any]]:
    """Rows of turns in which the first response is the better one."""
    return [
        row(score, text, turn_id=turn, prompt=prompt)
        for turn, both in enumerate(sides, first)
        for score, text in zip((0.9, 0.1), both, strict=True)
    ]


def texts(out: Path) -> list[tuple[Any, Any]]:
    return [(pair["chosen"], pair["rejected"]) for pair in rows_of(out)]


def test_defect_38_pairs_of_two_turns_that_contradict_each_other_are_not_made(
    tmp_path: Path,
) -> None:
    message = {"role": "assistant", "content": "y "}
    rows = [
        *judged(("x", "y"), ("a", "b"), ("x", "z")),
        row(0.9, response="y", turn_id="m") | {"response": message}, row(0.2, "x", turn_id="m"),
        *judged(("x", "y"), first=7), *judged(("y", "x"), prompt="How?", first=9),
    ]  # fmt: skip
    source, out = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    summary = paired(source, out)
    assert summary.dropped_pairs == {"contradiction": 3}
    assert texts(out) == [("a", "b"), ("x", "z"), ("y", "x")]
    kept = paired(source, out, options={"contradictions": "keep"})
    assert (kept.pairs, kept.dropped_pairs) == (6, {})
    for given in ({"memory": 500}, {"report": str(tmp_path / "report")}, {"balance": None}):
        assert paired(source, out, **given).dropped_pairs == {"contradiction": 3}
    sample = paired(source, out, options={"max_pairs": 2, "dedupe": True})
    assert sample.dropped_pairs == {"contradiction": 2, "duplicate": 1, "over_cap": 1}
    assert paired(source).dropped_pairs == {"contradiction": 3}
    mixed = [rows[n] for n in (0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11)]
    apart = paired(write_rows(source, mixed), out)
    assert apart.dropped_pairs == {"contradiction": 3}


def test_turns_with_one_prompt_that_agree_are_written_as_ever(tmp_path: Path) -> None:
    rows = [one | {"prompt": f"question {n % 5}"} for n in range(20) for one in many(1, n)]
    rows = [one | {"turn_id": n // 4} for n, one in enumerate(rows)]
    source = write_rows(tmp_path / "in.jsonl", rows)
    for mode in ("exhaustive", "random-2"):
        for sign in ("drop", "keep"):
            options = {"mode": mode, "contradictions": sign}
            assert paired(source, tmp_path / f"{sign}.jsonl", options=options).pairs > 30
        assert (tmp_path / "drop.jsonl").read_bytes() == (tmp_path / "keep.jsonl").read_bytes()


def test_defect_38_several_files_are_runs_that_do_not_merge(tmp_path: Path) -> None:
    rows = [row(0.1, "a"), row(0.5, "b")], [row(0.9, "c"), row(0.2, "d")]
    sources = [write_rows(tmp_path / f"{n}.jsonl", one) for n, one in enumerate(rows)]
    out = tmp_path / "out.jsonl"
    summary = paired([str(one) for one in sources], out)
    assert (summary.turns, summary.candidates, summary.pairs) == (2, 4, 2)
    pairs = rows_of(out)
    assert texts(out) == [("b", "a"), ("c", "d")]
    assert [pair["run"] for pair in pairs] == list(map(str, sources))
    assert {(pair["example_id"], pair["turn_id"]) for pair in pairs} == {("e", "t")}
    assert list(pairs[0])[:4] == ["example_id", "turn_id", "run", "prompt"]
    paired(sources[0], out)
    assert "run" not in rows_of(out)[0]


@pytest.mark.parametrize("memory", [64 * 2**20, 500])
def test_defect_38_a_column_can_name_the_run(tmp_path: Path, memory: int) -> None:
    rows = [row(n / 10, str(n), sweep="ab"[n % 2]) for n in range(6)]
    rows[2] = {**rows[2], "sweep": None, "metadata": {"sweep": "a"}}
    del rows[2]["sweep"]
    del rows[5]["sweep"]
    one, other = write_rows(tmp_path / "1", rows[:3]), write_rows(tmp_path / "2", rows[3:])
    out = tmp_path / "out.jsonl"
    read = ReadOptions(run_column="sweep")
    summary = paired([str(one), str(other)], out, read=read, memory=memory)
    assert (summary.turns, summary.pairs, summary.rejected) == (2, 4, 1)
    assert "no column 'sweep'" in rows_of(tmp_path / "out.rejected.jsonl")[0]["error"]
    assert texts(out) == [("4", "0"), ("2", "0"), ("4", "2"), ("3", "1")]
    assert [pair["run"] for pair in rows_of(out)] == ["a", "a", "a", "b"]


def test_defect_38_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    one = str(write_rows(tmp_path / "1", [row(0.1)]))
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    trace = {"messages": chat, "rewards": {"total": {"value": 1.0}}, "group": "g"}
    other = str(write_rows(tmp_path / "2", [trace]))
    with pytest.raises(InputError, match=r"2:1: traces after rows"):
        paired([one, other])
    with pytest.raises(UsageError, match="given twice"):
        paired([one, str(tmp_path / "." / "1")])
    with pytest.raises(InputError, match="no such file"):
        paired([one, str(tmp_path / "nowhere")])


def test_contradictions_of_two_runs_are_found(tmp_path: Path) -> None:
    rows = judged(("x", "y")), judged(("y", "x"))
    sources = [str(write_rows(tmp_path / f"{n}", one)) for n, one in enumerate(rows)]
    assert paired(sources).dropped_pairs == {"contradiction": 2}


def test_defect_38_no_margin_is_written_as_null(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_rows(source, [row(1.7e308), row(-1.7e308), row(1.0)])
    assert paired(source, out).dropped_pairs == {"overflow": 1}
    assert all(isinstance(pair["margin"], float) for pair in rows_of(out))


def test_compressed_files_are_read(tmp_path: Path) -> None:
    rows = many(5)
    source = write_rows(tmp_path / "in.jsonl", rows)
    packed = tmp_path / "in.jsonl.gz"
    packed.write_bytes(gzip.compress(source.read_bytes()))
    for one in (source, packed):
        paired(one, tmp_path / f"{one.name}.jsonl")
    assert rows_of(tmp_path / "in.jsonl.jsonl") == rows_of(tmp_path / "in.jsonl.gz.jsonl")


def test_pairs_without_scores_stay_as_they_are(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "chosen": f"a{n}", "rejected": "b" * n} for n in range(1, 40)]
    source, out = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    summary = paired(source, out, report=str(tmp_path / "report"))
    assert (summary.format, summary.pairs, summary.exit_status) == ("pairs", 39, 0)
    made = rows_of(out)
    assert [(one["prompt"], one["chosen"], one["rejected"]) for one in made] == [
        (one["prompt"], one["chosen"], one["rejected"]) for one in rows
    ]
    unknown = ("margin", "reward", "chosen_score", "rejected_score")
    assert all(one[name] is None for one in made for name in unknown)
    report = json.loads((tmp_path / "report/report.json").read_text())
    assert (report["pairs"], report["margins"]) == (39, None)
    again = tmp_path / "again.jsonl"
    paired(out, again)
    assert again.read_bytes() == out.read_bytes()


def test_own_pairs_come_out_as_they_went_in(tmp_path: Path) -> None:
    source, out, again = (tmp_path / f"{name}.jsonl" for name in ("in", "out", "again"))
    paired(write_rows(source, many(10)), out)
    paired(out, again)
    assert again.read_bytes() == out.read_bytes()


def test_pairs_that_contradict_each_other_are_dropped_without_scores_too(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "chosen": "a", "rejected": "b"},
        {"prompt": "p", "chosen": "b", "rejected": "a"},
        {"prompt": "p", "chosen": "b", "rejected": "b "},
        {"prompt": "q", "chosen": "b", "rejected": "a"},
    ]
    source = write_rows(tmp_path / "in.jsonl", rows)
    summary = paired(source, tmp_path / "out.jsonl")
    assert (summary.pairs, summary.dropped_pairs) == (1, {"same_text": 1, "contradiction": 2})


def test_lists_of_responses_under_other_names(tmp_path: Path) -> None:
    rows = [
        {"question": f"q{n}", "answers": ["a", "b", "c"], "marks": [3, None, 5]} for n in range(4)
    ]
    source, out = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    columns = {"prompt": "question", "responses": "answers", "scores": "marks"}
    summary = paired(source, out, read=ReadOptions(columns=columns))
    assert (summary.format, summary.pairs, summary.dropped) == ("lists", 4, {"no_score": 4})
    assert set(texts(out)) == {("c", "a")}
