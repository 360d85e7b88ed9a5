"""Whether two objects of the computer algebra system stand for the same.

Each shape, such as a set or an equation, is compared by its parts, down to values.
"""

from collections.abc import Callable, Iterable
from typing import Any

from plaudit.judges.answers.types.symbolic.parsing import as_set, in_order, sympy
from plaudit.judges.answers.types.symbolic.values import EXACT, Slack, done, same_value


def same(a: Any, b: Any, slack: Slack) -> bool | None:
    """Compare two objects by their shapes; None: neither is proven.

    Args:
        a: of the reference.
        b: of the answer.
        slack: how far apart values may be.
    """
    a, b = _unwrapped(a, b)
    for kind, compared in _SHAPES:
        if isinstance(a, kind) and isinstance(b, kind):
            return compared(a, b, slack)
    for kind, compared in _MIXED:
        if isinstance(a, kind):
            return compared(a, b, slack)
        if isinstance(b, kind):
            return compared(b, a, slack)
    return None


def _unwrapped(a: Any, b: Any) -> tuple[Any, Any]:
    """Leave `x =` out where one of the two has none, and `x` is in a set the set."""
    a, b = _solutions(a), _solutions(b)
    if isinstance(a, _RELATION) and isinstance(b, _RELATION):
        return a, b
    if is_equation(a) != is_equation(b):
        a = a.rhs if is_equation(a) and _names_a_value(a) else a
        b = b.rhs if is_equation(b) and b.free_symbols else b
    return a, b


def is_equation(found: Any) -> bool:
    """Whether an object is one equation."""
    return isinstance(found, sympy.Eq)


def _names_a_value(equation: Any) -> bool:
    """Whether an equation says what a name or a function stands for."""
    left = equation.lhs
    named = isinstance(left, sympy.Symbol) or _is_unknown(left)
    return (named or isinstance(left, sympy.Tuple)) and not (
        isinstance(left, sympy.Symbol) and left in equation.rhs.free_symbols
    )


def _is_unknown(left: Any) -> bool:
    """Whether an object is a function of something, and no number such as the sine of 1."""
    return bool(getattr(left, "is_Function", False)) and (
        bool(left.free_symbols) or isinstance(left, sympy.core.function.AppliedUndef)
    )


def _is_identity(equation: Any) -> bool:
    """Whether an equation holds for all values, as 2 + 2 = 4 does and x = 3 does not."""
    if _names_a_value(equation) or not isinstance(equation.rhs, sympy.Expr):
        return False
    return same_value(equation.lhs, equation.rhs, EXACT) is True


def _solutions(found: Any) -> Any:
    """Make `x in A` the set A, and `x = 1, x = 2` the set of both values."""
    if is_equation(found) and isinstance(found.rhs, sympy.Set):
        if isinstance(found.lhs, sympy.Tuple):
            return found
        return found.rhs
    if is_equation(found) and isinstance(found.lhs, sympy.Expr) and _is_identity(found):
        return found.rhs
    if isinstance(found, sympy.FiniteSet):
        parts = in_order(found)
        named = [part for part in parts if is_equation(part) and _names_a_value(part)]
        if len(parts) == 1 and isinstance(parts[0], (sympy.Tuple, sympy.Interval)):
            return parts[0]
        if len(named) == len(parts) and len({part.lhs for part in named}) == 1:
            return sympy.FiniteSet(*[part.rhs for part in parts])
    return found


# Shapes


def _all(results: Iterable[bool | None]) -> bool | None:
    """Combine the comparisons of parts: one that differs decides."""
    found = list(results)
    if False in found:
        return False
    return None if None in found else True


def _same_parts(a: Iterable[Any], b: Iterable[Any], slack: Slack) -> bool | None:
    first, second = list(a), list(b)
    if len(first) != len(second):
        return False
    return _all(same(x, y, slack) for x, y in zip(first, second, strict=True))


