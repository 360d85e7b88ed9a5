"""Recorded judgements of others, in small files in the forms of their tools."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plaudit.bench.datasets import load_dataset, place_sides
from plaudit.bench.outcomes import outcome_of
from plaudit.bench.recorded import RECORDINGS
from plaudit.bench.replays import replay
from plaudit.bench.results import ArmResults, BenchResults, read_results, write_results
from plaudit.errors import InputError, UsageError
from plaudit.types import Failure, Verdict


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_document(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2))
    return path


def arm_of(results: BenchResults) -> ArmResults:
    (arm,) = results.arms
    return arm


# JudgeBench

SOURCES = ("mmlu-pro-law", "livebench-reasoning", "livebench-math", "livecodebench")


def judgebench_pairs(count: int) -> list[dict[str, Any]]:
    return [
        {
            "pair_id": f"pair-{n}", "original_id": str(n), "source": SOURCES[n % 4],
            "question": f"What is {n} + 1?", "response_model": "gpt", "response_A": str(n + 1),
            "response_B": str(n), "label": "A>B" if n % 3 else "B>A",
        }
        for n in range(count)
    ]  # fmt: skip


def judged(pair: dict[str, Any], *decisions: str | None) -> dict[str, Any]:
    """A line of JudgeBench's outputs; None: the request failed, and the script wrote null."""
    judgments = [
        None if one is None else {"judgment": {"judge_model": "o9"}, "decision": one}
        for one in decisions
    ]
    return {**pair, "judge_name": "arena_hard", "judgments": judgments}


RIGHT, WRONG = {"A>B": "A>B", "B>A": "B>A"}, {"A>B": "B>A", "B>A": "A>B"}


def test_judgebench_follows_the_official_rule(tmp_path: Path) -> None:
    pairs = judgebench_pairs(16)
    cases = [  # What each order says, in its own places; and whether the pair counts as right.
        (RIGHT, WRONG, True),  # Both orders for the right response.
        (RIGHT, RIGHT, False),  # The first place, twice.
        (WRONG, RIGHT, False),
        (RIGHT, "A=B", True),
        ("A=B", WRONG, True),
        ("A=B", "A=B", False),
        (RIGHT, None, True),
        (None, WRONG, True),
        (None, RIGHT, False),
        (None, None, False),
        ("garbled", WRONG, True),
        ("garbled", "a > b", False),
        (WRONG, "A=B", False),
        (RIGHT, WRONG, True),
    ]
    recorded = [
        judged(pair, *(one[pair["label"]] if isinstance(one, dict) else one for one in said))
        for pair, (*said, _) in zip(pairs, cases, strict=False)
    ]
    data = write_lines(tmp_path / "data.jsonl", pairs)
    results = replay("judgebench", data, write_lines(tmp_path / "out.jsonl", recorded))
    arm = arm_of(results)
    right = sum(is_right for *_, is_right in cases)
    assert arm.score.value == right / len(cases)
    assert arm.score.n == len(cases)
    assert results.set.left_out == {"not in the recorded file": 2}
    assert results.set.rows == 14
    counts = arm.overall.counts
    assert (counts.samples, counts.right, counts.wrong, counts.ties) == (14, 4, 2, 1)
    assert (counts.abstained, counts.invalid) == (1, 6)
    assert counts.causes == {"order_conflict": 1, "unparseable": 6}
    assert arm.notes == [
        "2 of 14 rows without a verdict count as wrong",
        "4 of 14 rows have a decision in one order only; the other order counts as a vote "
        "for neither side",
        "1 of 14 rows that the judge abstained on count by what it leans to",
    ]
    assert arm.judge.name == "arena_hard, o9"
    assert arm.overall.figures.keys() >= {"Knowledge", "Reasoning", "Math", "Coding", "coverage"}
    assert [subset.name for subset in arm.subsets] == list(SOURCES)


def test_judgebench_can_be_recorded_with_one_order_and_scores(tmp_path: Path) -> None:
    pairs = judgebench_pairs(3)
    scored = {"judgment": {"judge_model": "rm", "scores": [2.5, 1.0]}, "decision": "A>B"}
    recorded = [{**pair, "judgments": [scored]} for pair in pairs]
    data = write_lines(tmp_path / "data.jsonl", pairs)
    arm = arm_of(replay("judgebench", data, write_lines(tmp_path / "out.jsonl", recorded)))
    assert arm.score.value == pytest.approx(2 / 3)
    assert arm.judge.name == "rm"
    assert "consistency" not in arm.overall.figures


