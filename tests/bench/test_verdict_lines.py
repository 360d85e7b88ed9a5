"""Files of verdicts, read narrowly: the same outcomes as of whole verdicts, in every format."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plaudit import Judge
from plaudit.bench.outcomes import outcome_of, outcomes_of_file
from plaudit.errors import Cause, InputError, UsageError
from plaudit.types import Failure, Usage, Verdict
from tests.support.command import EXAMPLES, Here

MESSAGES = [{"role": "user", "content": "Name a prime. \U0001f600"}]
ORDERS = [{"value": "A", "p_a": 0.9, "more": [1]}, {"value": "B", "p_a": 0.2}]


def verdict(number: int, **fields: Any) -> Verdict:
    metadata = {"label": "A", "subset": "one", "votes": 3} | fields.pop("metadata", {})
    given = {"index": number, "id": f"p-{number}", "status": "ok", "judge": "pairwise/0"}
    return Verdict(**given | fields, metadata=metadata)


VERDICTS = [
    verdict(0, value="A", confidence=0.7, fields={"p_a": 0.6, "orders": ORDERS}),
    verdict(1, value="B", confidence=0.9, fields={"p_a": 0.1}, usage=Usage(300, 2)),
    verdict(2, value="A", input={"prompt": "Name a prime.", "response_a": "2", "response_b": "4"}),
    verdict(3, value="A", input={"prompt": MESSAGES}, metadata={"tags": {"item": 7}}),
    verdict(4, value="A", input={"conversation_A": MESSAGES, "conversation_B": MESSAGES}),
    verdict(5, value="A=B", metadata={"cluster": 12, "tags": ["a column of that name"]}),
    verdict(
        6, status="abstained", value="A", error=Failure(Cause.ORDER_CONFLICT, "why", 2),
        fields={"p_a": 0.5, "ballot": {"A": 1}},
    ),
    verdict(7, status="failed", error=Failure(Cause.TIMEOUT, "no reply")),
    verdict(8, value="B", metadata={"label": None, "subset": None}, probabilities={"A": 0.2}),
]  # fmt: skip
LINES = b"".join(msgspec.json.encode(one) + b"\n" for one in VERDICTS)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("name", ["lines.jsonl", "lines.jsonl.gz"])
def test_a_line_is_read_as_the_verdict_is(tmp_path: Path, name: str, hard: bool) -> None:
    path = write(tmp_path / name, LINES)
    wanted = [outcome_of("pairwise", one, hard=hard) for one in VERDICTS]
    assert list(outcomes_of_file(path, "pairwise", hard=hard)) == wanted
    assert list(outcomes_of_file(path, hard=hard)) == wanted  # The kind that verdicts name.


def test_samples_share_what_was_asked() -> None:
    clusters = [outcome_of("pairwise", one).cluster for one in VERDICTS]
    assert clusters[0] == clusters[1] == ""
    assert clusters[5] == "12"
    assert len({*clusters[2:6]}) == 4
    again = verdict(9, value="B", input={"prompt": "Name a prime.", "response_a": "3"})
    assert outcome_of("pairwise", again).cluster == clusters[2]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_what_judge_writes_is_read(tmp_path: Path, suffix: str) -> None:
    """The same of a table, whose objects are JSON text, as of the judge's own verdicts."""
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    rows, out = EXAMPLES / "verify.jsonl", tmp_path / f"verdicts.{suffix}"
    assert Here(tmp_path / "home")("judge", "verify", rows, "-o", out).status == 0
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    wanted = [outcome_of("verify", one) for one in Judge("verify").judge_batch(lines)]
    found = list(outcomes_of_file(out))
    assert found == wanted
    assert sum(one.agrees is True for one in found) == 37


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "not a verdict"),
        (b'{"id": "x"}', "missing required field `status`"),
        (b'{"id": "x", "status": "maybe"}', "Invalid enum value 'maybe'"),
        (b'{"id": "x", "status": "ok", "confidence": 7}', "<= 1"),
        (b'{"id": "x", "status": "ok", "fields": {"p_a": "much"}}', "got `str`"),
        (b'{"id": "\xff", "status": "ok"}', "not a verdict"),
        (b"[" * 100_000, "not a verdict"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: bytes, why: str) -> None:
    path = write(tmp_path / "bad.jsonl", LINES + line + b"\n")
    with pytest.raises(InputError, match=r"bad\.jsonl:10: ") as error:
        list(outcomes_of_file(path, "pairwise"))
    assert why in str(error.value)


def test_files_that_cannot_be_measured_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(outcomes_of_file(tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="is empty"):
        list(outcomes_of_file(write(tmp_path / "empty.jsonl", b"")))
    path = write(tmp_path / "other.jsonl", LINES.replace(b"pairwise/0", b"wise/0"))
    with pytest.raises(UsageError, match="not measured for the wise judge"):
        list(outcomes_of_file(path))
    with pytest.raises(InputError, match="'p-0' has the label 'A'; the verify judge's labels are"):
        list(outcomes_of_file(path, "verify"))
    unlabelled = write(tmp_path / "kind.jsonl", msgspec.json.encode(VERDICTS[8]))
    for kind in ("verify", "pointwise", "feedback"):
        with pytest.raises(InputError, match=f"has the value 'B', which no {kind} judge gives"):
            list(outcomes_of_file(unlabelled, kind))


def test_fields_of_no_judge_are_named() -> None:
    with pytest.raises(InputError, match=r"sample 'p-0': not a verdict of a judge: .*p_a"):
        outcome_of("pairwise", verdict(0, value="A", fields={"p_a": "much"}))
