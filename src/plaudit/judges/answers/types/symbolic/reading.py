"""Formulas as people write them, made into the LaTeX that the parser reads, and read.

Runs in the process that can be killed alone, but for `tidy`, which imports nothing.
"""

import re
from collections.abc import Callable

_RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207f"
_LOWERED = "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089"
_PLAIN = str.maketrans(_RAISED + _LOWERED, "0123456789+-n0123456789")
_SIGNS = {
    "\u2212": "-",
    "\u2013": "-",
    "\u00d7": r"\times ",
    "\u00b7": r"\cdot ",
    "\u22c5": r"\cdot ",
    "\u00f7": r"\div ",
    "\u00b1": r"\pm ",
    "\u221e": r"\infty ",
    "\u222a": r"\cup ",
    "\u2229": r"\cap ",
    "\u2208": r"\in ",
    "\u2264": r"\le ",
    "\u2265": r"\ge ",
    "\u2260": r"\ne ",
    "\u2248": r"\approx ",
    "\u2205": r"\emptyset ",
    "\u00b0": r"^\circ ",
    "\u211d": r"\mathbb{R}",
    "\u2124": r"\mathbb{Z}",
    "\u2115": r"\mathbb{N}",
    "\u2044": "/",
    "\u221a": r"\sqrt ",
    "\u03c0": r"\pi ",
    "\u03b1": r"\alpha ",
    "\u03b2": r"\beta ",
    "\u03b3": r"\gamma ",
    "\u03b8": r"\theta ",
    "\u03bb": r"\lambda ",
    "\u03bc": r"\mu ",
    "\u03c3": r"\sigma ",
    "\u03c6": r"\phi ",
    "\u03c9": r"\omega ",
    "\u00bd": r"\frac{1}{2}",
    "\u2153": r"\frac{1}{3}",
    "\u2154": r"\frac{2}{3}",
    "\u00bc": r"\frac{1}{4}",
    "\u00be": r"\frac{3}{4}",
}
_SIGN_TABLE = str.maketrans(_SIGNS)
_FUNCTIONS = (
    "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|exp|sqrt|pi|infty|theta"
)
_BASES = {
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "sixteen": "16",
}

_GROUPED = re.compile(r"(?<![\d.,])(\d{1,3})((?:(?: |\{,\})\d{3})+)(?![\d])")
_GROUPED_BY_POINTS = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3}){2,}(?![\d.,])")
_RECURRING = re.compile(
    r"(?<![\d.])(\d{1,9}\.\d{0,2}?)(\d{1,6}?)\2{1,20}(?:\.{3}|\u2026|\\[lc]?dots(?![a-z]))"
)
_SYSTEM = re.compile(r"\\begin ?\{cases\}([^&]*)\\end ?\{cases\}")
_SCIENTIFIC = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})(?![\d.\w])")
_MIXED = re.compile(r"(?<![\d.^_])(\d+) (\d+) ?/ ?(\d+)(?![\d.])")
_BRACKETS = re.compile(r"(\\sqrt|\^) ?\(")
_BOX = re.compile(r"()\\(?:boxed|fbox) ?\{")
_SQRT_OF_ONE = re.compile(r"\\sqrt (\d+|[a-zA-Z])")

Step = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _steps(*steps: tuple[str, str | Callable[[re.Match[str]], str]]) -> tuple[Step, ...]:
    return tuple((re.compile(pattern), by) for pattern, by in steps)


def _primed(found: re.Match[str]) -> str:
    """Write a derivative, or a second one, as an index."""
    return found[1] + "_{" + "prime" * (found[2].count("'") + found[2].count("p")) + "}"