def test_results_of_a_replay_are_results_as_any(tmp_path: Path) -> None:
    pairs = judgebench_pairs(40)
    recorded = [judged(pair, RIGHT[pair["label"]], WRONG[pair["label"]]) for pair in pairs]
    data = write_lines(tmp_path / "data.jsonl", pairs)
    results = replay("judgebench", data, write_lines(tmp_path / "out.jsonl", recorded))
    write_results(results, tmp_path)
    assert read_results(tmp_path) == results
    assert (results.set.name, results.set.licence, results.set.source) == (
        "judgebench", "MIT", str(data),
    )  # fmt: skip
    assert len(results.set.digest) == 16
    assert arm_of(results).score.low == pytest.approx(0.91, abs=0.01)


def test_what_was_recorded_again_or_for_other_rows_is_counted(tmp_path: Path) -> None:
    pairs = judgebench_pairs(3)
    recorded = [judged(pair, WRONG[pair["label"]], RIGHT[pair["label"]]) for pair in pairs]
    recorded += [judged(pair, RIGHT[pair["label"]], WRONG[pair["label"]]) for pair in pairs[:1]]
    data = write_lines(tmp_path / "data.jsonl", pairs[:2])
    arm = arm_of(replay("judgebench", data, write_lines(tmp_path / "out.jsonl", recorded)))
    assert arm.score.value == 0.5
    assert arm.notes == [
        "1 judgements were recorded again; the last one of a row counts",
        "1 recorded judgements are of no row of the set",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"judgments": []}, "'judgments' must be a list of one or two"),
        ({"judgments": "A>B"}, "'judgments' must be a list of one or two"),
        ({"judgments": None}, "the field 'judgments' is missing"),
        ({"pair_id": None}, "the field 'pair_id' is missing"),
    ],
)
def test_a_recorded_entry_of_another_form_is_named(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (pair,) = judgebench_pairs(1)
    entry = {**judged(pair, "A>B", "B>A"), **change}
    entry = {name: value for name, value in entry.items() if value is not None}
    data = write_lines(tmp_path / "data.jsonl", [pair])
    out = write_lines(tmp_path / "out.jsonl", [judged(pair, "A>B", "B>A"), entry])
    with pytest.raises(InputError) as caught:
        replay("judgebench", data, out)
    assert f"{out}:2: {said}; a recorded entry has pair_id and judgments" in str(caught.value)


# RewardBench

REWARDBENCH = [
    {"id": n, "prompt": f"Say {n}.", "chosen": f"{n}", "rejected": "no", "subset": subset}
    for subset, count in (("hep-go", 4), ("math-prm", 3), ("donotanswer", 2))
    for n in range(count)
]
SCORED = {
    "id": [row["id"] for row in REWARDBENCH],
    "subset": [row["subset"] for row in REWARDBENCH],
    "scores_chosen": [2.0, 1.0, 0.5, 3.0, 1.0, 0.0, 1.0, [5.0], [1.0]],
    "scores_rejected": [1.0, 2.0, 0.5, 1.0, 0.0, 1.0, 2.0, [1.0], [2.0]],
    "results": [1, 0, 0, 1, 1, 0, 0, 1, 0],
    "model": "owner/reward",
}


def test_rewardbench_scores_its_own_columns(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "filtered.jsonl", REWARDBENCH)
    arm = arm_of(replay("rewardbench", data, write_document(tmp_path / "scores.json", SCORED)))
    reasoning = (0.5 * 164 + (1 / 3) * 984) / (164 + 984)
    assert arm.overall.figures["Reasoning"].value == pytest.approx(reasoning)
    assert arm.score.value == pytest.approx((reasoning + 0.5) / 2)
    assert arm.judge.name == "owner/reward"


def test_rewardbench_can_be_recorded_by_rows_with_ties_and_without_results(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "filtered.jsonl", REWARDBENCH[:4])
    graded = [{"id": n, "subset": "hep-go", "results": r} for n, r in enumerate([1, 0, 0.5, None])]
    arm = arm_of(replay("rewardbench", data, write_lines(tmp_path / "graded.jsonl", graded)))
    assert arm.score.value == 0.5
    assert (arm.overall.counts.ties, arm.overall.counts.invalid) == (1, 1)
    columns = {name: column for name, column in SCORED.items() if name != "results"}
    arm = arm_of(replay("rewardbench", data, write_document(tmp_path / "scores.json", columns)))
    assert arm.score.value == 0.5
    assert arm.notes[-1] == "5 recorded judgements are of no row of the set"


def test_columns_of_different_lengths_are_refused(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "filtered.jsonl", REWARDBENCH)
    short = {**SCORED, "results": [1]}
    with pytest.raises(InputError, match=r"columns of different lengths: id 9, .* results 1"):
        replay("rewardbench", data, write_document(tmp_path / "scores.json", short))


def test_rewardbench2_scores_items_by_their_responses(tmp_path: Path) -> None:
    entries = [
        {"id": str(n), "prompt": f"{n}?", "chosen": ["yes"], "rejected": ["a", "b", "c"],
         "num_correct": 1, "subset": "Math"}
        for n in range(4)
    ]  # fmt: skip
    entries += [
        {"id": f"{kind}:1", "prompt": "Name one.", "chosen": ["x", "y"][:right],
         "rejected": ["p", "q", "r"], "num_correct": right, "subset": "Ties"}
        for kind, right in (("ref", 1), ("tied", 2))
    ]  # fmt: skip
    scores = [
        [3, 1, 2, 0],
        [3, 3, 2, 0],
        [1, 3, 2, 0],
        [3, 1, None, 0],
        [9, 1, 2, 3],
        [8, 7, 1, 2, 3],
    ]
    recorded = {
        "id": [e["id"] for e in entries], "subset": [e["subset"] for e in entries],
        "num_correct": [e["num_correct"] for e in entries], "scores": scores, "model": "rm",
    }  # fmt: skip
    data = write_lines(tmp_path / "test.jsonl", entries)
    arm = arm_of(replay("rewardbench2", data, write_document(tmp_path / "scores.json", recorded)))
    assert arm.overall.figures["Math"].value == pytest.approx((1 + 1 / 2 + 0 + 1 / 4) / 4)
    ties = arm.overall.figures["Ties"].value
    assert ties == pytest.approx(1 + 0.01 * 0.9951, abs=1e-4)
    assert arm.score.value == pytest.approx((1.75 / 4 + float(ties or 0)) / 2)


def test_rmbench_scores_three_by_three_styles(tmp_path: Path) -> None:
    entries = [
        {"id": f"{domain}/{n}", "prompt": f"{n}?", "chosen": ["a", "b", "c"],
         "rejected": ["d", "e", "f"], "domain": domain}
        for domain in ("chat", "code") for n in range(2)
    ]  # fmt: skip
    recorded = [
        {**entry, "score_chosen": chosen, "score_rejected": [[1.0], [2.0], [3.0]]}
        for entry, chosen in zip(
            entries, [[9, 9, 9], [0, 0, 0], [2, 3, 4], [1.5, 2, 9]], strict=True
        )
    ]
    data = write_document(tmp_path / "total_dataset.json", entries)
    arm = arm_of(replay("rmbench", data, write_document(tmp_path / "results.json", recorded)))
    figures = {name: figure.value for name, figure in arm.overall.figures.items()}
    assert figures["Chat"] == 0.5
    # Chosen [2, 3, 4] over rejected [1, 2, 3], and [1.5, 2, 9]: rows of wins 1, 2, 3 and 1, 1, 3.
    assert figures["easy"] == pytest.approx((0.5 + 1) / 2)
    assert figures["normal"] == pytest.approx((0.5 + (1 + 2 / 3) / 2) / 2)
    assert figures["hard"] == pytest.approx(0.25)
    assert arm.score.value == pytest.approx((figures["easy"] + figures["normal"] + 0.25) / 3)


# LLMBar and EvalBiasBench


def llmbar(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"input": f"Add {n}.", "output_1": "yes", "output_2": "no", "label": 1 + n % 2}
        for n in range(start, start + count)
    ]


