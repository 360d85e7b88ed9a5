"""Whether two formulas stand for the same, in the process that can be killed.

math-verify has the last word where neither equality nor a difference is proven.
"""

import re
from importlib import import_module
from typing import Any

from plaudit.judges.answers.types.symbolic.affixes import ANY_INTEGER, without_affixes
from plaudit.judges.answers.types.symbolic.outcome import Outcome, Pair
from plaudit.judges.answers.types.symbolic.parsing import read, sympy
from plaudit.judges.answers.types.symbolic.reading import tidy
from plaudit.judges.answers.types.symbolic.shapes import is_equation, same
from plaudit.judges.answers.types.symbolic.values import EXACT, same_value, slack_of

_math_verify: Any = import_module("math_verify")

_DECIMAL = re.compile(r"-?\d*\.\d+")
_POINT = re.compile(r"(?<=\d),(?=\d)")
_COUNTERS = {sympy.Symbol(name, real=True) for name in "nkm"}
_CONSTANTS = {sympy.Symbol(name, real=True) for name in "Cc"}
_ANY = {sympy.Symbol("C", real=True)}
_HIDING = (sympy.sin, sympy.cos, sympy.tan, sympy.log)
_NO_BASE_OF_LOG = re.compile(r"\\log(?![a-z])(?! ?_)")


def warm_up() -> None:
    """Have the libraries make what they make once."""
    for text in (r"\frac{1}{2}", "x^2+2x+1", r"\sqrt{2}", r"(1,2]", r"\{1,2\}", "x=3", r"\sin(x)"):
        read(text)
    compare(Pair("(x+1)^2", "x^2+2x+1"))


def compare(pair: Pair) -> Outcome:
    """Compare an answer and a reference that are within the limits of size."""
    answer, reference = tidy(pair.answer), tidy(pair.reference)
    answer, reference = _as_shown(answer, reference), _as_shown(reference, answer)
    answer, reference, apart = without_affixes(answer, reference)
    if apart is not None:
        return Outcome("open", apart)
    a, b = (read(ANY_INTEGER.sub("", text)) for text in (answer, reference))
    if a is None or b is None:
        which = "answer" if a is None else "reference"
        return Outcome("open", f"the {which} cannot be read as a formula")
    a, b = _as_pair(a, b, reference), _as_pair(b, a, answer)
    slack = slack_of(answer, reference, pair.tolerance)
    found = _same_antiderivative(b, a) or same(b, a, slack)
    if found is None:
        found = _verified(b, a)
    if found is False and _all_integers(answer, reference):
        found = True if _counts_alike(answer, reference) else None
    if found is False and _may_be_meant_alike(answer, reference):
        found = None
    match found:
        case None:
            return Outcome("open", "not known to be equal as formulas")
        case True:
            return Outcome("equal", "equal as formulas")
        case False:
            return Outcome("different", "different as formulas")


def _has_constant(found: Any) -> bool:
    return isinstance(found, sympy.Add) and bool(_CONSTANTS & set(found.args))


def _same_antiderivative(a: Any, b: Any) -> bool | None:
    """Whether two formulas, each plus any constant C, are one; sines or logarithms may hide it."""
    if is_equation(a) and is_equation(b) and a.lhs == b.lhs:
        a, b = a.rhs, b.rhs
    if not (_has_constant(a) and _has_constant(b)) or not (a.free_symbols | b.free_symbols) & _ANY:
        return None
    a, b = (one.xreplace(dict.fromkeys(_CONSTANTS, sympy.S.Zero)) for one in (a, b))
    names = a.free_symbols
    if a.has(*_HIDING) and len(names) == 1:
        a, b = a.diff(*names), b.diff(*names)
    return True if same_value(a, b, EXACT) else None


def _as_shown(text: str, other: str) -> str:
    """Take what stands before an "about" sign, or after it where the other is a decimal too."""
    exact, about, rounded = (part.strip() for part in text.partition(r"\approx"))
    if not about or r"\approx" in rounded:
        return text
    decimal = _DECIMAL.fullmatch(other.rpartition(r"\approx")[2].strip())
    return rounded if decimal and _DECIMAL.fullmatch(rounded) else exact or text


def _as_pair(found: Any, other: Any, text: str) -> Any:
    """Read (1, 2) as two values where the other text lists two without brackets."""
    listed = isinstance(other, sympy.FiniteSet) and r"\{" not in text
    if listed and isinstance(found, sympy.Interval) and found.left_open and found.right_open:
        return sympy.Tuple(found.start, found.end)
    return found


def _may_be_meant_alike(answer: str, reference: str) -> bool:
    """Whether all solutions may be written in two ways, or log may be the natural logarithm."""
    if _POINT.sub(".", answer) == _POINT.sub(".", reference) or _counts_alike(answer, reference):
        return True
    if not (_NO_BASE_OF_LOG.search(answer) or _NO_BASE_OF_LOG.search(reference)):
        return False
    a, b = (read(_NO_BASE_OF_LOG.sub(r"\\ln", text)) for text in (answer, reference))
    return a is not None and b is not None and same(b, a, slack_of(answer, reference, 0)) is True


def _all_integers(answer: str, reference: str) -> bool:
    """Whether both say that a name stands for any integer."""
    return bool(ANY_INTEGER.search(answer) and ANY_INTEGER.search(reference))


def _counts_alike(answer: str, reference: str) -> bool:
    """Whether two formulas for many solutions are one, but for the name of what counts them."""
    a, b = (read(ANY_INTEGER.sub("", text)) for text in (answer, reference))
    names = [one.free_symbols & _COUNTERS for one in (a, b)]
    if not all(len(name) == 1 for name in names) or names[0] == names[1]:
        return False
    renamed = a.xreplace({names[0].pop(): names[1].pop()})
    return same(b, renamed, EXACT) is True


def _verified(reference: Any, answer: Any) -> bool | None:
    """Ask math-verify, whose no is only that it found no equality.

    It takes the right side of any equation, so 2 = 3 would be 3, and a pair for a set.
    """
    both = (reference, answer)
    if any(is_equation(one) and not one.free_symbols for one in both):
        return None
    if sum(isinstance(one, sympy.Tuple) for one in both) == 1:
        return None
    equal = _math_verify.verify(
        reference, answer, float_rounding=12, strict=True, timeout_seconds=None
    )
    return True if equal else None
