"""Tidy LaTeX made into objects of the computer algebra system.

Runs in the process that can be killed, for a parse may take any time.
"""

import re
from functools import lru_cache
from importlib import import_module
from typing import Any

from plaudit.judges.answers.types.symbolic.reading import tidy

_latex: Any = import_module("latex2sympy2_extended.latex2sympy2")
_grader: Any = import_module("math_verify.grader")
sympy: Any = import_module("sympy")

_NORMAL = _latex.NormalizationConfig(
    basic_latex=True, malformed_operators=True, units=False, nits=False, boxed="none"
)
_CONVERSION = _latex.ConversionConfig(lowercase_symbols=False)

_UNREADABLE = re.compile(
    r"\\(?:[lc]?dots|angle|triangle|parallel|perp|to|rightarrow|Rightarrow|implies|iff|equiv|pmod)"
    r"(?![a-zA-Z])|\.\.\.|\u2026"
    r"|(?<![\\{])\b(?:so|we|is|it|of|to|if|no|the|are|get|has|for|was|not|can|all|any|per|one|two)\b"
    r"|\d \d|(?<!\\)\b(?!(?:prime)+\b|begin\b|end\b)[a-zA-Z]{4,}(?![a-zA-Z}])"
    r"|/ ?\d+ ?(?:[a-zA-Z](?![a-zA-Z])|\(|\\(?:sqrt|pi|frac|sin|cos|tan|ln|log)(?![a-z]))"  # 1/2x
    r"|\\begin ?\{cases\}|['\"]|\\overline ?\{[^{}]{2}|\\approx ?\d*$|^\\approx"
)
_ONLY_LETTERS = re.compile(r"[a-zA-Z]{3,}")
_WORD = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox) ?\{ ?([^{}]*?) ?\}")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot) ?\{(\d{1,20})\}")
_BUILDER = re.compile(
    r"\\\{ ?([a-zA-Z]|\([a-zA-Z, ]+\))(?: ?\\in ?\\mathbb ?\{R\})? ?[|:] ?(.*)\\\}"
)
_OR = re.compile(r" ?,? ?(?:\\lor(?![a-z])|\\vee(?![a-z])|\\text ?\{ ?or ?\}|\bor\b) ?")
_AND = re.compile(r" ?,? ?(?:\\land(?![a-z])|\\wedge(?![a-z])|\\text ?\{ ?and ?\}|\band\b) ?")
_INEQUALITY = re.compile(r"[<>]|\\(?:le|ge|lt|gt|ne)(?![a-z])")
_SIGNED_TWICE = re.compile(r"\\(pm|mp)(?![a-z])")
_NAMED = re.compile(
    r"(P ?\([^()]*[^()a-z]\)|m? ?\\angle ?[A-Z]{1,3}|\\frac ?\{ ?d ?[a-z] ?\} ?\{ ?d ?[a-z] ?\}"
    r"|\\overline ?\{[A-Z]{2}\}|[a-zA-Z] ?_ ?\{?(?:prime)+\}? ?(?:\([a-z]\))?) ?= ?(?=[^=]+$)"
)
"""What has a value and is no formula: a probability, an angle, a derivative, a side."""
_CONGRUENCE = re.compile(
    r"([a-zA-Z]) ?\\equiv ?(-?\d{1,50}) ?[({]?\\p?mod ?\{? ?(\d{1,50}) ?\}?[)}]?"
)
_UNEQUAL = re.compile(r"([a-zA-Z]) ?\\ne ?([^<>=]+?(?:,|\band\b|\\text ?\{ ?and ?\}).+)")
_BRACKET = re.compile(r"[(\[]")
_NAME_OF_A_POINT = re.compile(r"^[A-Z] ?(?=\([^()]*,[^()]*\)$)")
_PERCENT = re.compile(r"([^%]+?) ?\\?%")
_LIMIT = re.compile(r"\\lim ?_ ?\{[^{}]*\}")
_SUM_OVER_I = re.compile(r"_ ?\{? ?i ?(?:=|\\in)")