def evaluated(entry: dict[str, Any], first: str | None, second: str | None) -> dict[str, Any]:
    last = {
        f"swap = {swap}": {"completion": ["Output (a)", ""], "winner": winner}
        for swap, winner in ((False, first), (True, second))
    }
    return {**entry, "results": [["a metric", "stop"], last]}


def test_llmbar_scores_evaluators_in_their_folders(tmp_path: Path) -> None:
    natural, manual = llmbar(4), llmbar(2, start=10)
    said = [("1", "1"), ("2", "1"), (None, "1"), ("2", None)]
    for folder, entries, winners in (
        ("Natural", natural, said), ("Adversarial/Manual", manual, said[:2]),
    ):  # fmt: skip
        write_document(tmp_path / folder / "dataset.json", entries)
        place = tmp_path / folder / "evaluators" / "GPT-4"
        results = [evaluated(e, *w) for e, w in zip(entries, winners, strict=True)]
        write_document(place / "CoT" / "result.json", results)
        write_document(place / "CoT" / "statistics.json", {"equal": "1 / 4"})
        write_document(place / "Swap" / "result.json", results)
    arm = arm_of(replay("llmbar", tmp_path, f"{tmp_path}/**/CoT/result.json"))
    # Labels 1, 2, 1, 2 and 1, 2; a decision that is missing is wrong.
    assert arm.score.value == pytest.approx((2 + 1 + 1 + 1 + 2 + 1) / 12)
    assert arm.overall.figures["both orders agree"].value == pytest.approx(2 / 6)
    assert arm.judge.name == "GPT-4/CoT"
    assert {s.name: s.counts.samples for s in arm.subsets} == {
        "adversarial_manual": 2, "natural": 4,
    }  # fmt: skip
    with pytest.raises(InputError, match=r"this row is in .*CoT.*: give the files of one judge"):
        replay("llmbar", tmp_path, tmp_path / "Natural" / "evaluators")


