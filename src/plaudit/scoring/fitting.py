"""Fitting a calibration, with scikit-learn."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from plaudit._util.options import Help
from plaudit._util.packages import load_package
from plaudit._util.ranges import WHOLE_64, Range, check_ranges
from plaudit.errors import InputError
from plaudit.scoring import stats
from plaudit.scoring.calibration import Bin, Calibration, Isotonic, Platt, Scores, logit
from plaudit.scoring.gate import Gate, find_gate, threshold_sequence
from plaudit.scoring.stats import Estimate

LEAST_SAMPLES = 50
"""Labelled verdicts that a calibration is made of, at least."""
_FITTED = 1 / 3
"""Share of them that the map is fitted on. The gate needs more samples than the map does: with a
half for each it kept less, with a fifth for the map hardly more."""
_FOLDS = 5
_SHARE = Range(0, 1, above=True, below=True)
_NO_PENALTY = 1e6
"""Next to none: it only decides where all confidences are the same, and then for a slope of 0."""


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate is to promise, and the seed of everything random on the way."""

    target: Annotated[
        float, _SHARE, Help("Agreement with the labels that the gate promises.", metavar="P")
    ] = 0.8
    delta: Annotated[
        float, _SHARE, Help("Probability with which it may break its promise.", metavar="P")
    ] = 0.05
    seed: Annotated[
        int, Range(0, WHOLE_64), Help("Seed of the split, the folds and the resamples.")
    ] = 0

    def __post_init__(self) -> None:
        """Check what can be promised.

        Raises:
            ArgumentError: a number is out of range.
        """
        check_ranges(self)


def fit(
    judge: str,
    raw: Sequence[float],
    right: Sequence[bool],
    promise: Promise,
    left_out: Mapping[str, int] | None = None,
) -> Calibration:
    """Fit a calibration and measure it.

    Args:
        judge: `kind/fingerprint`.
        raw: the raw confidence of each labelled verdict.
        right: whether it agrees with its label.
        promise: what the gate is to promise.
        left_out: verdicts that could not be used, by the reason; for the record.

    Raises:
        InputError: there are too few verdicts.
        MissingDependencyError: the extra `stats` is not installed.
    """
    if len(raw) < LEAST_SAMPLES:
        others = "".join(f"; {count} {reason}" for reason, count in (left_out or {}).items())
        raise InputError(
            f"{len(raw)} labelled verdicts are too few to calibrate a judge on{others}; "
            f"label {LEAST_SAMPLES} at least, better some hundreds"
        )
    found = fit_and_test(raw, right, promise)
    return Calibration(
        judge=judge,
        platt=found.map if isinstance(found.map, Platt) else None,
        isotonic=found.map if isinstance(found.map, Isotonic) else None,
        samples=len(raw),
        left_out=dict(left_out or {}),
        held_out=len(found.raw),
        fold_log_loss=found.losses,
        target=promise.target,
        delta=promise.delta,
        seed=promise.seed,
        **_measures(found, promise.seed),
        **_gate_fields(found.gate, len(found.raw), promise),
    )


class Fitted(NamedTuple):
    """A map, and the samples that it was not fitted on."""

    map: Platt | Isotonic
    losses: dict[str, float]
    raw: Any
    """Array of raw confidences, held out."""
    confidence: Any
    """Those as the map makes them."""
    right: Any
    gate: Gate


def fit_and_test(raw: Sequence[float], right: Sequence[bool], promise: Promise) -> Fitted:
    """Fit the map on a part of the samples and find the gate on the others; see `fit`."""
    np = load_package("numpy", "stats")
    order = np.random.default_rng(promise.seed).permutation(len(raw))
    known, held = np.split(order, [round(len(raw) * _FITTED)])
    sure, good = np.asarray(raw, float), np.asarray(right, bool)
    fitted, losses = fit_map(sure[known], good[known], promise.seed)
    sequence = threshold_sequence(
        _applied(fitted, sure[known]), good[known], len(held), promise.target
    )
    confidence = _applied(fitted, sure[held])
    gate = find_gate(sequence, confidence, good[held], promise.target, promise.delta)
    return Fitted(fitted, losses, sure[held], confidence, good[held], gate)


def _applied(fitted: Platt | Isotonic, raw: Any) -> Any:
    """Apply a map as a judge will: to the last bit, since the gate compares with `>=`."""
    return load_package("numpy", "stats").array([fitted.apply(x) for x in raw.tolist()])


# The map.


def fit_map(raw: Any, right: Any, seed: int) -> tuple[Platt | Isotonic, dict[str, float]]:
    """Fit both maps and return the one with the lower cross-validated log loss.

    Args:
        raw: array of raw confidences.
        right: array of whether each is right.
        seed: of the folds, which are stratified.

    Returns:
        The map, and the log loss by method: empty where fewer than two are right or wrong, so
        that there are no folds, and only Platt's two numbers can be fitted.
    """
    folds = min(_FOLDS, int(right.sum()), int((~right).sum()))
    losses = {} if folds < 2 else _fold_losses(raw, right, folds, seed)
    method = min(losses, key=losses.__getitem__, default="platt")
    return _METHODS[method](raw, right), losses