def _same_tuple(a: Any, b: Any, slack: Slack) -> bool | None:
    return _same_parts(a.args, b.args, slack)


def _same_finite(a: Any, b: Any, slack: Slack) -> bool | None:
    """Compare two finite sets: each element of one with each of the other."""
    left = list(b.args)
    unsure = len(a.args) == len(left)
    for element in a.args:
        results = [same(element, other, slack) for other in left]
        if True in results:
            left.pop(results.index(True))
        elif None in results:
            return None
        else:
            return False if unsure or not a.args else _same_without_doubles(a, b, slack)
    return not left or _same_without_doubles(a, b, slack)


def _same_without_doubles(a: Any, b: Any, slack: Slack) -> bool | None:
    """Compare two sets in which a value may stand twice, written in two ways."""
    one, two = _simplest(a), _simplest(b)
    if (one, two) == (a, b) or len(one.args) != len(two.args):
        return False
    return _same_finite(one, two, slack)


def _simplest(found: Any) -> Any:
    return sympy.FiniteSet(*[sympy.nsimplify(done(part)) for part in found.args])


def _same_matrix(a: Any, b: Any, slack: Slack) -> bool | None:
    if a.shape != b.shape:
        return None if sorted(a.shape) == sorted(b.shape) and 1 in a.shape else False
    return _same_parts(a.flat(), b.flat(), slack)


def _same_interval(a: Any, b: Any, slack: Slack) -> bool | None:
    if (a.left_open, a.right_open) != (b.left_open, b.right_open):
        return False
    return _same_parts((a.start, a.end), (b.start, b.end), slack)


def _same_set(a: Any, b: Any, slack: Slack) -> bool | None:
    a, b = a.doit(), b.doit()
    if a == b:
        return True
    unions = isinstance(a, sympy.Union) and isinstance(b, sympy.Union)
    if unions and len(a.args) == len(b.args) and _same_finite(a, b, slack):
        return True
    try:
        empty = a.symmetric_difference(b).is_empty
    except (NotImplementedError, TypeError, ValueError):
        return None
    return True if empty else _apart_as_text(a, b)


def _apart_as_text(a: Any, b: Any) -> bool | None:
    """Look for a number that is in one of two sets alone."""
    ends = a.atoms(sympy.Number) | b.atoms(sympy.Number)
    numbers = {sympy.S.Zero} | {end for end in ends if end.is_finite}
    step = sympy.Rational(1, 7)
    for number in sorted(numbers | {n + step for n in numbers} | {n - step for n in numbers}):
        if {a.contains(number), b.contains(number)} == {sympy.true, sympy.false}:
            return False
    return None


def _same_equation(a: Any, b: Any, slack: Slack) -> bool | None:
    """Compare two equations: what they name, or their sides up to a factor."""
    if _names_a_value(a) and _names_a_value(b):
        if a.lhs == b.lhs:
            return same(a.rhs, b.rhs, slack)
        if not (a.rhs.free_symbols or b.rhs.free_symbols):
            return False
    try:
        one, two = a.lhs - a.rhs, b.lhs - b.rhs
    except TypeError:
        return None
    return _same_up_to_a_factor(one, two)


def _same_up_to_a_factor(one: Any, two: Any) -> bool | None:
    """Whether two polynomials vanish at the same places (Hilbert's Nullstellensatz)."""
    one, two = (sympy.numer(sympy.together(done(side))) for side in (one, two))
    names = sorted(one.free_symbols | two.free_symbols, key=str)
    if one.free_symbols != two.free_symbols:
        return False if names else None
    if not names or not (one.is_polynomial(*names) and two.is_polynomial(*names)):
        return None
    roots = [sympy.Poly(side, *names, extension=True).sqf_part().monic() for side in (one, two)]
    return bool(roots[0] == roots[1])