PUBLISHED = {  # Pairs; right in the first order, in the swapped one, in both; both the same.
    "GPT-4/Vanilla_NoRules": {
        "natural": (100, 92, 95, 92, 97),
        "adversarial_neighbor": (134, 87, 85, 79, 120),
        "adversarial_gptinst": (92, 71, 70, 66, 83),
        "adversarial_gptout": (47, 35, 37, 33, 41),
        "adversarial_manual": (46, 34, 35, 32, 41),
    },
    "GPT-4/Vanilla": {
        "natural": (100, 95, 96, 93, 95),
        "adversarial_neighbor": (134, 104, 107, 101, 125),
        "adversarial_gptinst": (92, 78, 81, 77, 87),
        "adversarial_gptout": (47, 35, 38, 35, 44),
        "adversarial_manual": (46, 35, 39, 33, 38),
    },
}
"""Counts that the authors publish beside their results (`statistics.json`, commit caa7bee7)."""


@pytest.mark.parametrize(
    ("judge", "score", "same"),
    [("GPT-4/Vanilla_NoRules", 76.5, 91.2), ("GPT-4/Vanilla", 84.5, 92.8)],
)
def test_published_figures_of_llmbar_come_out(
    tmp_path: Path, judge: str, score: float, same: float
) -> None:
    start = 0
    for subset, (pairs, first, swapped, both, equal) in PUBLISHED[judge].items():
        entries = llmbar(pairs, start)
        start += pairs
        counts = {"11": both, "10": first - both, "01": swapped - both}
        counts["00"] = pairs - sum(counts.values())
        assert counts["11"] + counts["00"] == equal
        kinds = [kind for kind, count in counts.items() for _ in range(count)]
        said = [
            evaluated(e, *(str(e["label"] if k == "1" else 3 - e["label"]) for k in kind))
            for e, kind in zip(entries, kinds, strict=True)
        ]
        write_document(tmp_path / "set" / f"{subset}.json", entries)
        write_document(tmp_path / "out" / subset / judge / "result.json", said)
    arm = arm_of(replay("llmbar", tmp_path / "set", tmp_path / "out"))
    assert round(100 * float(arm.score.value or 0), 1) == score
    figures = arm.overall.figures
    assert round(100 * float(figures["both orders agree"].value or 0), 1) == same
    expected = sum(of[3] for of in PUBLISHED[judge].values()) / start
    assert figures["both orders right"].value == pytest.approx(expected)
    assert arm.judge.name == judge


