"""How well one model judges, and what each step of plaudit adds, on published human labels.

    scripts/bench judge_quality --data DIR [--engine local] [--limit 200] [--write]
                                [--sets NAME...] [--arms NAME...]

DIR holds the published files in the folders `llmbar`, `pandalm`, `biasbench` and `evouna`; what is
not there is left out, and said. The feedback set is the repository's own. Pairs are placed so that
the better response is first in one half of them (`place_sides`). The `verify` judge decides most
answers without the engine, partly by a head that was fitted on EVOUNA's NQ: what is measured there
is the engine on the rest (`EVOUNA NQ, asked`), and `answer_head` cross-validates the head.

The arms build on each other:

- greedy: one request, the prompt's built-in shots, no prior removed, and of the reply the value
  alone, as greedy decoding would have said it;
- distribution: the same request, read as a distribution: the expectation and a confidence;
- both orders: pairs are asked in both orders, and their log-odds averaged;
- drawn shots: shots from the shipped pool, the same for all samples, in place of the built-in ones:
  what selection has to be measured against. Four; for feedback 21, three for each label, as many as
  are built in;
- selected shots: as many, those most like the sample;
- calibration: the confidence mapped to the measured chance of being right. The samples are halved
  by a seed, and each half is mapped by what was fitted on the other.

Every figure has an interval, and every arm its paired difference to the one before it. For
an arm that asks one order, consistency is measured by asking about the pairs turned over; its
tokens do not count that. Replies are kept in build/bench, so that a second run asks nothing.
"""

import argparse
import hashlib
import importlib.util
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from throughput import machine

from plaudit import Judge, JudgeConfig, PlauditError, Verdict
from plaudit.bench.columns import STATISTICS
from plaudit.bench.datasets import LabelledRows, Row, load_dataset, place_sides, turn_over
from plaudit.bench.figures import measure_outcomes, paired_differences
from plaudit.bench.outcomes import RowOutcome, outcome_of
from plaudit.bench.results import Figure, OutcomeCounts

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "judge_quality.json"
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
STORE = ROOT / "build" / "bench" / "judge_quality.sqlite"
BEGIN, END = "<!-- figures: written by scripts/bench judge_quality --write -->", "<!-- /figures -->"
KINDS = ("feedback", "pairwise", "verify")
SHOTS = {"feedback": 21}
"""Shots of the arms that take them from the pool; 4 for the other kinds."""
_ASKED = ("model", None)
"""What decided the answers that a model was asked about; None: its reply was of no use."""


class Arm(NamedTuple):
    """One way to judge: what it changes of a judge's configuration, and how it is read."""

    name: str
    config: Mapping[str, Any]
    hard: bool = False
    """Take the value alone; see `outcome_of`."""
    calibrated: bool = False
    kinds: tuple[str, ...] = KINDS

    def config_of(self, kind: str) -> Mapping[str, Any]:
        """Return the configuration for a kind of judge, with as many shots as show its options."""
        shots = {"shots": SHOTS.get(kind, 4)} if "select" in self.config else {}
        return {**self.config, **shots}


class Labelled(NamedTuple):
    """A labelled set, as this benchmark takes it."""

    name: str
    kind: str
    load: Callable[[Path], "LabelledRows | list[Row]"]
    most: int | None = None
    """Rows that are drawn from it where no limit is given; None: all."""


def arms() -> tuple[Arm, ...]:
    """Return the arms, each a step further than the one before."""
    greedy: dict[str, Any] = {"swap": False, "prior": "none"}
    distribution = {"swap": False, "readout": "logprob"}
    both = {"readout": "logprob"}
    drawn = both | {"select": "fixed"}
    similar = both | {"select": "similar"}
    return (
        Arm("greedy", greedy, hard=True),
        Arm("distribution", distribution),
        Arm("both orders", both, kinds=("pairwise",)),
        Arm("drawn shots", drawn),
        Arm("selected shots", similar),
        Arm("calibration", similar, calibrated=True),
    )


def own_feedback(_: Path) -> list[Row]:
    """Read the labelled feedback turns of the repository that nothing was fitted on."""
    blind = sorted((ROOT / "benchmarks" / "data").glob("feedback_blind_*.jsonl"))
    rows: list[Row] = []
    for path in (ROOT / "examples" / "feedback.jsonl", *blind):
        found = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
        rows += [row | {"subset": path.stem.removeprefix("feedback_")} for row in found]
    return rows