_TIDIED = _steps(
    (rf"[{_RAISED}]+", lambda found: "^{" + found[0].translate(_PLAIN) + "}"),
    (rf"[{_LOWERED}]+", lambda found: "_{" + found[0].translate(_PLAIN) + "}"),
    (r"(?:^|(?<== ))~ ?(?=\d)", r"\\approx "),
    (r"\\left\s*<|(?<!.)<(?=[^<>]*,[^<>]*>$)", r"\\langle "),
    (r"\\right\s*>|(?<=[\w ])>(?!.)", r"\\rangle "),
    (r"\\displaystyle|\\limits|\\(?:left|right)\s*\.", ""),
    (r"\\m?(?:left|right)(?![a-zA-Z])|\\[bB]igg?[lrm]?(?![a-zA-Z])", ""),
    (r"(?<!\\)\\[,;:!> ]|~(?!=)|\\q?quad(?![a-z])|\\(?:thin|med|thick)space(?![a-z])", " "),
    (r"\\[dtc]frac(?![a-z])", r"\\frac"),
    (r"\\frac ?(\d) ?(\d)(?!\d)", r"\\frac{\1}{\2}"),
    (r"\\log ?_ ?(\d)", r"\\log_{\1}"),
    (r"\\lg(?![a-z])", r"\\log_{10}"),
    (r"\\log ?_ ?\{? ?e(?![a-z]) ?\}?", r"\\ln "),
    (r"(?<=[\d}]) ?(?:percent|per cent)(?![a-z])|\\text ?\{ ?(?:percent|\\?%) ?\}", r"\\%"),
    (r"\\(?:mathbf|boldsymbol|bm|mathsf|mathtt|mathit|textbf|bf) ?\{([^{}]*\d[^{}]*)\}", r"\1"),
    (r"_ ?\\(?:text|mathrm) ?\{ ?(" + "|".join(_BASES) + r") ?\}", lambda f: "_" + _BASES[f[1]]),
    (r"\\bmod(?![a-z])", r"\\mod"),
    (r"(\\mathbb ?\{ ?[RZQNC] ?\}) ?(?:-|\\backslash) ?(?=\\\{)", r"\1 \\setminus "),
    (r"\\(?:lvert|rvert|vert|mid)(?![a-z])", "|"),
    (r"\\l(?:brace|angle)(?![a-z])", lambda found: "\\{" if "brace" in found[0] else "("),
    (r"\\r(?:brace|angle)(?![a-z])", lambda found: "\\}" if "brace" in found[0] else ")"),
    (r"\\geqslant|\\geq|>=", r"\\ge "),
    (r"\\leqslant|\\leq|<=", r"\\le "),
    (r"\\neq(?![a-z])|(?<!\d)!=", r"\\ne "),
    (r"\\varnothing|\\\{\s*\\\}", r"\\emptyset "),
    (r"\\(?:times|cdot|ast)(?![a-z])\s*", r"\\cdot "),
    (r"\*\*", "^"),
    (r"\\(?:operatorname|mathrm|text|mathit|mathop)\s*\{\s*(" + _FUNCTIONS + r")\s*\}", r"\\\1 "),
    (r"\\(?:mathrm|text|mathit)\s*\{\s*([eid])\s*\}", r"\1"),
    (r"\\infinity|(?<![a-zA-Z\\])(?:infinity|infty|inf|oo)(?![a-zA-Z])", r"\\infty "),
    (rf"(?<![a-zA-Z\\])({_FUNCTIONS})(?![a-zA-Z])", r"\\\1 "),
    (r"\\mathbf\s*\{\s*([RZNQC])\s*\}", r"\\mathbb{\1}"),
    (r"([A-Za-z]) ?\^ ?\{?((?: ?\\prime(?![a-z])){1,3}) ?\}?", _primed),
    (r"([A-Za-z])('{1,3})(?!')", _primed),
    (r"\s+", " "),
)
_TURNED = re.compile(r"(?:^|(?<=cup )|(?<=in ))([\[\]])([^\[\]]{1,99},[^\[\]]{1,99})([\[\]])")
_WRAPPED = re.compile(r"\$\$?|(?<!\\)\\[()\[\]]")


def _turned(found: re.Match[str]) -> str:
    """Write the open end of an interval, ]0, 1[, as a round bracket."""
    return found[1].replace("]", "(") + found[2] + found[3].replace("[", ")")


def tidy(text: str) -> str:
    """Return a formula in one way of writing: spaces, brackets and names of signs."""
    text = _WRAPPED.sub(" ", text.replace("\\$", "").translate(_SIGN_TABLE)).strip()
    text = _in_braces(text, _BOX, "", "")
    for pattern, by in _TIDIED:
        text = pattern.sub(by, text)
    text = _SCIENTIFIC.sub(r"\1\\cdot 10^{\2}", text)
    text = _RECURRING.sub(r"\1\\overline{\2}", text)
    text = _GROUPED_BY_POINTS.sub(lambda found: found[0].replace(".", ""), text)
    text = _SYSTEM.sub(lambda found: found[1].strip("\\ ").replace("\\\\", ","), text)
    text = _GROUPED.sub(lambda found: re.sub(r"[ {},]", "", found[0]), text)
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    text = _SQRT_OF_ONE.sub(r"\\sqrt{\1}", _in_braces(text, _BRACKETS, "{", "}"))
    text = text if "," in text else text.replace(";", ",")
    text = _TURNED.sub(_turned, text)
    return text.lstrip(" ,;") if text.endswith("..") else text.lstrip(" ,;").rstrip(" .,;")


def _in_braces(text: str, opening: re.Pattern[str], left: str, right: str) -> str:
    """Put other brackets in place of those that `opening` finds; its group 1 is kept.

    Args:
        text: at most `MAX_DEPTH` brackets deep.
        opening: ends with the bracket.
        left: in place of the bracket.
        right: in place of the one that closes it.
    """
    done: list[str] = []
    start = 0
    while (found := opening.search(text, start)) is not None:
        end = _closing(text, found.end() - 1)
        if end is None:
            break
        inner = _in_braces(text[found.end() : end], opening, left, right)
        done += [text[start : found.start()], found[1], left, inner, right]
        start = end + 1
    return "".join(done) + text[start:]


def _closing(text: str, opening: int) -> int | None:
    """Return the place of the bracket that closes the one at `opening`."""
    depth = 0
    for place in range(opening, len(text)):
        depth += (text[place] in "([{") - (text[place] in ")]}")
        if depth == 0:
            return place
    return None