HOSTILE: list[Any] = [
    None, True, "text", 7, -1.5, 10**400, [], [[]], {}, ["A>B"], [{"decision": ["A>B"]}, 3],
    [{"judgment": "none", "decision": {}}, "B>A"], {"orig": 1, "swap": []}, [{"swap = False": 1}],
    [{"swap = False": "1", "swap = True": [2]}], [None, None, None], "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_entries_are_read_or_named(name: str, value: Any) -> None:
    fields = (
        "pair_id", "judgments", "id", "subset", "domain", "scores", "num_correct", "results",
        "scores_chosen", "scores_rejected", "score_chosen", "score_rejected", "input", "output_1",
        "output_2", "result",
    )  # fmt: skip
    whole = dict.fromkeys(fields, value)
    for data in (whole, {"length": [whole]}, {"length": value}):
        try:
            for _, judgement in RECORDINGS[name].read(data):
                leans = (judgement.lean, *(judgement.orders or ()))
                assert all(lean is None or isinstance(lean, float) for lean in leans)
        except InputError as error:
            assert str(error)


def test_biasbench_maps_the_swapped_order_back(tmp_path: Path) -> None:
    entries = [
        {"instruction": f"{n}?", "response1": "x", "response2": "y", "label": 1} for n in range(4)
    ]
    said = [(1, 2), (1, 1), (2, 1), (3, None)]
    results = [
        {**e, "result": {"orig": {"prediction": a, "is_correct": a == 1},
                         "swap": None if b is None else {"prediction": b}}}
        for e, (a, b) in zip(entries, said, strict=True)
    ]  # fmt: skip
    data = write_document(tmp_path / "biasbench.json", {"length": entries})
    out = write_document(tmp_path / "result.json", {"length": results})
    arm = arm_of(replay("biasbench", data, out))
    assert arm.score.value == pytest.approx((1 + 0.5 + 0 + 0.25) / 4)
    assert arm.overall.figures["both orders right"].value == 0.25


# Verdicts of plaudit


def verdict(row: dict[str, Any], value: str | None, **fields: Any) -> Verdict:
    p_a = {"A": 0.9, "B": 0.1}.get(str(value), 0.5)
    error = Failure("unparseable", "no choice in the reply") if value is None else None
    return Verdict(
        index=0, id=row["id"], value=value, status="ok" if value else "invalid",
        confidence=0.9 if value else None, fields={"p_a": p_a} if value else {}, error=error,
        **fields,
    )  # fmt: skip


def as_lines(path: Path, things: list[Any]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(thing) + b"\n" for thing in things))
    return path


def test_verdicts_are_set_beside_the_labels_of_the_set(tmp_path: Path) -> None:
    data = write_document(tmp_path / "natural.json", llmbar(3))
    rows = list(load_dataset("llmbar", data))
    values = ["A", "A", None]
    verdicts = [verdict(row, value) for row, value in zip(rows, values, strict=True)]
    verdicts.append(verdict({"id": "other"}, "A"))
    arm = arm_of(replay("llmbar", data, as_lines(tmp_path / "verdicts.jsonl", verdicts)))
    assert arm.score.value == pytest.approx(1 / 3)
    assert (arm.overall.counts.right, arm.overall.counts.wrong) == (1, 1)
    assert arm.overall.counts.causes == {"unparseable": 1}
    assert arm.notes[-1] == "1 verdicts are of no row of the set"
    assert [subset.name for subset in arm.subsets] == ["natural"]


def test_verdicts_on_pairs_that_were_turned_keep_their_own_label(tmp_path: Path) -> None:
    data = write_document(tmp_path / "natural.json", llmbar(8))
    rows = place_sides(list(load_dataset("llmbar", data)))
    assert any(row["turned"] for row in rows)
    kept = ("label", "subset", "turned")
    verdicts = [
        verdict(row, row["label"], metadata={name: row[name] for name in kept}) for row in rows
    ]
    out = as_lines(tmp_path / "verdicts.jsonl", verdicts)
    assert arm_of(replay("llmbar", data, out)).score.value == 1
    outcomes = [outcome_of("pairwise", one) for one in verdicts]
    written = arm_of(replay("llmbar", data, as_lines(tmp_path / "outcomes.jsonl", outcomes)))
    assert written.score.value == 1