def _fold_losses(raw: Any, right: Any, folds: int, seed: int) -> dict[str, float]:
    np = load_package("numpy", "stats")
    splitter = load_package("sklearn.model_selection", "stats").StratifiedKFold(
        folds, shuffle=True, random_state=seed % 2**32
    )
    said = {method: np.empty(len(raw)) for method in _METHODS}
    for known, held in splitter.split(raw, right):
        for method, make in _METHODS.items():
            fitted = make(raw[known], right[known])
            said[method][held] = _applied(fitted, raw[held])
    return {method: stats.log_loss(chances, right) for method, chances in said.items()}


def _fit_platt(raw: Any, right: Any) -> Platt:
    """Fit by maximum likelihood against Platt's targets, which are a little under 1 and over 0.

    A sample counts as right with the weight of its target and as wrong with the rest: so the fit
    is finite where all are right, or where a threshold separates right from wrong.
    """
    np = load_package("numpy", "stats")
    many, few = int(right.sum()), int((~right).sum())
    weight = np.where(right, (many + 1) / (many + 2), 1 / (few + 2))
    scores = np.array([logit(x) for x in raw.tolist()])
    model = load_package("sklearn.linear_model", "stats").LogisticRegression(
        C=_NO_PENALTY, solver="newton-cholesky", tol=1e-8
    )
    model.fit(
        np.concatenate([scores, scores]).reshape(-1, 1),
        np.repeat([True, False], len(scores)),
        sample_weight=np.concatenate([weight, 1 - weight]),
    )
    return Platt(
        slope=float(model.coef_[0, 0]), intercept=float(model.intercept_[0]), samples=len(raw)
    )


def _fit_isotonic(raw: Any, right: Any) -> Isotonic:
    """Fit, and keep the chances away from 0 and 1 as far as the number of samples allows."""
    np = load_package("numpy", "stats")
    edge = 1 / (len(raw) + 2)
    model = load_package("sklearn.isotonic", "stats").IsotonicRegression(y_min=edge, y_max=1 - edge)
    chances = model.fit_transform(raw, right)
    levels, block = np.unique(chances, return_inverse=True)
    centres = np.bincount(block, raw) / np.bincount(block)
    return Isotonic(raw=centres.tolist(), right=levels.tolist(), samples=len(raw))


_METHODS: Mapping[str, Callable[[Any, Any], Platt | Isotonic]] = {
    "platt": _fit_platt,
    "isotonic": _fit_isotonic,
}


# What it is worth.


_LOSSES = {"ece": stats.ece, "brier": stats.brier, "log_loss": stats.log_loss}


def _measures(found: Fitted, seed: int) -> dict[str, Any]:
    """Return the fields of a calibration that say how good the confidences are."""
    held = (found.raw, found.confidence, found.right)
    estimates = stats.bootstrap(_measure, *held, seed=seed)
    auroc = estimates["auroc"]
    return {
        "accuracy": stats.proportion(int(found.right.sum()), len(found.right)),
        "auroc": None if math.isnan(auroc.value) else stats.within(auroc),
        "before": _scores(estimates, "before", 0.0),
        "after": _scores(estimates, "after", 0.0),
        "change": _scores(estimates, "change", -math.inf),
        "before_bins": [Bin(*one) for one in stats.reliability(found.raw, found.right)],
        "after_bins": [Bin(*one) for one in stats.reliability(found.confidence, found.right)],
    }


def _measure(before: Any, after: Any, right: Any) -> dict[str, float]:
    numbers = {"auroc": stats.auroc(before, right)}
    for name, loss in _LOSSES.items():
        was, now = loss(before, right), loss(after, right)
        numbers |= {f"{name} before": was, f"{name} after": now, f"{name} change": now - was}
    return numbers


def _scores(estimates: Mapping[str, Estimate], when: str, least: float) -> Scores:
    return Scores(
        **{name: stats.within(estimates[f"{name} {when}"], least, math.inf) for name in _LOSSES}
    )


def _gate_fields(gate: Gate, size: int, promise: Promise) -> dict[str, Any]:
    wanted = f"{promise.target:.0%} with probability {1 - promise.delta:g}"
    counts = f"{gate.right} of the {gate.kept} held-out verdicts from {gate.tried:.3f} up"
    if gate.threshold is None:
        reason = (
            f"no gate can promise an agreement of {wanted}: {counts} are right, which so good a "
            f"judge has with a probability of {gate.p_value:.2g}"
        )
        return {"gate": None, "reason": reason}
    reason = f"promises an agreement of {wanted}: {counts} are right (p = {gate.p_value:.2g})"
    return {
        "gate": gate.threshold,
        "reason": reason,
        "kept": stats.proportion(gate.kept, size),
        "agreement": stats.proportion(gate.right, gate.kept),
    }
