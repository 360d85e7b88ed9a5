"""Whether two expressions have the same value.

They are compared at points: two formulas that agree to 40 digits at random places are the same
formula (Schwartz 1980), and one place where they differ proves that they are not.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from plaudit.judges.answers.types.symbolic.affixes import DECIMALS
from plaudit.judges.answers.types.symbolic.parsing import real_root, sympy

_DIGITS = 50
_AGREEING = sympy.Float(10, _DIGITS) ** -40
_POSITIVE = ("1.3711", "2.7193", "0.6137", "3.1931")
_SIGNED = ("-1.3711", "0.7193", "-2.6137", "1.1931")
_EXACT_ENOUGH = 6
"""Decimals from which on a decimal number may stand for what it is the rounding of."""


class Slack(msgspec.Struct, frozen=True):
    """How far apart two values may be that are not the same."""

    tolerance: float
    rounding: float
    """Half a unit of the last decimal that is shown; 0: there are no decimals."""
    trusted: bool
    """Whether a rounding counts as the value that it was made of."""


EXACT = Slack(0.0, 0.0, trusted=False)


def slack_of(answer: str, reference: str, tolerance: float) -> Slack:
    """Return how far apart values may be, by the decimals that two formulas show."""
    shown = [max(map(len, DECIMALS.findall(text)), default=0) for text in (answer, reference)]
    fewest = min((digits for digits in shown if digits), default=0)
    rounding = 0.501 * 10.0**-fewest if fewest else 0.0
    return Slack(tolerance, rounding, trusted=fewest >= _EXACT_ENOUGH and 0 in shown)


def same_value(a: Any, b: Any, slack: Slack) -> bool | None:
    """Compare two expressions; None: neither equality nor a difference is proven."""
    a, b = done(a), done(b)
    if a == b:
        return True
    odd = (sympy.oo, -sympy.oo)
    if a in odd or b in odd:
        return False
    if a.has(sympy.nan, sympy.zoo) or b.has(sympy.nan, sympy.zoo):
        return None
    if a.is_Rational and b.is_Rational:
        return _near(a, b, slack)
    names = sorted(a.free_symbols | b.free_symbols, key=str)
    positive = _agree(a, b, names, _POSITIVE, slack)
    if not names or positive is not True:
        return positive
    signed = _agree(a, b, names, _SIGNED, slack)
    return True if signed is True or _agree_oddly(a, b) else None


def _agree_oddly(a: Any, b: Any) -> bool:
    """Compare what agrees where all variables are positive, and not everywhere or not known."""
    return bool((a - b).expand() == 0)


def done(found: Any) -> Any:
    """Carry out sums, derivatives and the like."""
    found = found.doit() if hasattr(found, "doit") else found
    plain = {f: sympy.Symbol(f"{f.func}_{f.args}", real=True) for f in _unknown_functions(found)}
    return found.xreplace(plain) if plain else found


def _unknown_functions(found: Any) -> set[Any]:
    return found.atoms(sympy.core.function.AppliedUndef)


def _agree(a: Any, b: Any, names: list[Any], values: Iterable[str], slack: Slack) -> bool | None:
    """Compare two formulas at points; None where no point gives both a value."""
    points = [sympy.Rational(value) for value in values]
    agreed: bool | None = None
    real = not (a.has(sympy.I) or b.has(sympy.I))
    for turn in range(len(points) if names else 1):
        point = {name: points[(turn + i) % len(points)] + i for i, name in enumerate(names)}
        at_a, at_b = _value(a, point), _value(b, point)
        if at_a is None or at_b is None:
            continue
        if real and not (at_a.is_real and at_b.is_real):
            if at_a.is_real or at_b.is_real:
                return None  # one of them has a value where the other has none
            continue
        near = _near(at_a, at_b, slack)
        if near is not True:
            return near
        agreed = True
    return agreed


def _value(formula: Any, point: dict[Any, Any]) -> Any:
    """Return the number that a formula is at a point, or None."""
    try:
        found = formula.subs(point)
        if not formula.has(sympy.I):
            found = found.xreplace({root: real_root(root) for root in found.atoms(sympy.Pow)})
        value = found.evalf(_DIGITS)
    except (ValueError, TypeError, ArithmeticError, NotImplementedError, AttributeError):
        return None
    return value if value.is_number and value.is_finite is not False and _plain(value) else None


def _plain(value: Any) -> bool:
    real, imaginary = value.as_real_imag()
    return bool(real.is_Number and imaginary.is_Number) and value is not sympy.nan


def _near(a: Any, b: Any, slack: Slack) -> bool | None:
    """Compare two numbers; None where one may be the other rounded."""
    apart, size = abs(a - b), max(abs(a), abs(b))
    exact = a.is_Rational and b.is_Rational
    if apart == 0 or (not exact and apart <= size * _AGREEING):
        return True
    if slack.tolerance and apart <= abs(a) * slack.tolerance:
        return True
    if apart > slack.rounding:
        return False
    return True if slack.trusted else None
