"""The results of `bench` and `audit`: one versioned format, read by `report` and `compare`.

A folder of results holds `results.json`, which is one `BenchResults` or `AuditResults`, and for
each arm its judgements, a JSON object a line. Every figure has its own n. A figure that could not
be computed has no number: `value` is None, and `why` is the reason.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from plaudit.errors import InputError, StoreError
from plaudit.io.partial import write_json
from plaudit.scoring.calibration import Bin
from plaudit.types import Json

RESULTS = "results.json"

Method = Literal["wilson", "cluster", "delong", "bootstrap", "student", "none"]
"""How an interval was computed; `none`: there is no interval."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number with its interval of 95 %."""

    value: float | None
    """None: undefined, or measured on nothing."""
    low: float | None = None
    high: float | None = None
    n: int
    """Samples that the number is of."""
    clusters: int | None = None
    """Groups of dependent samples, such as the answers to one question; None: all independent."""
    method: Method = "none"
    why: str | None = None
    """Why there is no value, no interval, or one without a width."""


class JudgeCard(msgspec.Struct, frozen=True, kw_only=True):
    """Who judged: enough to say it again."""

    name: str
    """Short and unique among the judges of a result, such as `local` or `local, 3 shots`."""
    kind: str
    fingerprint: str = ""
    """Empty: recorded judgements of others."""
    engine: str = ""
    """URI without secrets; empty: no engine."""
    model: str = ""
    """Identity that the engine reports."""
    readout: str = ""
    template: str = ""
    """Name of the prompt template and the first digits of its digest."""
    shots: str = ""
    """How many, from which pool, selected how; empty: none."""
    options: dict[str, Json] = {}
    """Fields of the configuration that differ from the defaults."""


class OutcomeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the samples. Ties, invalid and failed ones are apart from wrong ones."""

    samples: int = 0
    right: int = 0
    wrong: int = 0
    ties: int = 0
    """`ok` verdicts for neither side, where the label names one."""
    unlabelled: int = 0
    """`ok` verdicts whose row has no label to compare with."""
    abstained: int = 0
    invalid: int = 0
    failed: int = 0
    causes: dict[str, int] = {}
    """By cause, what is not `ok`."""


class CoveragePoint(msgspec.Struct, frozen=True):
    """What a gate at one confidence would keep."""

    gate: float
    coverage: float
    """Share of all samples that is kept, in 0..1."""
    accuracy: float
    """Share of the kept ones that is right, in 0..1."""
    n: int
    """Samples kept."""


class Histogram(msgspec.Struct, frozen=True):
    """Counts in bins of equal width."""

    name: str
    """What is counted, such as `positive` or `negative`."""
    low: float
    high: float
    counts: list[int]


class SubsetResults(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one subset, or of all."""

    name: str
    """Empty: all samples."""
    counts: OutcomeCounts
    figures: dict[str, Figure]
    """By name; `FIGURES` says what each is. Undefined ones are left out, or have a `why`."""


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What an arm took. A rate a thousand samples is computed by what shows it."""

    samples: int = 0
    engine_calls: int = 0
    input_tokens: int = 0
    """Of all replies, also of those that came from the store."""
    output_tokens: int = 0
    cost_usd: float | None = None
    """None: unknown."""
    seconds: float | None = None
    """Of the run; None: nothing was asked. Says little where replies came from the store."""
    cached: int = 0
    """Samples answered from the store."""


class ArmResults(msgspec.Struct, frozen=True, kw_only=True):
    """One judge on one set."""

    judge: JudgeCard
    overall: SubsetResults
    subsets: list[SubsetResults] = []
    """In the order of the set."""
    score: Figure
    """What the set's authors publish as its score; `SetCard.score` says how it is computed."""
    reliability: list[Bin] = []
    """Bins of confidence; empty where the judge has no confidence."""
    coverage_curve: list[CoveragePoint] = []
    distributions: list[Histogram] = []
    """Scores, by label."""
    spending: Spending = Spending()
    run: str | None = None
    """Name of the run in the store."""
    outcomes: str | None = None
    """File of the judgements, in the folder of the results."""
    notes: list[str] = []


