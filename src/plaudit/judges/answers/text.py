"""Equality of answers by rule: normalised text, numbers, and formulas. Nothing is ever executed."""

import ast
import random
import re
import unicodedata
import warnings
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation, localcontext
from fractions import Fraction

from plaudit.judges.answers.base import AnswerCase, Comparison

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_NOT_TEXT = re.compile(r"[^\w\s]|_")
_SIGN = re.compile(
    r"[^\w\s.,;:?!'\"()\u2010-\u201d\u2026-]|_"  # what is not prose: + * / ^ < = # ...
    r"|(?<!\w\w)-(?!\w\w)"  # a minus, and not the hyphen of a word
    r"|(?<!\w\w)['!](?!\w\w)"  # a derivative or a factorial, and not O'Brien or an exclamation
)
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[+-]?\.\d+")
_SCIENTIFIC = re.compile(r"([+-]?\d+(?:\.\d+)?)(?:[eE]|\s*[x\u00d7*]\s*10\s*\^\s*)([+-]?\d{1,3})")
_FRACTION = re.compile(r"([+-]?\d+)\s*/\s*(\d+)|\\d?frac\{([+-]?\d+)\}\{(\d+)\}")
_ASSIGNED = re.compile(r"[A-Za-z]\s*=\s*(?=[^=])")
_BOXED = re.compile(r"\\boxed\{(.*)\}", re.DOTALL)
_FORMULA = re.compile(r"(?:[^\W_]|[-+*/^(). ])+")
_SUPERSCRIPT = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b"
_RAISED = re.compile(f"[{_SUPERSCRIPT}]+")
_LOWERED = str.maketrans(_SUPERSCRIPT, "0123456789+-")
_CURRENCY = "$\u20ac\u00a3\u00a5"
_MAX_LENGTH = 200
_DIGITS = 100
_MAX_BITS = 50_000
_POINTS = 8


def equal(answer: str, reference: str) -> str | None:
    """Return how two answers are equal (`text`, `number`, `formula`), or None."""
    names = {_assigned(answer), _assigned(reference)} - {""}
    if len(names) > 1:
        return None  # values of two things, x = 3 and y = 3
    answer, reference = _unwrap(answer), _unwrap(reference)
    if max(len(answer), len(reference)) > _MAX_LENGTH:
        return "text" if answer.strip() == reference.strip() else None
    a, b = number(answer), number(reference)
    if a is not None and b is not None:
        return "number" if a == b else None
    if same_text(answer, reference):
        return "text"
    return "formula" if same_formula(answer, reference) else None


def normalise(text: str) -> str:
    """Fold case, width, accents' encoding, punctuation, English articles and white space."""
    folded = _fold_width(text).casefold()
    return " ".join(_ARTICLE.sub(" ", _NOT_TEXT.sub(" ", folded)).split())


def _fold_width(text: str) -> str:
    """Normalise the encoding; what is raised stays a power, for 5\u00b2 is not 52."""
    powers = _RAISED.sub(lambda raised: "^" + raised[0].translate(_LOWERED), text)
    return unicodedata.normalize("NFKC", powers)


def same_text(answer: str, reference: str) -> bool:
    """Whether texts are equal: as words where both are words; signs count where a digit is."""
    if any(c.isdigit() for c in answer + reference) or _SIGN.search(f"{answer}\n{reference}"):
        plain = _spaceless(reference)
        return bool(plain) and _spaceless(answer) == plain
    normal = normalise(reference)
    return bool(normal) and normalise(answer) == normal


def _spaceless(text: str) -> str:
    folded = _fold_width(text).casefold()
    return " ".join(folded.strip().rstrip(".").split())


def _unwrap(text: str) -> str:
    """Take what stands in a box, between dollar signs, or behind `x =`."""
    text = _fold_width(text).strip()
    boxed = _BOXED.fullmatch(text.strip("$ "))
    if boxed:
        text = boxed[1]
    if len(text) > 1 and text[0] == "$" == text[-1]:
        text = text.strip("$")
    match = _ASSIGNED.match(text)
    return text[match.end() :].strip() if match else text.strip()


def _assigned(text: str) -> str:
    """Return the name before the equals sign of a text such as `x = 3`, else nothing."""
    match = _ASSIGNED.match(text.strip("$ "))
    return match[0][0] if match else ""


