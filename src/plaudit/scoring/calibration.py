"""A calibration: from a judge's raw confidence to the measured chance that it is right.

It is fitted once, in `plaudit.scoring.fitting`, and applied here without any further package.
"""

import math
from bisect import bisect_right
from pathlib import Path
from typing import Literal

import msgspec

from plaudit._util.decoding import decode_json
from plaudit.errors import InputError, StoreError, UsageError
from plaudit.scoring.cascade import GatePromise
from plaudit.scoring.stats import Estimate

_LARGE = 700.0
"""Whose exponential is still a number."""


class Platt(msgspec.Struct, frozen=True, kw_only=True):
    """Platt scaling (Platt 1999): `1 / (1 + exp(-(slope * logit(raw) + intercept)))`."""

    slope: float
    intercept: float
    samples: int
    """Labelled samples that it was fitted on."""

    def apply(self, raw: float) -> float:
        """Return the calibrated confidence of a raw one, both in 0..1."""
        score = max(self.slope * logit(raw) + self.intercept, -_LARGE)
        return 1 / (1 + math.exp(-score))


class Isotonic(msgspec.Struct, frozen=True, kw_only=True):
    """Isotonic regression as knots, with straight lines between them and level ends.

    The knots are the centres of the blocks that the regression pools, so that the map rises where
    a step function would stay level (centred isotonic regression, Oron and Flournoy 2017,
    doi:10.1080/19466315.2017.1286256).
    """

    raw: list[float]
    """Raw confidences, rising; at least one."""
    right: list[float]
    """The chance of being right at each, rising."""
    samples: int
    """Labelled samples that it was fitted on."""

    def __post_init__(self) -> None:
        """Refuse knots that are no rising map."""
        if not self.raw or len(self.raw) != len(self.right):
            raise ValueError("an isotonic map has as many 'raw' as 'right', one at least")
        for knots in (self.raw, self.right):
            if knots != sorted(knots) or not 0 <= knots[0] <= knots[-1] <= 1:
                raise ValueError("the knots of an isotonic map rise within 0..1")

    def apply(self, raw: float) -> float:
        """Return the calibrated confidence of a raw one, both in 0..1."""
        after = bisect_right(self.raw, raw)
        if after == 0:
            return self.right[0]
        if after == len(self.raw):
            return self.right[-1]
        low, high = self.raw[after - 1], self.raw[after]
        start, end = self.right[after - 1], self.right[after]
        return start + (end - start) * ((raw - low) / (high - low))


def logit(raw: float) -> float:
    """Return the log-odds of a confidence, which is kept away from 0 and 1 by a billionth."""
    clipped = min(max(raw, 1e-9), 1 - 1e-9)
    return math.log(clipped) - math.log1p(-clipped)


class Bin(msgspec.Struct, frozen=True):
    """Samples of a like confidence."""

    count: int
    confidence: float
    """Their mean confidence."""
    right: float
    """The share of them that is right."""


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """How far confidences are from the truth; lower is better for each of them."""

    ece: Estimate
    """Expected calibration error."""
    brier: Estimate
    log_loss: Estimate


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted calibration and what it is worth: the content of CAL.json.

    The labelled verdicts are split at random: the map is fitted on one part, and the gate and all
    measures come from the other, which the fit has not seen. Intervals hold with 95 %.
    """

    version: Literal[1] = 1
    judge: str
    """The only judge that it may be used with: `kind/fingerprint`, as verdicts carry it."""
    platt: Platt | None = None
    isotonic: Isotonic | None = None
    """The map is one of the two."""
    samples: int
    """Labelled verdicts that it is made of."""
    left_out: dict[str, int] = {}
    """Other verdicts, by the reason."""
    held_out: int
    """Those of them that the map was not fitted on."""
    fold_log_loss: dict[str, float]
    """Cross-validated log loss within the fitted part, by method; what the choice was made by.
    Empty where there were too few to choose."""
    accuracy: Estimate
    """Share of the held-out verdicts that is right."""
    auroc: Estimate | None
    """Chance that a right verdict has a higher raw confidence than a wrong one; 0.5: it shows
    nothing. None where all or none are right."""
    before: Scores
    after: Scores
    change: Scores
    """`after` less `before`, from the same resamples."""
    before_bins: list[Bin]
    after_bins: list[Bin]
    target: float
    """Agreement with the labels that the gate promises."""
    delta: float
    """Probability with which the promise may be broken."""
    gate: float | None
    """Least calibrated confidence of what is kept; None where no gate can promise the target."""
    reason: str
    """What the gate was found by, or why there is none."""
    kept: Estimate | None = None
    """Share of the held-out verdicts that the gate keeps."""
    agreement: Estimate | None = None
    """Share of those that is right."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what has no map, or two."""
        if (self.platt is None) == (self.isotonic is None):
            raise ValueError("a calibration has either 'platt' or 'isotonic'")

    @property
    def method(self) -> Literal["platt", "isotonic"]:
        """How the map was fitted."""
        return "isotonic" if self.platt is None else "platt"

    @property
    def kind(self) -> str:
        """The kind of the judge."""
        return self.judge.partition("/")[0]

    def apply(self, raw: float) -> float:
        """Return the chance that a verdict of a raw confidence is right, both in 0..1."""
        fitted = self.platt or self.isotonic
        assert fitted is not None  # see __post_init__
        return fitted.apply(raw)

    def promise_at(self, gate: float | None) -> GatePromise | None:
        """Return what a gate promises; None: nothing, as it is not the one that was measured."""
        if self.gate is None or gate != self.gate:
            return None
        return GatePromise(agreement=self.target, delta=self.delta)

    def check_judge(self, name: str, path: str) -> None:
        """Refuse the calibration of another judge.

        Args:
            name: of the judge that uses it.
            path: of the calibration, for the message.

        Raises:
            UsageError: it was made for another judge.
        """
        if self.judge != name:
            raise UsageError(
                f"{path} was made for the judge {self.judge}, and this one is {name}: another "
                "model, prompt, readout or sampling; calibrate this judge with plaudit calibrate"
            )

    def save(self, path: str | Path) -> None:
        """Write it as JSON.

        Raises:
            StoreError: the file cannot be written.
        """
        data = msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def load_calibration(path: str | Path) -> Calibration:
    """Read a calibration that `plaudit calibrate` wrote.

    Raises:
        InputError: the file cannot be read or holds no calibration.
    """
    try:
        return decode_json(Path(path).read_bytes(), Calibration)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is no calibration: {error}; make one with plaudit calibrate"
        ) from None
