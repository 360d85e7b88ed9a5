"""Untrusted text, made unable to speak as the prompt.

Delimiters are fixed strings, so untrusted text that holds one could forge a section; a special
token's text inside it could become the special token. Both are broken by one invisible character,
U+2060 WORD JOINER, put after the first character of each match. A word joiner that was in the text
already is doubled, so `unescape(escape(text)) == text` for every text.
"""

import re
from collections.abc import Iterable

JOINER = "\u2060"
_NEVER = "(?!)"

KNOWN_SPECIAL_TOKENS = (
    # ChatML, Qwen, SmolLM, Phi, Llama 3, GPT-OSS, Granite, Command: all write <|...|>.
    "<|",
    "|>",
    # DeepSeek (fullwidth bars), Llama 2, Mistral, Gemma, T5, BERT, reasoning and tool markers.
    "<\uff5c",
    "\uff5c>",
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<mask>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<turn|",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<</SYS>>",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_CALLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[THINK]",
    "[/THINK]",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "[gMASK]",
    "<sop>",
    "<eop>",
    "<end_of_utterance>",
    "<fim_prefix>",
    "<fim_middle>",
    "<fim_suffix>",
    "<repo_name>",
    "<reponame>",
    "<file_sep>",
    "<filename>",
    "<gh_stars>",
    "<issue_start>",
    "<issue_comment>",
    "<issue_closed>",
    "<jupyter_start>",
    "<jupyter_text>",
    "<jupyter_code>",
    "<jupyter_output>",
    "<jupyter_script>",
    "<empty_output>",
)
"""What model families use as special tokens, for engines whose tokenizer is not known."""


class Escaper:
    """Breaks a fixed set of strings in untrusted text, reversibly."""

    def __init__(
        self,
        delimiters: Iterable[str],
        special_tokens: Iterable[str] = (),
        known: Iterable[str] = KNOWN_SPECIAL_TOKENS,
    ) -> None:
        """Prepare an escaper.

        Args:
            delimiters: section delimiters of a template; matched without regard to case.
            special_tokens: texts of the tokenizer's special tokens. Single characters, and texts
                that hold word joiners, cannot be broken and are left out.
            known: texts that are added to them; none where the tokenizer is known for certain.
        """
        tokens = {t for t in (*known, *special_tokens) if _breakable(t)}
        sections = {d for d in delimiters if _breakable(d)}
        lettered = {s for s in sections if s[0].isalpha()}  # Such a beginning has two cases.
        starts = {text[0] for text in tokens | sections - lettered if text[0].isascii()}
        self._starts = tuple(sorted(starts))
        self._folded = tuple(section.lower() for section in lettered)
        exact = "|".join(re.escape(t) for t in sorted(tokens, key=_longest_first))
        folded = "|".join(re.escape(d) for d in sorted(sections, key=_longest_first))
        either = [part for part in (exact, f"(?i:{folded})" if folded else "") if part]
        self._pattern = re.compile("|".join(either) or _NEVER)

    def escape(self, text: str) -> str:
        """Return the text with every delimiter and special token broken."""
        if self.is_harmless(text):
            return text
        if JOINER in text:
            text = text.replace(JOINER, JOINER + JOINER)
        while self._pattern.search(text):  # again: matches may overlap
            text = self._pattern.sub(_break, text)
        return text

    def is_harmless(self, text: str) -> bool:
        """Tell whether it is certain that nothing is broken in a text, nor in a part of it.

        So it is with most texts in ASCII, at a hundredth of the pattern's cost.
        """
        if not text.isascii():
            return False
        for start in self._starts:
            if start in text:
                return False
        return not self._folded or not self._holds_section(text)

    def _holds_section(self, text: str) -> bool:
        lowered = text.lower()
        return any(section in lowered for section in self._folded)


def unescape(text: str) -> str:
    """Return the text that was escaped."""
    return re.sub(f"{JOINER}({JOINER}?)", r"\1", text)


def _breakable(text: str) -> bool:
    return len(text) > 1 and JOINER not in text


def _break(match: re.Match[str]) -> str:
    found = match.group()
    return found[0] + JOINER + found[1:]


def _longest_first(text: str) -> tuple[int, str]:
    return (-len(text), text)