@lru_cache(maxsize=512)
def read(text: str) -> Any:
    """Return what a formula stands for, or None where it cannot be read.

    Args:
        text: as a person or a model wrote it.

    Returns:
        An object of sympy: an expression, a relation, a set, a tuple or a matrix.
    """
    return _read_tidy(tidy(text))


def _read_tidy(text: str) -> Any:
    text = _NAME_OF_A_POINT.sub("", _REPEATING.sub(_fraction, text))
    named = _NAMED.match(text)
    if named:
        found = _read_tidy(text[named.end() :])
        name = sympy.Symbol(named[1].replace(" ", ""), real=True)
        return sympy.Eq(name, found, evaluate=False) if isinstance(found, sympy.Expr) else None
    congruence = _CONGRUENCE.fullmatch(text)
    if congruence:
        name, rest, modulus = congruence.groups()
        residue = int(rest) % (int(modulus) or 1)
        return sympy.Eq(sympy.Symbol(f"{name} mod {modulus}"), residue, evaluate=False)
    unequal = _UNEQUAL.fullmatch(text)
    if unequal:
        return _all_but(unequal)
    built = _BUILDER.fullmatch(text)
    if built:
        return _read_tidy(built[2].strip())
    if _INEQUALITY.search(text):
        for words, joined in ((_OR, sympy.Union), (_AND, sympy.Intersection)):
            parts = [part for part in words.split(text) if part.strip()]
            if len(parts) > 1:
                return _joined(parts, joined)
    if _SIGNED_TWICE.search(text):
        return _both_signs(text)
    percent = _PERCENT.fullmatch(text)
    if percent:
        return _hundredth(_read_one(percent[1]))
    return _read_one(text)


def _all_but(unequal: re.Match[str]) -> Any:
    """Read x is not 1, x is not 2 as the set of all other numbers."""
    name, values = unequal[1], _AND.sub(",", unequal[2]).split(",")
    again = re.compile(rf" ?(?:{name} ?\\ne)?(.+)")
    read_values = [_read_one(again.sub(r"\1", value).strip()) for value in values]
    if not all(isinstance(value, sympy.Expr) for value in read_values):
        return None
    return sympy.Complement(sympy.S.Reals, sympy.FiniteSet(*read_values))


def _hundredth(found: Any) -> Any:
    if isinstance(found, sympy.Eq) and isinstance(found.rhs, sympy.Expr):
        return sympy.Eq(found.lhs, found.rhs / 100, evaluate=False)
    return found / 100 if isinstance(found, sympy.Expr) else None


def _read_one(text: str) -> Any:
    bare = _LIMIT.sub("", _WORD.sub("", _OR.sub(",", _AND.sub(",", text))))
    if _UNREADABLE.search(bare) or _ONLY_LETTERS.fullmatch(text):
        return None
    text = _latex.normalize_latex(_WORD.sub(_folded, text), _NORMAL)
    try:
        found = _latex.latex2sympy(
            text,
            is_real=not _grader.should_treat_as_complex(text),
            normalization_config=None,
            conversion_config=_CONVERSION,
        )
    except MemoryError:
        raise
    except Exception:  # the parser raises plain ones for what it does not understand
        return None
    return _with_plain_symbols(_unchained(found), imaginary=not _SUM_OVER_I.search(text))


def _unchained(found: Any) -> Any:
    """Make a = b = 3 the equation a = 3."""
    if isinstance(found, sympy.And) and all(isinstance(part, sympy.Eq) for part in found.args):
        parts = in_order(found)
        return sympy.Eq(parts[0].lhs, parts[-1].rhs, evaluate=False)
    return found


def _folded(found: re.Match[str]) -> str:
    """Fold the case of a word; the letter of a choice or a variable keeps it."""
    word = found[1].strip("()")
    return word if len(word) == 1 else "\\text{" + found[1].lower() + "}"


def _fraction(digits: re.Match[str]) -> str:
    """Make the digits 0.1666..., written with a line above the 6, the fraction that they are."""
    whole, fixed, again = digits[1] or "0", digits[2], digits[3]
    bottom = (10 ** len(again) - 1) * 10 ** len(fixed)
    top = int(whole + fixed + again) - int(whole + fixed)
    return f"\\frac{{{top}}}{{{bottom}}}"


