"""Untrusted text, made unable to speak as the prompt.

Delimiters are fixed strings, so untrusted text that holds one could forge a section; a special
token's text inside it could become the special token. Both are broken by one invisible character,
U+2060 WORD JOINER, put after the first character of each match. A word joiner that was in the text
already is doubled, so `unescape(escape(text)) == text` for every text.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

JOINER = "\u2060"
_NEVER = "(?!)"

KNOWN_SPECIAL_TOKENS = (
    # <|...|> of ChatML, Qwen, Phi, Llama 3 and 4, gpt-oss, Granite, Command, GLM, LFM2, Falcon;
    # <|turn> and <turn|> of Gemma 4; [|user|] of EXAONE.
    "<|",
    "|>",
    "[|",
    "|]",
    # DeepSeek, Hunyuan: fullwidth bars.
    "<\uff5c",
    "\uff5c>",
    # Llama 2, Mistral, T5, XLM-R and other sentencepiece models.
    "<s>",
    "</s>",
    "<<SYS>>",
    "<</SYS>>",
    # Gemma, PaliGemma, StarCoder, Idefics, SmolVLM.
    "<turn|",
    "<fim_",
    "<repo_name>",
    "<reponame>",
    "<file_sep>",
    "<filename>",
    "<gh_stars>",
    "<issue_",
    "<jupyter_",
    "<empty_output>",
    "<image_soft_token>",
    "<fake_token_around_image>",
    # ChatGLM, GLM.
    "<sop>",
    "<eop>",
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
    # Thought and calls of Qwen, GLM, Hermes, MiniMax, Seed, Kimi.
    "<think>",
    "</think>",
    "<tools>",
    "</tools>",
    "<tool_call>",
    "</tool_call>",
    "<tool_calls>",
    "</tool_calls>",
    "<tool_response>",
    "</tool_response>",
    "\u25c1think\u25b7",
    "\u25c1/think\u25b7",
    # MiniMax.
    "]~b]",
    "]~!b[",
    "[e~[",
    "]<]",
    "[>[",
    # Persimmon, Fuyu, and the OLMo tokenizer's masks of personal data.
    "|ENDOFTEXT|",
    "|SPEAKER|",
    "|NEWLINE|",
    "|||EMAIL_ADDRESS|||",
    "|||PHONE_NUMBER|||",
    "|||IP_ADDRESS|||",
)
"""What model families use as special tokens, for engines whose tokenizer is not known.

From published tokenizer configurations (`added_tokens_decoder`). A text that is part of others
stands for all of them; families whose tokens are numbered or alike are in `KNOWN_SHAPES`.
"""

KNOWN_SHAPES = (
    # [INST], [TOOL_CONTENT], [ARGS] of Mistral, [EOT] of Kimi, [MASK] of BERT, [gMASK] and [sMASK]
    # of GLM, [UNUSED_TOKEN_146] of InternLM.
    r"\[/?[gs]?[A-Z][A-Z0-9_]{2,}\]",
    r"\[(?:start_header_id|end_header_id|extra_id_\d+|multimodal)\]",
    # <BOS_TOKEN> of Cohere, <SPECIAL_10> of Nemotron and Mistral, <PAD>.
    r"<(?:[A-Z]+(?:_[A-Z0-9]+)+|BOS|EOS|PAD|UNK|CLS|SEP|MASK|EOD|EOT)>",
    r"</?(?:bos|eos|pad|unk|mask|cls|sep|eod|eot|image|audio|video)>",
    # <start_of_turn>, <end_of_image>, <end_of_utterance>; <unused0> and <reserved_106>; T5's
    # <extra_id_0>; <|...> is above.
    r"</?(?:start|end|begin|beginning)_of_[a-z_]+>",
    r"<(?:unused|reserved|extra_id|reserved_token|reserved_special_token)_?\d+>",
    # <mask:0> of Ernie, <seed:bos> of Seed, <minimax:tool_call>, <longcat_tool_call>.
    r"</?(?:mask|seed|minimax|ernie):[\w-]+>",
    r"</?longcat_[a-z_]+>",
    # >>TITLE<< of Falcon.
    r">>[A-Z_]{3,}<<",
)
"""Patterns of special tokens that are many and alike, from the same configurations."""

_SHAPE_STARTS = ("<", "[", ">>")


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
            known: texts that are added to them, and `KNOWN_SHAPES` with them; none where the
                tokenizer is known for certain.
        """
        known = tuple(known)
        tokens = {t for t in (*known, *special_tokens) if _breakable(t)}
        sections = {d for d in delimiters if _breakable(d)}
        lettered = {s for s in sections if s[0].isalpha()}  # Such a beginning has two cases.
        shapes = KNOWN_SHAPES if known else ()
        # Two characters where a text begins with what is usual in harmless texts.
        starts = {
            text[:2] if text[0] in "|>]" else text[0]
            for text in (*tokens, *(sections - lettered), *(_SHAPE_STARTS if shapes else ()))
            if text[0].isascii()
        }
        self._starts: dict[str, tuple[str, ...]] = {}
        """By their first characters, which are found much faster than two."""
        for start in sorted(starts):
            self._starts[start[0]] = (*self._starts.get(start[0], ()), start)
        self._folded = tuple(section.lower() for section in lettered)
        exact = "|".join(re.escape(t) for t in sorted(tokens, key=_longest_first))
        folded = "|".join(re.escape(d) for d in sorted(sections, key=_longest_first))
        either = [part for part in (exact, f"(?i:{folded})" if folded else "", *shapes) if part]
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

    def escape_all(self, value: Any) -> Any:
        """Return a value with all its texts escaped; names stay as they are."""
        if isinstance(value, str):
            return self.escape(value)
        if isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            return {name: self.escape_all(inner) for name, inner in items}
        if isinstance(value, list):
            return [self.escape_all(inner) for inner in cast("list[Any]", value)]
        return value

    def is_harmless(self, text: str) -> bool:
        """Return whether it is certain that nothing is broken in a text, nor in a part of it.

        So it is with most texts in ASCII, at a hundredth of the pattern's cost.
        """
        if not text.isascii():
            return False
        for first, starts in self._starts.items():
            if first in text and any(start in text for start in starts):
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
