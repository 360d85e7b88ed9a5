"""Verdicts and labels: matched exactly, or refused with the place and the number."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from plaudit import Failure, InputError, Verdict
from plaudit.errors import ArgumentError, Cause
from plaudit.runs.labels import Labelled, match_labels
from tests.support.command import write_rows

JUDGE = "feedback/0123456789ab"


def verdict(index: int, value: Any = "good", raw: float | None = 0.9, **fields: Any) -> Verdict:
    given: dict[str, Any] = {
        "id": f"r{index}", "status": "ok", "judge": JUDGE,
        "fields": {} if raw is None else {"raw_confidence": raw},
    }  # fmt: skip
    return Verdict(index=index, value=value, **(given | fields))


def abstained(index: int, cause: Cause) -> Verdict:
    return verdict(index, status="abstained", error=Failure(cause, "because"))


def failed(index: int) -> Verdict:
    error = Failure(Cause.TIMEOUT, "too late")
    return verdict(index, None, None, status="failed", error=error)


def saved(path: Path, verdicts: list[Verdict]) -> Path:
    return write_rows(path, verdicts)


def test_a_value_is_right_where_it_is_the_label(tmp_path: Path) -> None:
    verdicts = saved(tmp_path / "v.jsonl", [verdict(0), verdict(1, "bad", 0.4), verdict(2)])
    labels = write_rows(
        tmp_path / "l.jsonl",
        [{"id": "r1", "label": "good"}, {"index": 0, "label": "good"}, {"id": "r2", "index": 2,
         "label": "bad", "by": "someone"}],
    )  # fmt: skip
    wanted = Labelled(JUDGE, [0.9, 0.4, 0.9], [True, False, False], {})
    assert match_labels(verdicts, labels) == wanted
    assert match_labels([verdict(0), verdict(1, "bad", 0.4), verdict(2)],
                        {"r1": "good", 0: "good", "r2": "bad"}) == wanted  # fmt: skip


def test_labels_may_come_with_the_samples() -> None:
    rows = [
        verdict(0, metadata={"label": "good"}), verdict(1, metadata={}),
        verdict(2, metadata={"label": "bad"}),
    ]  # fmt: skip
    found = match_labels(rows)
    assert (found.right, found.left_out) == ([True, False], {"without a label": 1})
    with pytest.raises(ArgumentError, match=r"^labels must be given: none of the 1 ") as caught:
        match_labels([verdict(1)])
    assert caught.value.as_option.startswith("--labels must be given: ")


def test_what_the_gate_does_not_decide_is_left_out_and_counted() -> None:
    rows = [
        verdict(0), failed(1), abstained(2, Cause.TOPIC_SHIFT), abstained(3, Cause.BELOW_GATE),
        verdict(4, raw=None), abstained(5, Cause.ORDER_CONFLICT),
        verdict(6, None, None, status="invalid", error=Failure(Cause.UNPARSEABLE, "?")),
    ]  # fmt: skip
    found = match_labels(rows, dict.fromkeys(range(7), "good"))
    assert found.right == [True, True]
    assert found.left_out == {
        "failed or invalid": 2, "abstained whatever the gate": 2, "without a confidence": 1
    }  # fmt: skip


@pytest.mark.parametrize("label", [7, 7.0, "7"])
@pytest.mark.parametrize("value", [7, 7.0])
def test_scores_are_the_same_however_they_are_written(label: Any, value: Any) -> None:
    assert match_labels([verdict(0, value)], {0: label}).right == [True]


@pytest.mark.parametrize("label", ["A", "B", "A=B"])
def test_pairwise_labels_are_the_values(label: str) -> None:
    rows = [verdict(n, value) for n, value in enumerate(("A", "B", "A=B"))]
    assert sum(match_labels(rows, dict.fromkeys(range(3), label)).right) == 1


@pytest.mark.parametrize("folder", [False, True])
def test_tables_of_verdicts_are_read(tmp_path: Path, folder: bool) -> None:
    from plaudit.io.sinks import OrderedWriter

    rows = [verdict(0, 7, metadata={"label": 7}), failed(1), verdict(2, 3, 0.25)]
    out = tmp_path / "v.parquet"
    writer = OrderedWriter(f"{tmp_path / 'v'}/" if folder else out, None, 0)  # type: ignore
    for row in rows:
        writer.write(row.index, msgspec.json.encode(row))
    writer.commit()
    found = match_labels(tmp_path / "v" if folder else out, {0: 7, 1: 7, 2: "4"})
    assert found == Labelled(JUDGE, [0.9, 0.25], [True, False], {"failed or invalid": 1})
    assert match_labels(tmp_path / "v" if folder else out).right == [True]


# Labels of `plaudit view`.


def drawn(index: int, label: str | None, answer: str = "label", how: str = "random") -> Any:
    return {"run": "v.jsonl", "index": index, "id": f"r{index}", "label": label, "answer": answer,
            "annotator": "ada", "drawn": how}  # fmt: skip


def test_random_draws_without_a_label_are_wrong_and_active_ones_are_left_out(
    tmp_path: Path,
) -> None:
    labels = write_rows(
        tmp_path / "v.labels.jsonl",
        [drawn(0, "good"), drawn(1, None, "unsure"), drawn(2, None, "skipped"),
         drawn(3, "good", how="active"), drawn(4, None, "skipped", "active")],
    )  # fmt: skip
    found = match_labels([verdict(n) for n in range(6)], labels)
    assert found.right == [True, False, False]
    assert found.left_out == {
        "labelled by an active draw, which no promise may rest on": 2, "without a label": 3
    }  # fmt: skip
    assert match_labels([verdict(0), verdict(1)], {0: None, 1: "good"}).right == [False, True]


def test_a_sample_may_be_drawn_both_ways(tmp_path: Path) -> None:
    rows = [drawn(0, "good", how="active"), drawn(0, "good"), drawn(1, "good")]
    labels = write_rows(tmp_path / "l.jsonl", rows)
    assert match_labels([verdict(0), verdict(1)], labels).right == [True, True]


@pytest.mark.parametrize("row", [drawn(0, None), drawn(0, "good", "skipped")])
def test_a_row_has_a_label_or_says_why_not(tmp_path: Path, row: Any) -> None:
    labels = write_rows(tmp_path / "l.jsonl", [row])
    with pytest.raises(InputError, match=r"l\.jsonl:1: a row has a `label`, or an `answer`"):
        match_labels([verdict(0)], labels)


# What is refused.


def refused(verdicts: Any, labels: Any = None) -> str:
    with pytest.raises(InputError) as error:
        match_labels(verdicts, labels)
    return str(error.value)


def test_labels_of_other_samples_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    labels = write_rows(
        tmp_path / "l.jsonl",
        [{"id": "r0", "label": "good"}, {"id": "x", "label": "good"}, {"index": 9, "label": "b"}],
    )
    message = refused([verdict(0)], labels)
    assert "2 of 3 labels are of no sample that was judged" in message
    assert f"{labels}:2, id 'x'" in message
    assert "3 of 3" in refused([verdict(5)], labels)


def test_an_index_with_the_id_of_another_sample_is_of_no_sample(tmp_path: Path) -> None:
    labels = write_rows(tmp_path / "l.jsonl", [{"index": 0, "id": "r1", "label": "good"}])
    assert "index 0 and id 'r1'" in refused([verdict(0), verdict(1)], labels)


@pytest.mark.parametrize("second", [{"id": "r0", "label": "good"}, {"index": 0, "label": "bad"}])
def test_two_labels_for_one_sample_are_refused(tmp_path: Path, second: dict[str, Any]) -> None:
    labels = write_rows(tmp_path / "l.jsonl", [{"id": "r0", "label": "good"}, second])
    assert f"{labels}:2: a second label for the sample 'r0'" in refused([verdict(0)], labels)


def test_an_id_of_several_verdicts_needs_an_index() -> None:
    rows = [verdict(0, id="same"), verdict(1, id="same")]
    assert "several verdicts have the id 'same'; label by `index`" in refused(rows, {"same": "x"})
    assert match_labels(rows, {0: "good", 1: "bad"}).right == [True, False]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"id": "r0"}, "a row has a `label`, or an `answer` of unsure or skipped"),
        ({"label": "good"}, "give `id` or `index` with it"),
        ({"id": "r0", "label": ["good"]}, "not a label"),
        ({"index": "0", "label": "good"}, "not a label"),
    ],
)
def test_what_is_no_label_is_named_with_its_place(
    tmp_path: Path, row: dict[str, Any], why: str
) -> None:
    labels = write_rows(tmp_path / "l.jsonl", [{"id": "r1", "label": "good"}, row])
    message = refused([verdict(0), verdict(1)], labels)
    assert message.startswith(f"{labels}:2: ")
    assert why in message


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"query": "q", "answer": "a"}, "not a verdict as plaudit judge writes it"),
        (msgspec.to_builtins(verdict(0)) | {"fields": {"raw_confidence": 95}}, "in 0..1, not 95"),
        (msgspec.to_builtins(verdict(0)) | {"fields": "{"}, "no JSON object"),
    ],
)
def test_what_is_no_verdict_is_named_with_its_place(
    tmp_path: Path, row: dict[str, Any], why: str
) -> None:
    path = write_rows(tmp_path / "v.jsonl", [verdict(1), row])
    message = refused(path, {1: "good"})
    assert message.startswith(f"{path}:2: ")
    assert why in message


def test_a_broken_line_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.jsonl").write_text("{\n")
    assert f"{tmp_path / 'v.jsonl'}:1" in refused(tmp_path / "v.jsonl")
    assert "no such file" in refused([verdict(0)], tmp_path / "none.jsonl")
    assert "no verdicts" in refused([], {})


def test_verdicts_of_several_judges_are_refused() -> None:
    rows = [verdict(0), verdict(1), verdict(2, judge="feedback/ffffffffffff")]
    message = refused(rows, {0: "good"})
    assert f"2 of {JUDGE}, 1 of feedback/ffffffffffff" in message


def test_a_judge_without_confidence_is_refused() -> None:
    message = refused([verdict(0, raw=None), verdict(1, raw=None)], {0: "good"})
    assert "1 without a confidence, 1 without a label" in message
    assert "nothing to calibrate" in message


def test_labels_in_other_words_than_the_judges_are_refused() -> None:
    message = refused([verdict(0), verdict(1, "bad")], {0: "positive", 1: "negative"})
    assert "labels are 'negative', 'positive', values are 'bad', 'good'" in message


def test_labels_of_which_none_names_a_value_are_refused(tmp_path: Path) -> None:
    labels = write_rows(tmp_path / "l.jsonl", [drawn(0, None, "skipped"), drawn(1, None, "unsure")])
    message = refused([verdict(0), verdict(1)], labels)
    assert "no sample has a label: all were skipped, or people were unsure" in message