def number(text: str) -> Fraction | None:
    """Read a text that is one plain number, exactly; None for anything else.

    Understands thousands separators (1,200), fractions (1/2), percent (50% is 1/2), scientific
    notation, a currency sign, and a full stop at the end.
    """
    text = text.strip().rstrip(".").replace("\u2212", "-").strip()
    if text[:1] and text[:1] in _CURRENCY:
        text = text[1:].lstrip()
    percent = text.endswith("%") or text.endswith("\\%")
    text = text.rstrip("%\\").strip()
    value = _plain_number(text)
    return value / 100 if percent and value is not None else value


def _plain_number(text: str) -> Fraction | None:
    if len(text) > 60:
        return None
    fraction = _FRACTION.fullmatch(text)
    if fraction:
        top, bottom = (fraction[1], fraction[2]) if fraction[1] else (fraction[3], fraction[4])
        return Fraction(int(top), int(bottom)) if int(bottom) else None
    scientific = _SCIENTIFIC.fullmatch(text)
    if scientific:
        text = f"{scientific[1]}e{scientific[2]}"
    elif not _NUMBER.fullmatch(text):
        return None
    try:
        return Fraction(Decimal(text.replace(",", "")))
    except InvalidOperation:
        return None


def differ_as_numbers(answer: str, reference: str) -> bool:
    """Whether both are plain numbers of which neither may be the other rounded."""
    a, b = number(_unwrap(answer)), number(_unwrap(reference))
    if a is None or b is None or a == b:
        return False
    if ("%" in answer) != ("%" in reference):
        return False  # 50 may stand for 50 %
    if 1000 * a == b or a == 1000 * b:
        return False  # 1.200 may stand for 1,200
    apart = abs(a - b)
    near = apart <= abs(b) / 100  # 1891 is near 1873, and yet neither is the other rounded
    return not near or apart >= max(_last_place(a), _last_place(b))


def _last_place(value: Fraction) -> Fraction:
    """Return the unit of the last digit that a number shows: 10 of 1870, 0.01 of 3.14.

    0 where it has no last digit, as one third.
    """
    with localcontext(prec=_DIGITS):
        decimal = Decimal(value.numerator) / Decimal(value.denominator)
        if Fraction(decimal) != value:
            return Fraction(0)
        return Fraction(10) ** int(decimal.normalize().as_tuple().exponent)


_OPERATORS: Mapping[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "^",
}


def same_formula(answer: str, reference: str) -> bool:
    """Whether two formulas of + - * / ^ agree at random rational points (Schwartz 1980).

    Exact arithmetic, a fixed seed, and bounded exponents: it cannot hang, and a false "equal" has
    a chance below 1e-20 for formulas of this size.
    """
    a, b = _parse_formula(answer), _parse_formula(reference)
    if a is None or b is None:
        return False
    names = sorted({n.id for tree in (a, b) for n in ast.walk(tree) if isinstance(n, ast.Name)})
    if any(len(name) > 1 for name in names) or not names:
        return False
    draw = random.Random(0)
    compared = 0
    for _ in range(_POINTS):
        point = {name: Fraction(draw.randint(2, 10**6), draw.randint(2, 10**3)) for name in names}
        try:
            if _evaluate(a, point) != _evaluate(b, point):
                return False
        except (ZeroDivisionError, ValueError, _NotAFormulaError):
            continue
        compared += 1
    return compared > 0


class _NotAFormulaError(Exception):
    pass


def _parse_formula(text: str) -> ast.expr | None:
    text = text.strip().rstrip(".")
    if not _FORMULA.fullmatch(text):
        return None
    text = re.sub(r"(\d)([A-Za-z(])", r"\1*\2", text.replace("^", "**"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    allowed = (ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.operator, ast.unaryop, ast.Load)
    return tree if all(isinstance(node, allowed) for node in ast.walk(tree)) else None


def _evaluate(tree: ast.expr, point: Mapping[str, Fraction]) -> Fraction:
    match tree:
        case ast.Name(id=name):
            return point[name]
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return Fraction(str(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, point)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _evaluate(operand, point)
        case ast.BinOp(left=left, op=op, right=right):
            return _apply(_OPERATORS.get(type(op)), _evaluate(left, point), _evaluate(right, point))
        case _:
            raise _NotAFormulaError


def _apply(operator: str | None, left: Fraction, right: Fraction) -> Fraction:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case "^" if right.denominator == 1 and abs(right) <= 20 and _bits(left) <= _MAX_BITS:
            return left ** int(right)
        case _:
            raise _NotAFormulaError


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference is a text."""
    del reference, case
    return True


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    """Compare as text."""
    del case
    how = equal(answer, reference)
    return Comparison(True, f"equal to the reference ({how})") if how else None