def test_rows_that_share_an_id_keep_their_own_verdicts(tmp_path: Path) -> None:
    row = {"id": "q", "question": "who?", "answer": "Ann", "reference": ["Ann"], "label": "yes"}
    data = write_lines(tmp_path / "mine.jsonl", [row, {**row, "label": "no"}, row])
    said = [
        Verdict(index=n, id="q", status="ok", value=value)
        for n, value in enumerate(["correct", "correct", "incorrect"])
    ]
    arm = arm_of(replay("own", data, as_lines(tmp_path / "said.jsonl", said), kind="verify"))
    assert (arm.overall.counts.right, arm.overall.counts.wrong) == (1, 2)
    assert arm.notes == []


def test_verdicts_of_two_judges_are_refused(tmp_path: Path) -> None:
    row = {"id": "q", "question": "who?", "answer": "Ann", "reference": ["Ann"], "label": "yes"}
    data = write_lines(tmp_path / "mine.jsonl", [row])
    (tmp_path / "out").mkdir()
    for name in ("one", "two"):
        said = Verdict(index=0, id="q", status="ok", value="correct")
        as_lines(tmp_path / "out" / f"{name}.jsonl", [said])
    with pytest.raises(InputError, match="too: give the files of one judge"):
        replay("own", data, tmp_path / "out", kind="verify")


def test_pairs_with_one_prompt_are_a_cluster(tmp_path: Path) -> None:
    pairs = [pair | {"question": f"prompt {n % 15}"} for n, pair in enumerate(judgebench_pairs(30))]
    recorded = [judged(pair, RIGHT[pair["label"]], WRONG[pair["label"]]) for pair in pairs]
    data = write_lines(tmp_path / "data.jsonl", pairs)
    arm = arm_of(replay("judgebench", data, write_lines(tmp_path / "out.jsonl", recorded)))
    assert arm.overall.figures["accuracy"].clusters == 15


def test_sets_without_a_form_of_their_own_take_verdicts_alone(tmp_path: Path) -> None:
    row = {"id": "q1", "question": "who?", "answer": "Ann", "reference": ["Ann"], "label": "yes"}
    data = write_lines(tmp_path / "mine.jsonl", [row, {**row, "id": "q2", "label": None}])
    right = Verdict(index=0, id="q1", status="ok", value="correct", confidence=0.7)
    out = as_lines(tmp_path / "verdicts.jsonl", [right])
    results = replay("own", data, out, kind="verify")
    assert arm_of(results).score.value == 1
    assert results.set.left_out == {"no label": 1}
    with pytest.raises(InputError, match="holds no verdicts of plaudit, which is the only form"):
        replay("own", data, write_lines(tmp_path / "other.jsonl", [{"a": 1}]), kind="verify")


def test_bad_outputs_are_named(tmp_path: Path) -> None:
    pairs = judgebench_pairs(1)
    data = write_lines(tmp_path / "data.jsonl", pairs)
    with pytest.raises(InputError, match=r"nothing\.jsonl: no such file"):
        replay("judgebench", data, tmp_path / "nothing.jsonl")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none: no such file, and no recorded judgements"):
        replay("judgebench", data, tmp_path / "none")
    other = judged({**pairs[0], "pair_id": "else"}, "A>B", "B>A")
    with pytest.raises(InputError, match="has no judgement of a row of"):
        replay("judgebench", data, write_lines(tmp_path / "other.jsonl", [other]))
    with pytest.raises(UsageError, match="no data set 'judgesbench'"):
        replay("judgesbench", data, data)
    broken = tmp_path / "verdicts.jsonl"
    broken.write_text('{"index": 0, "id": "a", "status": "fine"}\n')
    with pytest.raises(InputError, match=r"verdicts\.jsonl:1: no verdict of plaudit: Invalid enum"):
        replay("judgebench", data, broken)