class SetCard(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on."""

    name: str
    title: str
    licence: str = ""
    source: str = ""
    """File or folder as it was given, or repository and revision."""
    digest: str = ""
    """Of the rows that were judged, as 16 hexadecimal digits."""
    score: str
    """How the published score is computed, in one sentence."""
    rows: int
    limit: int | None = None
    seed: int = 0
    left_out: dict[str, int] = {}
    """Rows that were not judged, by reason."""


class PairedDifference(msgspec.Struct, frozen=True, kw_only=True):
    """How far a figure of one judge is from that of another, on the samples that both have."""

    figure: str
    judge: str
    baseline: str
    """Names of the two; the difference is `judge` less `baseline`."""
    difference: Figure
    p: float | None
    """Two-sided."""
    p_holm: float | None
    """Corrected over all differences of the results (Holm 1979)."""


class BenchResults(msgspec.Struct, frozen=True, kw_only=True, tag="bench", tag_field="results"):
    """Judges measured against people on one set."""

    version: Literal[1] = 1
    plaudit: str
    """Version that wrote it."""
    set: SetCard
    arms: list[ArmResults]
    rejected: int = 0
    """Rows that no judge of the kind can read."""
    differences: list[PairedDifference] = []
    notes: list[str] = []


class AuditEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What one transformation does to a judge: a mean paired change, or a share that flips."""

    name: str
    family: Literal["bias", "noise"]
    title: str
    """What was changed, in a few words for a person."""
    change: Figure
    """bias: the mean paired change of `p_a` or of the expected reward, both in 0..1, towards what
    was favoured; abstentions are included. noise: the share of verdicts that flips."""
    p: float | None = None
    """Of an effect no larger than 0.05; None for noise."""
    p_holm: float | None = None
    found: bool = False
    """The interval, corrected for all effects of the audit, lies beyond 0.05."""
    smallest: float | None = None
    """The smallest effect that this audit would have found four times in five."""
    abstained: int = 0
    """Pairs in which a side has no verdict at all; they are not in `change`."""


class AttackExample(msgspec.Struct, frozen=True, kw_only=True):
    """One attack that worked. Hostile text: show it escaped."""

    id: str
    question: str
    answer: str
    verdict: str
    """Value and reward, in words."""


class AttackResult(msgspec.Struct, frozen=True, kw_only=True):
    """How often one attack makes a judge accept what is wrong."""

    name: str
    title: str
    success: Figure
    """Share of attacked items that were accepted, in 0..1."""
    baseline: Figure
    """The same for clean wrong answers."""
    refused: int = 0
    """Items that a guard refused before anything was asked."""
    undecided: int = 0
    """Items without a verdict: abstained, invalid or failed."""
    found: bool = False
    """The success is above the baseline beyond 0.05, corrected for all tests of the audit."""
    p_holm: float | None = None
    """Of a success that is at most 0.05 above its baseline."""
    smallest: float | None = None
    """The smallest rise above the baseline that this audit would have found four times in five."""
    examples: list[AttackExample] = []


class AuditResults(msgspec.Struct, frozen=True, kw_only=True, tag="audit", tag_field="results"):
    """A judge under transformations and attacks."""

    version: Literal[1] = 1
    plaudit: str
    judge: JudgeCard
    base: str
    """Where the items come from."""
    items: int
    seed: int = 0
    effects: list[AuditEffect] = []
    attacks: list[AttackResult] = []
    spending: Spending = Spending()
    run: str | None = None
    breaches: list[str] = []
    """Thresholds of `--fail-on` that were passed, each a sentence."""
    notes: list[str] = []


AnyResults = BenchResults | AuditResults

FIGURES: Mapping[str, str] = {
    "score": "published score",
    "accuracy": "right, of the ok verdicts with a label",
    "accuracy_of_all": "right, of all samples; whatever has no ok verdict counts as wrong",
    "forced_accuracy": "right side taken, also where the judge abstained; a tie counts half",
    "coverage": "ok, of all samples",
    "consistency": "same winner in both orders",
    "first_share": "first place won, of the single orders that name a winner; 0.5 is fair",
    "ece": "expected calibration error",
    "brier": "Brier score",
    "auroc": "chance that a positive sample scores above a negative one",
    "alpha": "agreement beyond chance, Krippendorff's alpha",
}
"""What each figure is, in a few words; figures of one set have the set's own names."""


def write_results(results: AnyResults, folder: Path) -> Path:
    """Write `results.json` into a folder that exists; return its path.

    Raises:
        StoreError: the file cannot be written.
    """
    path = folder / RESULTS
    write_json(path, results)
    return path


def read_results(path: str | Path) -> AnyResults:
    """Read results from their file or folder.

    Raises:
        InputError: there is no such file, it is another one, or of another version.
    """
    file = Path(path)
    file = file / RESULTS if file.is_dir() else file
    try:
        return msgspec.json.decode(file.read_bytes(), type=AnyResults)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; `plaudit bench -o DIR` writes one") from None
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(
            f"{file} holds no results of `plaudit bench` or `plaudit audit`: {error}"
        ) from None