SETS = (
    Labelled("LLMBar natural", "pairwise", lambda d: _llmbar(d, natural=True)),
    Labelled("LLMBar adversarial", "pairwise", lambda d: _llmbar(d, natural=False)),
    Labelled("PandaLM", "pairwise", lambda d: load_dataset("pandalm", d / "pandalm"), most=400),
    Labelled("EvalBiasBench", "pairwise", lambda d: load_dataset("biasbench", d / "biasbench")),
    Labelled("EVOUNA NQ", "verify", lambda d: load_dataset("evouna", d / "evouna"), most=600),
    Labelled("feedback", "feedback", own_feedback),
)


def _llmbar(data: Path, natural: bool) -> list[Row]:
    rows = load_dataset("llmbar", data / "llmbar")
    return [row for row in rows if (row["subset"] == "natural") == natural]


def draw(rows: Sequence[Row], limit: int | None, seed: int) -> list[Row]:
    """Draw rows without replacement, and keep their order."""
    if limit is None or limit >= len(rows):
        return list(rows)
    places = random.Random(seed).sample(range(len(rows)), limit)
    return [rows[place] for place in sorted(places)]


# ------------------------------------------------------------------ judging


def judged(arm: Arm, kind: str, rows: Sequence[Row], options: argparse.Namespace) -> list[Verdict]:
    """Judge rows as an arm does."""
    judge = Judge(kind, engine=options.engine, cache=options.store, **arm.config_of(kind))
    try:
        return judge.judge_batch(rows, progress=sys.stderr.isatty())
    finally:
        judge.close()


def outcomes(arm: Arm, kind: str, rows: Sequence[Row], options: argparse.Namespace) -> "Seen":
    """Judge rows, and set the verdicts beside their labels."""
    verdicts = judged(arm, kind, rows, options)
    seen = [
        msgspec.structs.replace(outcome_of(kind, verdict, hard=arm.hard), cluster=cluster(row))
        for verdict, row in zip(verdicts, rows, strict=True)
    ]
    if kind == "pairwise" and not arm.config.get("swap", True):
        turned = judged(arm, kind, [turn_over(row) for row in rows], options)
        mirrored = [outcome_of(kind, verdict, hard=arm.hard) for verdict in turned]
        seen = [
            msgspec.structs.replace(one, consistent=same_winner(one, other))
            for one, other in zip(seen, mirrored, strict=True)
        ]
    if arm.calibrated:
        seen = calibrated(seen, verdicts, options.seed)
    return Seen(seen, [verdict.fields.get("decided_by") for verdict in verdicts])


class Seen(NamedTuple):
    """The outcomes of one arm, and what decided each (`verify`: a type, a guard, head or model)."""

    outcomes: list[RowOutcome]
    decided_by: list[str | None]


def cluster(row: Row) -> str:
    """Name what a row shares with others: its question or prompt."""
    text = row.get("question") or row.get("prompt")
    return hashlib.blake2b(str(text).encode(), digest_size=8).hexdigest() if text else ""


def same_winner(one: RowOutcome, turned: RowOutcome) -> bool | None:
    """Tell whether a pair and the same pair turned over have the same winner."""
    if one.score is None or turned.score is None:
        return None
    return (one.score > 0.5) == (turned.score < 0.5) and (one.score < 0.5) == (turned.score > 0.5)


