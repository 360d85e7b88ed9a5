"""Spells objects of Python and JavaScript as JSON."""

import re

_TOKEN = re.compile(
    r"""
    (?P<same> \s+ | [{}\[\]:] | ,(?!\s*[}\]]) | "(?:[^"\\]++|\\.)*+" )
    | (?P<trailing> , )
    | '(?P<quoted> (?:[^'\\]++|\\.)*+ )'
    | (?P<number> [+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]) )
    | (?P<name> [^\W\d]\w*(?=\s*:) )
    | (?P<constant> true | false | null | True | False | None )\b
    """,
    re.VERBOSE | re.DOTALL,
)
"""A token of JSON, or of what Python and JavaScript write instead."""
_IN_QUOTES = re.compile(r"\\.|\"", re.DOTALL)
_CONSTANTS = {"True": "true", "False": "false", "None": "null"}


def spell_as_json(text: str) -> str:
    """Spell an object of Python or JavaScript as JSON, token by token; nothing is left out.

    Raises:
        ValueError: there is something that has no spelling in JSON.
    """
    spelled: list[str] = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"no JSON at {text[position : position + 20]!r}")
        spelled.append(_spell(token))
        position = token.end()
    return "".join(spelled)


def _spell(token: re.Match[str]) -> str:
    kind, text = str(token.lastgroup), token[0]
    if kind == "trailing":
        return ""
    if kind == "quoted":
        return '"' + _IN_QUOTES.sub(_in_double_quotes, token["quoted"]) + '"'
    if kind == "number":
        text = re.sub(r"(?<!\d)\.", "0.", text.removeprefix("+"))
        return re.sub(r"\.(?!\d)", ".0", text)
    if kind == "name":
        return f'"{text}"'
    return _CONSTANTS.get(text, text)


def _in_double_quotes(found: re.Match[str]) -> str:
    return {'"': '\\"', "\\'": "'"}.get(found[0], found[0])