def _joined(parts: list[str], join: Any) -> Any:
    """Read inequalities that are joined by a word as the set of what fulfils them."""
    read_parts = [_read_tidy(part.strip()) for part in parts]
    names = {name for part in read_parts if part is not None for name in part.free_symbols}
    if any(part is None for part in read_parts) or len(names) != 1:
        return None
    sets = [as_set(part) for part in read_parts]
    return None if any(one is None for one in sets) else join(*sets)


def as_set(found: Any) -> Any:
    """Return the set of the numbers that fulfil a relation of one variable, or None."""
    if isinstance(found, sympy.Set):
        return found
    if isinstance(found, sympy.Eq) and isinstance(found.rhs, sympy.Set):
        return found.rhs
    try:
        if isinstance(found, sympy.And):
            return sympy.Intersection(*[part.as_set() for part in found.args])
        return found.as_set()
    except (AttributeError, NotImplementedError, ValueError, TypeError):
        return None


def _both_signs(text: str) -> Any:
    """Read a formula with a plus or minus as the set of both."""
    both: list[Any] = []
    if "," in text and not _BRACKET.search(text):
        parts = [_read_tidy(part.strip()) for part in text.strip("\\{} ").split(",")]
        if any(part is None for part in parts):
            return None
        lists = [part.args if isinstance(part, sympy.FiniteSet) else [part] for part in parts]
        return _latex.FiniteSet(*[value for values in lists for value in values])
    for plus, minus in (("+", "-"), ("-", "+")):
        one = _SIGNED_TWICE.sub(lambda sign, p=plus, m=minus: p if sign[1] == "pm" else m, text)
        both.append(_read_one(re.sub(r"(?<![\w)}\]] )(?<![\w)}\]])\+ ?", "", one)))
    if any(one is None for one in both):
        return None
    return _latex.FiniteSet(*both)


def _with_plain_symbols(found: Any, imaginary: bool) -> Any:
    """Give a name one meaning, whatever stands beside it; i and e are numbers."""
    if not hasattr(found, "atoms") or _holds_a_truth(found):
        return None
    renamed = {name: _plain(name, imaginary) for name in found.atoms(sympy.Symbol)}
    renamed |= {number: sympy.Rational(str(number)) for number in found.atoms(sympy.Float)}
    if imaginary and sympy.I not in renamed.values():
        renamed |= {root: real_root(root) for root in found.atoms(sympy.Pow)}
    renamed = {old: new for old, new in renamed.items() if old != new}
    if not renamed:
        return found
    return _renamed(found, renamed)


def _holds_a_truth(found: Any) -> bool:
    """Whether a relation was evaluated, so that it is true or false and no formula any more."""
    parts = in_order(found) if isinstance(found, sympy.FiniteSet) else [found]
    return any(part in (sympy.true, sympy.false) for part in parts)


def _renamed(found: Any, names: dict[Any, Any]) -> Any:
    """Replace parts of an object; what is a relation stays one, and a list keeps its order."""
    if isinstance(found, sympy.core.relational.Relational):
        return found.func(*[_renamed(side, names) for side in found.args], evaluate=False)
    if isinstance(found, _latex.FiniteSet):
        return _latex.FiniteSet(*[_renamed(part, names) for part in in_order(found)])
    return found.xreplace(names) if hasattr(found, "xreplace") else found.subs(names)


def real_root(root: Any) -> Any:
    """Take the real one of the odd roots of a negative number."""
    base, power = root.args
    odd = power.is_Rational and power.q % 2 == 1 and power.q > 1
    if odd and base.is_number and base.is_negative:
        return (-1) ** power.p * (-base) ** power
    return root


def _plain(symbol: Any, imaginary: bool) -> Any:
    if symbol.name == "e":
        return sympy.E
    if symbol.name == "i" and imaginary:
        return sympy.I
    return sympy.Symbol(symbol.name, real=True)


def in_order(found: Any) -> list[Any]:
    """Return the elements of a list or tuple as they were written."""
    return list(getattr(found, "_unsorted_args", found.args))
