"""A calibration: from a judge's raw confidence to the measured chance that it is right."""

import math
from functools import cache
from importlib import resources

import msgspec


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Platt scaling (Platt 1999): `1 / (1 + exp(-(slope * logit(raw) + intercept)))`."""

    fingerprint: str
    """The judge that it was measured for; it holds for no other."""
    slope: float
    intercept: float
    samples: int
    """Labelled samples that it was fitted on."""
    source: str = ""
    """What the samples were."""

    def apply(self, raw: float) -> float:
        """Return the calibrated confidence of a raw one, both in 0..1."""
        clipped = min(max(raw, 1e-9), 1 - 1e-9)
        logit = math.log(clipped) - math.log1p(-clipped)
        return 1 / (1 + math.exp(-(self.slope * logit + self.intercept)))

    @staticmethod
    def shipped(fingerprint: str) -> "Calibration | None":
        """Return the calibration that ships for a judge, or None."""
        return _shipped().get(fingerprint)


@cache
def _shipped() -> dict[str, Calibration]:
    path = resources.files("plaudit.scoring") / "calibrations.json"
    found = msgspec.json.decode(path.read_bytes(), type=list[Calibration])
    return {calibration.fingerprint: calibration for calibration in found}
