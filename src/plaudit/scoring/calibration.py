"""A calibration: from a judge's raw confidence to the measured chance that it is right."""

import math

import msgspec


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Platt scaling (Platt 1999): `1 / (1 + exp(-(slope * logit(raw) + intercept)))`."""

    slope: float
    intercept: float
    samples: int
    """Labelled samples that it was fitted on."""

    def apply(self, raw: float) -> float:
        """Return the calibrated confidence of a raw one, both in 0..1."""
        clipped = min(max(raw, 1e-9), 1 - 1e-9)
        logit = math.log(clipped) - math.log1p(-clipped)
        return 1 / (1 + math.exp(-(self.slope * logit + self.intercept)))
