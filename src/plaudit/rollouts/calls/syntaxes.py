"""All forms of calls."""

import re
from collections.abc import Collection, Iterable, Mapping

from plaudit.rollouts.calls.deepseek import DeepSeek
from plaudit.rollouts.calls.gemma import Gemma
from plaudit.rollouts.calls.glm import Glm
from plaudit.rollouts.calls.harmony import Harmony
from plaudit.rollouts.calls.hermes import Hermes
from plaudit.rollouts.calls.kimi import Kimi
from plaudit.rollouts.calls.lfm2 import Lfm2
from plaudit.rollouts.calls.llama import Bare, Llama
from plaudit.rollouts.calls.minimax import MiniMax
from plaudit.rollouts.calls.mistral import Mistral
from plaudit.rollouts.calls.qwen import Qwen
from plaudit.rollouts.calls.syntax import CallForm, Syntax

SYNTAXES: Mapping[CallForm, Syntax] = {
    syntax.form: syntax
    for syntax in (
        # Where several claim a call the first one reads it; the last one says what is wrong.
        Qwen(),
        Glm(),
        Hermes(),
        Llama(),
        Mistral(),
        Harmony(),
        Gemma(),
        DeepSeek(),
        Kimi(),
        Lfm2(),
        MiniMax(),
        Bare(),
    )
}


def owners(opener: str, forms: frozenset[CallForm]) -> list[Syntax]:
    """Return the syntaxes of forms that an opener may begin a call of.

    Hermes and Qwen models write each other's calls between one tag, so either form reads both.
    """
    both = forms | {"hermes", "qwen"} if forms & {"hermes", "qwen"} else forms
    return [s for form, s in SYNTAXES.items() if form in both and opener in s.openers]


def name_within(text: str) -> str:
    """Return the name that a broken call seems to have; empty where none can be read."""
    found = _NAMED.search(text)
    return "" if found is None else next(filter(None, found.groups()), "").strip()


_NAMED = re.compile("|".join(syntax.named for syntax in SYNTAXES.values()))


def lost_marks(forms: Iterable[CallForm], special: Collection[str]) -> frozenset[str]:
    """Return marks without which calls cannot be read, and which are special tokens.

    Engines leave special tokens out of texts.
    """
    needed = marks_of(form for form in forms if SYNTAXES[form].needs_marks)
    return needed & frozenset(special)


def closers_of(forms: Iterable[CallForm]) -> frozenset[str]:
    """Return the texts that end calls of these forms."""
    return frozenset(tag for form in forms for tag in SYNTAXES[form].closers)


def marks_of(forms: Iterable[CallForm]) -> frozenset[str]:
    """Return all texts that stand around and within calls of these forms."""
    return frozenset(tag for form in forms for tag in SYNTAXES[form].tags)