def calibrated(
    seen: Sequence[RowOutcome], verdicts: Sequence[Verdict], seed: int
) -> list[RowOutcome]:
    """Map each half's raw confidence by what was fitted on the other half."""
    names = sorted({one.cluster or one.id for one in seen})
    first = set(random.Random(seed).sample(names, len(names) // 2))
    raw = [verdict.fields.get("raw_confidence") for verdict in verdicts]
    mapped = list(seen)
    for inside in (True, False):
        fitted_on = [
            (sure, one.agrees)
            for one, sure in zip(seen, raw, strict=True)
            if ((one.cluster or one.id) in first) == inside and sure is not None
        ]
        calibration = fit([s for s, _ in fitted_on], [bool(a) for _, a in fitted_on], seed)
        for place, (one, sure) in enumerate(zip(seen, raw, strict=True)):
            if ((one.cluster or one.id) in first) != inside and sure is not None:
                mapped[place] = msgspec.structs.replace(one, confidence=calibration.apply(sure))
    return mapped


def fit(raw: Sequence[float], right: Sequence[bool], seed: int) -> Any:
    """Return the map that `plaudit calibrate` would fit, on all of these samples."""
    import numpy as np

    from plaudit.scoring.fitting import fit_map

    return fit_map(np.array(raw), np.array(right), seed)[0]


# ------------------------------------------------------------------ measuring


def missing(arm: Arm) -> str | None:
    """Say what an arm needs that this version of plaudit does not have, or None."""
    unknown = sorted(arm.config.keys() - set(JudgeConfig.__struct_fields__))
    if unknown:
        return f"judges have no option {unknown[0]!r}"
    fitting = importlib.util.find_spec("plaudit.scoring.fitting")
    return "no calibration can be fitted" if arm.calibrated and fitting is None else None


def measured(labelled: Labelled, rows: list[Row], options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all arms on one set; for `verify` also of what the model decided."""
    found: dict[str, Seen] = {}
    skipped: dict[str, str] = {}
    for arm in arms():
        if labelled.kind not in arm.kinds or (options.arms and arm.name not in options.arms):
            continue
        reason = missing(arm)
        if reason is None:
            try:
                found[arm.name] = outcomes(arm, labelled.kind, rows, options)
            except PlauditError as error:
                reason = str(error)
        if reason:
            skipped[arm.name] = reason
        print(f"{labelled.name}, {arm.name}: {reason or 'done'}", file=sys.stderr)
    whole = {name: seen.outcomes for name, seen in found.items()}
    views = {labelled.name: whole}
    if labelled.kind == "verify":
        views[f"{labelled.name}, asked"] = {
            name: [o for o, by in zip(*seen, strict=True) if by in _ASKED]
            for name, seen in found.items()
        }
    labels = {row["id"]: str(row["label"]) for row in rows}
    return {
        name: {
            "kind": labelled.kind,
            "always_the_same": always_the_same(view, labels),
            "arms": figures(view, options),
            "skipped": skipped,
        }
        for name, view in views.items()
        if any(view.values())
    }


def always_the_same(
    found: Mapping[str, Sequence[RowOutcome]], labels: Mapping[str, str]
) -> float | None:
    """Return how often a judge would be right that always says the same; ties left out."""
    ids = {one.id for seen in found.values() for one in seen}
    reported = Counter(labels[name] for name in ids if labels[name] != "A=B")
    return round(max(reported.values()) / reported.total(), 4) if reported else None


def figures(
    found: Mapping[str, Sequence[RowOutcome]], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Return each arm's figures, and its differences to the arm before it."""
    report: dict[str, dict[str, Any]] = {}
    before: Sequence[RowOutcome] | None = None
    for name, seen in found.items():
        own = measure_outcomes(seen, seed=options.seed).overall
        report[name] = statuses(own.counts) | {
            "figures": {figure: plain(own.figures.get(figure)) for figure in STATISTICS}
            | {"tokens": [round(sum(one.tokens for one in seen) / len(seen), 4)]},
            "by_group": by_group(seen),
        }
        if before is not None:
            arms = {"before": before, name: seen}
            more = paired_differences(arms, figures=(*STATISTICS,), seed=options.seed)
            report[name]["more_than_the_arm_before"] = {
                one.figure: plain(one.difference) for one in more
            }
        before = seen
    return report


def statuses(counts: OutcomeCounts) -> dict[str, int]:
    """Return how many samples have each status."""
    other = {name: getattr(counts, name) for name in ("abstained", "invalid", "failed")}
    ok = counts.samples - sum(other.values())
    return {"samples": counts.samples, "ok": ok, **other}


def by_group(seen: Sequence[RowOutcome]) -> dict[str, dict[str, Any]]:
    """Return forced accuracy by subset or system, without intervals."""
    credits: dict[str, list[float]] = {}
    for one in seen:
        if one.credit is not None:
            credits.setdefault(one.group, []).append(one.credit)
    return {
        name: {"samples": len(some), "forced_accuracy": round(sum(some) / len(some), 4)}
        for name, some in sorted(credits.items())
    }


def plain(figure: Figure | None) -> list[float | None] | None:
    """Return a figure as [value, low, high], rounded; None where it has no value."""
    if figure is None or figure.value is None:
        return None
    numbers = (figure.value, figure.low, figure.high)
    return [None if number is None else round(number, 4) for number in numbers]


# ------------------------------------------------------------------ the table

COLUMNS = {
    "forced_accuracy": "accuracy, forced",
    "coverage": "ok",
    "accuracy": "accuracy of ok",
    "consistency": "same in both orders",
    "ece": "ECE",
    "auroc": "AUROC",
    "tokens": "tokens",
}
PAIRED = ("forced_accuracy", "consistency", "ece", "auroc")


def markdown(report: Mapping[str, Any]) -> str:
    """Return the tables that docs/reference/benchmarks.md shows."""
    lines = [
        f"Engine `{report['engine']}`, seed {report['seed']}. In brackets 95 % intervals; a figure "
        "with a sign is the difference to the arm above.",
        "",
    ]
    for name, found in report["sets"].items():
        lines += [*_table(name, found), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    size = max((arm["samples"] for arm in found["arms"].values()), default=0)
    yield f"### {name}"
    yield ""
    same = found["always_the_same"]
    beside = (
        "" if same is None else f" To say always the same would be right on {same:.2f} of them."
    )
    yield f"{size:,} samples for the {found['kind']} judge.{beside}"
    yield ""
    yield f"| arm | {' | '.join(COLUMNS.values())} |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for arm, line in found["arms"].items():
        yield f"| {arm} | {' | '.join(_cell(line, metric) for metric in COLUMNS)} |"
    for arm, reason in found["skipped"].items():
        yield f"| {arm} | not run: {reason} |" + " |" * (len(COLUMNS) - 1)


def _cell(line: Mapping[str, Any], metric: str) -> str:
    own = line["figures"][metric]
    if own is None:
        return ""
    if metric == "tokens":
        return f"{own[0]:,.0f}"
    if metric not in PAIRED:
        return f"{own[0]:.2f}"
    more = line.get("more_than_the_arm_before", {}).get(metric)
    if more is None:
        return _with_interval(own, "")
    return f"{own[0]:.3f}<br>{_with_interval(more, '+')}"


def _with_interval(figure: Sequence[float | None], sign: str) -> str:
    value, low, high = figure
    if low is None or high is None:
        return f"{value:{sign}.3f}"
    return f"{value:{sign}.3f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def into_page(page: str, table: str) -> str:
    """Return the page with the table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table}\n{END}{after}"


# ------------------------------------------------------------------ the command


def main() -> None:
    """Measure, print the tables, and the figures as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the published sets")
    parser.add_argument("--engine", default="local")
    parser.add_argument("--sets", nargs="*", choices=[s.name for s in SETS], metavar="NAME")
    parser.add_argument("--arms", nargs="*", choices=[a.name for a in arms()], metavar="NAME")
    parser.add_argument("--limit", type=int, help="rows of each set, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0, help="of all draws and placements")
    parser.add_argument("--store", type=Path, default=STORE, help="where replies are kept")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name} and the docs")
    options = parser.parse_args()
    options.store.parent.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"engine": options.engine, "seed": options.seed, "sets": {}}
    for labelled in SETS:
        if options.sets and labelled.name not in options.sets:
            continue
        try:
            source = labelled.load(options.data)
            rows = draw(list(source), options.limit or labelled.most, options.seed)
        except PlauditError as error:
            print(f"{labelled.name}: left out: {error}", file=sys.stderr)
            continue
        if labelled.kind == "pairwise":
            rows = place_sides(rows, options.seed)
        found = measured(labelled, rows, options)
        for one in found.values():
            one["left_out"] = dict(getattr(source, "left_out", {}))
        report["sets"] |= found
    report["machine"] = machine()
    if not options.json:
        print(markdown(report))
    print(json.dumps(report))
    if options.write:
        RESULTS.write_text(json.dumps(report, indent=1) + "\n")
        PAGE.write_text(into_page(PAGE.read_text(encoding="utf-8"), markdown(report)))


if __name__ == "__main__":
    main()
