"""A model's thoughts, as they stand before what it says."""

_OPENER, _CLOSER = "<think>", "</think>"
_BROKEN = "<\u2060/think>"


def as_thought(text: str) -> str:
    """Return thoughts between their tags.

    A closing tag within them is broken by an invisible character: it would end the thought, and the
    rest would be read as the answer.
    """
    return f"{_OPENER}{text.replace(_CLOSER, _BROKEN)}{_CLOSER}"
