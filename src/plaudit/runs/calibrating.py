"""From verdicts and labels to a calibration: what the command and Python have in common."""

from plaudit.runs.labels import Labels, Verdicts, match_labels
from plaudit.scoring.calibration import Calibration
from plaudit.scoring.fitting import Promise, fit


def fit_calibration(
    verdicts: Verdicts,
    labels: Labels | None = None,
    *,
    target: float = 0.8,
    delta: float = 0.05,
    seed: int = 0,
) -> Calibration:
    """Fit a calibration of a judge from its verdicts and the labels of people.

    ::

        verdicts = judge.judge_batch(rows)
        calibration = fit_calibration(verdicts, {row["id"]: row["label"] for row in rows})
        calibration.save("cal.json")
        Judge("feedback", calibration="cal.json")

    Args:
        verdicts: of one judge: a file that `plaudit judge` wrote, or what a `Judge` returned.
        labels: a file of rows with `label` and `id` or `index`, or a mapping from id or index to
            label; None: the labels that the judged rows had.
        target: agreement with the labels that the gate is to promise.
        delta: probability with which the promise may be broken.
        seed: of the split, the folds and the resamples; the same seed gives the same calibration.

    Raises:
        InputError: verdicts and labels do not match, or are too few.
        UsageError: target, delta or seed are out of range.
        MissingDependencyError: the extra `stats` is not installed.
    """
    promise = Promise(target=target, delta=delta, seed=seed)
    promise.check()
    found = match_labels(verdicts, labels)
    return fit(found.judge, found.raw, found.right, promise, found.left_out)