def _same_relation(a: Any, b: Any, slack: Slack) -> bool | None:
    """Compare two inequalities: as sets where there is one variable, else as they stand."""
    if a.free_symbols != b.free_symbols:
        return False
    if isinstance(a, _INEQUALITY) and isinstance(b, _INEQUALITY) and len(a.free_symbols) > 1:
        return _same_inequality(a, b)
    if len(a.free_symbols) == 1:
        one, two = as_set(a), as_set(b)
        if one is not None and two is not None:
            return _same_set(one, two, slack)
    return None


def _same_inequality(a: Any, b: Any) -> bool | None:
    """Compare two inequalities of several variables: what is above zero, up to a factor."""
    factor = sympy.cancel((a.gts - a.lts) / (b.gts - b.lts))
    if not factor.is_number:
        return None
    strict = isinstance(a, _STRICT) == isinstance(b, _STRICT)
    return bool(factor.is_positive and strict)


# Shapes of two kinds


def _set_and_other(found: Any, other: Any, slack: Slack) -> bool | None:
    """Compare a set with what is no set: its one element, or the set of a relation."""
    if isinstance(other, _RELATION) and not is_equation(other):
        made = as_set(other)
        return None if made is None else _same_set(found, made, slack)
    if isinstance(other, sympy.Tuple):
        return _listed(found, other, slack)
    if isinstance(found, sympy.FiniteSet) and isinstance(other, sympy.Expr):
        return same(found.args[0], other, slack) if len(found.args) == 1 else False
    return False if isinstance(other, sympy.Expr) else None


def _listed(found: Any, other: Any, slack: Slack) -> bool | None:
    """Compare a list without brackets with a tuple.

    Values with names, as in x = 1, y = 2, stand in the order of the names, or as they were written.
    """
    if not isinstance(found, sympy.FiniteSet):
        return False
    parts = in_order(found)
    if all(isinstance(part, (sympy.Tuple, sympy.Interval)) for part in parts):
        return False
    if not all(map(is_equation, parts)):
        return True if _same_parts(parts, other.args, slack) else None
    by_name = sorted(parts, key=lambda part: str(part.lhs))
    ordered = _same_parts([part.rhs for part in by_name], other.args, slack)
    if {str(part.lhs) for part in parts} <= {"x", "y", "z"}:
        return ordered
    written = _same_parts([part.rhs for part in parts], other.args, slack)
    return ordered if ordered == written else None


def _tuple_and_other(found: Any, other: Any, slack: Slack) -> bool | None:
    if isinstance(other, sympy.MatrixBase) and 1 in other.shape:
        return _same_parts(found.args, other.flat(), slack)
    return False if isinstance(other, sympy.Expr) else None


def _relation_and_other(found: Any, other: Any, slack: Slack) -> bool | None:
    """An inequality is no value; what an equation with several variables is worth is not known."""
    return False if isinstance(other, sympy.Expr) and not is_equation(found) else None


_Compared = Callable[[Any, Any, Slack], bool | None]
_STRICT: Any = (sympy.StrictGreaterThan, sympy.StrictLessThan)
_INEQUALITY: Any = (*_STRICT, sympy.GreaterThan, sympy.LessThan)
_RELATION: Any = (sympy.core.relational.Relational, sympy.And, sympy.Or, sympy.Not)
_SHAPES: tuple[tuple[Any, _Compared], ...] = (
    (sympy.MatrixBase, _same_matrix),
    (sympy.Tuple, _same_tuple),
    (sympy.FiniteSet, _same_finite),
    (sympy.Interval, _same_interval),
    (sympy.Set, _same_set),
    (sympy.Eq, _same_equation),
    (_RELATION, _same_relation),
    (sympy.Expr, same_value),
)
_MIXED: tuple[tuple[Any, _Compared], ...] = (
    (sympy.Set, _set_and_other),
    (sympy.Tuple, _tuple_and_other),
    (_RELATION, _relation_and_other),
)
